//! The TCP/IP stack of one domain: smoltcp over one [`Interface`], with sockets as programs know them.
//!
//! No hardware, no clock and no threads: whoever owns a [`Stack`] calls [`Stack::poll`] when the interface had an event, when a program did
//! something, and at the time that [`Stack::poll_at`] says. No operation waits; what cannot be done now is `EAGAIN`
//! (`EINPROGRESS` of a connection that is being made), and is tried again after a poll that said that something changed.
//!
//! All checksums are computed and verified here, by smoltcp. Memory is bounded: [`MAX_SOCKETS`], buffers of fixed sizes, and a listening
//! socket holds at most [`tcp::MAX_BACKLOG`] connections that nobody has accepted yet, however many ask.
//!
//! | module | one line |
//! |---|---|
//! | [`address`] | how the interface gets its address |
//! | `device` | frames in and out; the loop, 127.0.0.1 |
//! | [`mod@file`] | a socket as an open file has it |
//! | [`socket`] | what all sockets have: the table, ports, addresses |
//! | [`tcp`], `listen` | connections; waiting for them |
//! | `datagram` | UDP, and ICMP for `ping` |

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv4Addr;

use smoltcp::iface::{
    Config, Interface as IpInterface, PollIngressSingleResult, PollResult, SocketHandle, SocketSet,
};
use smoltcp::socket::dhcpv4;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr, Ipv4Cidr};

use super::load::Lease;
use super::{Interface, Mac, registry};
pub use address::{Address, Addressing, NotAnAddress};
use device::{Origin, Port};
use socket::Entry;
pub use socket::{Kind, MAX_SOCKETS, Readiness, SocketId};

pub mod address;
mod datagram;
mod device;
pub mod file;
mod listen;
pub mod socket;
pub mod tcp;
#[cfg(test)]
mod tests;

/// Most frames that one poll takes in: the rest waits for the next one, so that a flood does not keep everything else from running.
const BUDGET: usize = 64;
/// Most rounds of sending in one poll.
const ROUNDS: usize = 16;
/// Least time between two polls that nothing but time demands: 1 ms.
const PAUSE: Nanos = 1_000_000;
/// Our Ethernet address as long as there is no interface: one of those that are administered locally.
const NO_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

/// Nanoseconds of the caller's clock, which never goes back.
pub type Nanos = u64;

/// The stack.
pub struct Stack {
    ip: IpInterface,
    port: Port,
    sockets: SocketSet<'static>,
    entries: BTreeMap<u32, Entry>,
    last_id: u32,
    last_port: u16,
    /// Connections that no program has any more, each with the time at which it is given up.
    orphans: Vec<(SocketHandle, Nanos)>,
    mac: Option<Mac>,
    address: Option<Address>,
    dhcp: Option<SocketHandle>,
    now: Nanos,
    /// A poll in the middle of an operation changed something.
    has_late_news: bool,
    /// Something is left to do at once.
    is_behind: bool,
    /// The interface's address is another one since this was last asked.
    has_new_address: bool,
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("mac", &self.mac)
            .field("address", &self.address)
            .field("sockets", &self.entries)
            .finish_non_exhaustive()
    }
}

fn instant(now: Nanos) -> Instant {
    Instant::from_micros(i64::try_from(now / 1000).unwrap_or(i64::MAX))
}

impl Stack {
    /// A stack with nothing but 127.0.0.1. First sequence numbers and ports follow from `seed`.
    #[must_use]
    pub fn new(seed: u64, now: Nanos) -> Self {
        let mut port = Port::new(NO_MAC);
        let mut config = Config::new(hardware(NO_MAC));
        config.random_seed = seed;
        let ip = IpInterface::new(config, &mut port, instant(now));
        let mut stack = Self {
            ip,
            port,
            sockets: SocketSet::new(Vec::new()),
            entries: BTreeMap::new(),
            last_id: 0,
            last_port: seed as u16,
            orphans: Vec::new(),
            mac: None,
            address: None,
            dhcp: None,
            now,
            has_late_news: false,
            is_behind: false,
            has_new_address: false,
        };
        stack.set_address(None);
        stack
    }

    /// Sends and receives by `interface` from now on.
    ///
    /// # Errors
    /// The interface, if its address is not that of one machine.
    pub fn attach(
        &mut self,
        interface: Box<dyn Interface>,
        addressing: Addressing,
    ) -> Result<(), Box<dyn Interface>> {
        let mac = interface.mac();
        if mac.is_group() || mac == Mac([0; 6]) {
            return Err(interface);
        }
        self.detach();
        self.mac = Some(mac);
        self.ip.set_hardware_addr(hardware(mac));
        self.port.set_outside(Some(interface), mac);
        match addressing {
            Addressing::Fixed(address) => self.set_address(Some(address)),
            Addressing::Dhcp => {
                self.set_address(None);
                self.dhcp = Some(self.sockets.add(dhcpv4::Socket::new()));
            }
        }
        self.is_behind = true;
        Ok(())
    }

    /// Forgets the interface and its address. Connections end when their time is over.
    pub fn detach(&mut self) {
        if let Some(handle) = self.dhcp.take() {
            self.sockets.remove(handle);
        }
        self.mac = None;
        self.ip.set_hardware_addr(hardware(NO_MAC));
        self.port.set_outside(None, NO_MAC);
        self.set_address(None);
    }

    /// Lends the interface, if there is one that nobody has: until the lease is over the stack leaves it alone.
    pub fn lend(&mut self) -> Option<Lease> {
        self.port.lend()
    }

    /// The interface, for whoever has the lease.
    pub fn outside(&mut self) -> Option<&mut (dyn Interface + 'static)> {
        self.port.outside()
    }

    /// Gives the interface another address.
    pub fn set_address(&mut self, address: Option<Address>) {
        self.has_new_address |= self.address != address;
        self.address = address;
        let outer = address.map(|own| Ipv4Cidr::new(own.address, own.prefix));
        self.ip.update_ip_addrs(|all| {
            all.clear();
            // There is room for two.
            let _ = all.push(IpCidr::Ipv4(Ipv4Cidr::new(Ipv4Addr::LOCALHOST, 8)));
            if let Some(outer) = outer {
                let _ = all.push(IpCidr::Ipv4(outer));
            }
        });
        self.port.set_own(outer.map(|cidr| cidr.address()).into_iter());
        let routes = self.ip.routes_mut();
        routes.remove_default_ipv4_route();
        if let Some(gateway) = address.and_then(|own| own.gateway) {
            let _ = routes.add_default_ipv4_route(gateway);
        }
    }

    /// The interface's Ethernet address.
    #[must_use]
    pub fn mac(&self) -> Option<Mac> {
        self.mac
    }

    /// The interface's address.
    #[must_use]
    pub fn address(&self) -> Option<Address> {
        self.address
    }

    /// Whether the interface has got another address, or lost it, since this was last asked.
    pub fn take_new_address(&mut self) -> bool {
        core::mem::take(&mut self.has_new_address)
    }

    /// Whether there is anything that a poll could do.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.mac.is_some() || !self.entries.is_empty() || !self.orphans.is_empty()
    }

    /// Whether a poll has something to do at once.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// The loop, as everybody may see it.
    #[must_use]
    pub fn lo(&self) -> &Rc<registry::Entry> {
        self.port.lo()
    }

    /// Frames of the interface that were not for us, and frames for which there was no room or no interface.
    #[must_use]
    pub fn drops(&self) -> (u64, u64) {
        self.port.drops
    }

    /// Takes frames, does what time demands, sends. Whether sockets may have changed.
    pub fn poll(&mut self, now: Nanos) -> bool {
        self.now = now;
        let at = instant(now);
        let mut has_changed = self.tend_listeners() | core::mem::take(&mut self.has_late_news);
        self.is_behind = false;
        self.ip.poll_maintenance(at);
        self.port.flush();
        let mut budget = BUDGET;
        for _ in 0..ROUNDS {
            while budget > 0 {
                let Some(origin) = self.port.take() else {
                    break;
                };
                budget -= usize::from(origin == Origin::Outside);
                has_changed |= self.take_frame(at);
            }
            let sent = self.ip.poll_egress(at, &mut self.port, &mut self.sockets);
            has_changed |= sent == PollResult::SocketStateChanged;
            if sent == PollResult::None && !self.port.has_looped() {
                break;
            }
            self.is_behind = true;
        }
        // The last round found nothing more to do, unless the rounds or the budget were used up.
        self.is_behind = budget == 0 || self.port.has_looped();
        self.port.flush();
        self.reap_orphans();
        has_changed |= self.tend_listeners();
        has_changed | self.tend_dhcp()
    }

    /// When [`Stack::poll`] is to be called even if nothing happens.
    pub fn poll_at(&mut self) -> Option<Nanos> {
        if self.is_behind {
            return Some(self.now);
        }
        let at = instant(self.now);
        let sockets = self.ip.poll_at(at, &self.sockets);
        // A socket that could send at once has just been asked and did not: some time has to pass in any case.
        let sockets = sockets.map(|at| {
            let at = u64::try_from(at.total_micros()).unwrap_or(0);
            at.saturating_mul(1000).max(self.later(PAUSE))
        });
        let orphans = self.orphans.iter().map(|(_, until)| *until);
        orphans.chain(sockets).chain(self.half_open_until()).min()
    }

    fn take_frame(&mut self, at: Instant) -> bool {
        if !self.may_pass(at) {
            self.port.drop_frame();
            return false;
        }
        let result = self.ip.poll_ingress_single(at, &mut self.port, &mut self.sockets);
        result == PollIngressSingleResult::SocketStateChanged
    }

    /// Takes over what DHCP has found out.
    fn tend_dhcp(&mut self) -> bool {
        let Some(handle) = self.dhcp else {
            return false;
        };
        let socket = self.sockets.get_mut::<dhcpv4::Socket<'_>>(handle);
        let found = match socket.poll() {
            None => return false,
            Some(dhcpv4::Event::Deconfigured) => None,
            Some(dhcpv4::Event::Configured(config)) => {
                let own = config.address;
                // A server may say anything.
                Address::new(own.address(), own.prefix_len(), config.router)
                    .or_else(|| Address::new(own.address(), own.prefix_len(), None))
            }
        };
        if found != self.address {
            self.set_address(found);
        }
        true
    }
}

fn hardware(mac: Mac) -> HardwareAddress {
    HardwareAddress::Ethernet(EthernetAddress(mac.0))
}
