//! Between the interface and smoltcp: one frame in at a time, frames out by a bounded queue, and the loop.
//!
//! 127.0.0.1 and the interface's own address have no device of their own. smoltcp treats them as neighbours; it asks for their
//! Ethernet address, and the question and everything that is sent to our own address comes back here instead of going out. So frames that
//! come from outside must not speak of 127.0.0.0/8, and such are dropped ([RFC 1122, 3.2.1.3]).

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetFrame, EthernetProtocol, Ipv4Address, Ipv4Packet,
};

use crate::net::load::{Lease, Lending};
use crate::net::registry::Entry;
use crate::net::{FRAME, HEADER, Interface, Mac, NotSent};

/// Most frames that wait for the interface. TCP and ARP send again what is dropped beyond that.
const OUTGOING: usize = 32;
/// Most frames that wait to come back.
const LOOPED: usize = 32;

/// Where a frame came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The interface.
    Outside,
    /// Ourselves.
    Loop,
}

/// The device that smoltcp sees.
pub struct Port {
    outside: Option<Box<dyn Interface>>,
    /// Somebody else may have it for some time; frames wait for it then, and none come.
    lending: Lending,
    incoming: Box<[u8; FRAME]>,
    /// Bytes of `incoming` that are a frame.
    len: usize,
    out: Out,
    /// Frames that were not for us, and frames for which there was no room or no interface.
    pub drops: (u64, u64),
}

/// What is on its way out or back.
struct Out {
    mac: Mac,
    own: Vec<Ipv4Address>,
    has_outside: bool,
    outgoing: VecDeque<Vec<u8>>,
    looped: VecDeque<Vec<u8>>,
    /// What went round.
    lo: Rc<Entry>,
}

impl Port {
    /// Without an interface: everything but the loop goes nowhere.
    pub fn new(mac: Mac) -> Self {
        Self {
            outside: None,
            lending: Lending::default(),
            incoming: Box::new([0; FRAME]),
            len: 0,
            out: Out {
                mac,
                own: Vec::new(),
                has_outside: false,
                outgoing: VecDeque::new(),
                looped: VecDeque::new(),
                lo: Entry::new("lo"),
            },
            drops: (0, 0),
        }
    }

    /// Changes the interface; what waited for the old one is dropped.
    pub fn set_outside(&mut self, outside: Option<Box<dyn Interface>>, mac: Mac) {
        self.out.has_outside = outside.is_some();
        self.out.mac = mac;
        self.out.outgoing.clear();
        self.out.looped.clear();
        self.outside = outside;
    }

    /// Lends the interface, if there is one that nobody has.
    pub fn lend(&mut self) -> Option<Lease> {
        self.outside.as_ref().and_then(|_| self.lending.lend())
    }

    /// The interface, for whoever has it.
    pub fn outside(&mut self) -> Option<&mut (dyn Interface + 'static)> {
        self.outside.as_deref_mut()
    }

    /// Says which addresses are our own.
    pub fn set_own(&mut self, own: impl Iterator<Item = Ipv4Address>) {
        self.out.own = own.collect();
    }

    /// The loop, as everybody may see it.
    pub fn lo(&self) -> &Rc<Entry> {
        &self.out.lo
    }

    /// Takes the next frame in, if there is one that may come in: those that came back first, one by one.
    pub fn take(&mut self) -> Option<Origin> {
        if self.len > 0 {
            return Some(Origin::Outside);
        }
        if let Some(frame) = self.out.looped.pop_front() {
            self.len = frame.len();
            self.incoming[..self.len].copy_from_slice(&frame);
            self.out.lo.received.count(self.len);
            return Some(Origin::Loop);
        }
        let outside = self.outside.as_mut().filter(|_| !self.lending.is_lent());
        let len = outside?.receive(&mut self.incoming)?.min(FRAME);
        self.len = len;
        if len < HEADER || !may_come_in(&self.incoming[..len], self.out.mac) {
            self.drops.0 += 1;
            self.len = 0;
        }
        Some(Origin::Outside)
    }

    /// The frame that [`Port::take`] took; empty where it was dropped.
    pub fn frame(&self) -> &[u8] {
        &self.incoming[..self.len]
    }

    /// Forgets that frame.
    pub fn drop_frame(&mut self) {
        self.drops.0 += u64::from(self.len > 0);
        self.len = 0;
    }

    /// Gives the interface what waits for it, as much as it takes.
    pub fn flush(&mut self) {
        let outside = self.outside.as_mut();
        let Some(outside) = outside.filter(|_| !self.lending.is_lent()) else {
            return;
        };
        while let Some(frame) = self.out.outgoing.front() {
            match outside.transmit(frame) {
                Err(NotSent::Full) => break,
                Ok(()) => {}
                Err(NotSent::Length | NotSent::Gone) => self.drops.1 += 1,
            }
            self.out.outgoing.pop_front();
        }
        outside.flush();
    }

    /// Whether frames wait to come back.
    pub fn has_looped(&self) -> bool {
        !self.out.looped.is_empty()
    }
}

impl Out {
    /// Puts a frame where it belongs; `false` where there is no room for it.
    fn send(&mut self, frame: Vec<u8>) -> bool {
        if self.is_for_us(&frame) {
            if self.looped.len() >= LOOPED {
                self.lo.sent.count_dropped(1);
                return false;
            }
            self.lo.sent.count(frame.len());
            self.looped.push_back(frame);
            return true;
        }
        let has_room = self.has_outside && self.outgoing.len() < OUTGOING;
        if has_room {
            self.outgoing.push_back(frame);
        }
        has_room
    }

    /// To our own Ethernet address, or a question about it.
    fn is_for_us(&self, bytes: &[u8]) -> bool {
        let Ok(frame) = EthernetFrame::new_checked(bytes) else {
            return false;
        };
        if frame.dst_addr().0 == self.mac.0 {
            return true;
        }
        let question = ArpPacket::new_checked(frame.payload()).and_then(|packet| ArpRepr::parse(&packet));
        match (frame.ethertype(), question) {
            (
                EthernetProtocol::Arp,
                Ok(ArpRepr::EthernetIpv4 {
                    operation: ArpOperation::Request,
                    target_protocol_addr,
                    ..
                }),
            ) => self.own.contains(&target_protocol_addr) || target_protocol_addr.is_loopback(),
            _ => false,
        }
    }
}

/// Whether a frame from outside may be looked at: to us or to all, and not about 127.0.0.0/8.
fn may_come_in(bytes: &[u8], mac: Mac) -> bool {
    let Ok(frame) = EthernetFrame::new_checked(bytes) else {
        return false;
    };
    let to = Mac(frame.dst_addr().0);
    if to != mac && !to.is_group() {
        return false;
    }
    match frame.ethertype() {
        EthernetProtocol::Ipv4 => Ipv4Packet::new_checked(frame.payload())
            .is_ok_and(|packet| !packet.src_addr().is_loopback() && !packet.dst_addr().is_loopback()),
        EthernetProtocol::Arp => {
            let packet = ArpPacket::new_checked(frame.payload());
            match packet.and_then(|packet| ArpRepr::parse(&packet)) {
                Ok(ArpRepr::EthernetIpv4 {
                    source_protocol_addr: source,
                    target_protocol_addr: target,
                    ..
                }) => !source.is_loopback() && !target.is_loopback(),
                _ => false,
            }
        }
        _ => false,
    }
}

/// The frame that came in.
pub struct Incoming<'a>(&'a [u8]);

impl RxToken for Incoming<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// Room for a frame that goes out.
pub struct Outgoing<'a>(&'a mut Out, &'a mut u64);

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        *self.1 += u64::from(!self.0.send(frame));
        result
    }
}

impl Device for Port {
    type RxToken<'a> = Incoming<'a>;
    type TxToken<'a> = Outgoing<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Incoming<'_>, Outgoing<'_>)> {
        let len = core::mem::take(&mut self.len);
        (len > 0).then_some((
            Incoming(&self.incoming[..len]),
            Outgoing(&mut self.out, &mut self.drops.1),
        ))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'_>> {
        Some(Outgoing(&mut self.out, &mut self.drops.1))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities
    }
}
