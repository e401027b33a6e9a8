//! What all sockets have: the table, their kinds, ports and addresses, and what can be waited for.

use alloc::boxed::Box;
use core::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::iface::SocketHandle;
use smoltcp::socket::{raw, tcp, udp};

use super::listen::Listener;
use super::tcp::Stream;
use super::{Nanos, Stack};
use crate::linux::Errno;
use crate::linux::file::poll;

/// Most sockets of the kernel, with connections that are not accepted yet or not over yet.
pub const MAX_SOCKETS: usize = 128;
/// First of the ports that are given to who asks for none (RFC 6335).
const FIRST_EPHEMERAL: u16 = 49152;

/// A socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SocketId(pub(super) u32);

/// What a socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// TCP.
    Stream,
    /// UDP.
    Datagram,
    /// ICMP: whole packets come, messages go.
    Icmp,
}

/// What a socket allows now, as poll(2) tells it.
pub type Readiness = u16;

/// What a program has set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The port may be one that another socket had a moment ago.
    pub reuse_address: bool,
    /// Datagrams to everybody may be sent.
    pub broadcast: bool,
    /// Silent peers are asked whether they are there.
    pub keep_alive: bool,
    /// Small segments go at once.
    pub no_delay: bool,
    /// Hops that packets may go, 0: as many as usual.
    pub hops: u8,
}

/// One socket.
#[derive(Debug)]
pub(super) struct Entry {
    pub kind: Kind,
    /// Where it is bound; port 0 where it is not.
    pub local: SocketAddrV4,
    /// Whom a datagram socket is connected to.
    pub peer: Option<SocketAddrV4>,
    pub options: Options,
    /// What failed and was not told yet.
    pub error: Option<Errno>,
    pub is_read_shut: bool,
    pub is_write_shut: bool,
    pub body: Body,
}

/// What is behind a socket.
#[derive(Debug)]
pub(super) enum Body {
    /// Nothing yet.
    Idle,
    Stream(Stream),
    Listener(Box<Listener>),
    Datagram(SocketHandle),
    Icmp(SocketHandle),
}

const ANY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);

impl Entry {
    pub(super) fn new(kind: Kind, body: Body) -> Self {
        Self {
            kind,
            local: ANY,
            peer: None,
            options: Options::default(),
            error: None,
            is_read_shut: false,
            is_write_shut: false,
            body,
        }
    }
}

impl Stack {
    /// Makes a socket.
    ///
    /// # Errors
    /// ENFILE: there are [`MAX_SOCKETS`]; ENOMEM.
    pub fn open(&mut self, kind: Kind) -> Result<SocketId, Errno> {
        self.make_room()?;
        let body = match kind {
            Kind::Stream => Body::Idle,
            Kind::Datagram => Body::Datagram(self.sockets.add(super::datagram::udp_socket())),
            Kind::Icmp => Body::Icmp(self.sockets.add(super::datagram::icmp_socket())),
        };
        Ok(self.add(Entry::new(kind, body)))
    }

    pub(super) fn add(&mut self, entry: Entry) -> SocketId {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if !self.entries.contains_key(&self.last_id) {
                break;
            }
        }
        self.entries.insert(self.last_id, entry);
        SocketId(self.last_id)
    }

    /// Refuses another socket where there are too many; connections that nobody has any more go first.
    pub(super) fn make_room(&mut self) -> Result<(), Errno> {
        crate::fs::enough_memory()?;
        let idle = self.entries.values();
        let idle = idle.filter(|entry| matches!(entry.body, Body::Idle)).count();
        if self.sockets.iter().count() + idle < MAX_SOCKETS {
            return Ok(());
        }
        if self.orphans.is_empty() {
            return Err(Errno::ENFILE);
        }
        let (handle, _) = self.orphans.remove(0);
        self.sockets.remove(handle);
        Ok(())
    }

    pub(super) fn entry(&self, id: SocketId) -> Result<&Entry, Errno> {
        self.entries.get(&id.0).ok_or(Errno::EBADF)
    }

    pub(super) fn entry_mut(&mut self, id: SocketId) -> Result<&mut Entry, Errno> {
        self.entries.get_mut(&id.0).ok_or(Errno::EBADF)
    }

    /// Ends a socket's use. A connection sends what is left and says goodbye; one with bytes that nobody read is reset.
    pub fn close(&mut self, id: SocketId) {
        let Some(entry) = self.entries.remove(&id.0) else {
            return;
        };
        match entry.body {
            Body::Idle => {}
            Body::Datagram(handle) | Body::Icmp(handle) => drop(self.sockets.remove(handle)),
            Body::Stream(stream) => self.orphan(stream.handle),
            Body::Listener(listener) => {
                for handle in listener.handles() {
                    self.sockets.get_mut::<tcp::Socket<'_>>(handle).abort();
                    self.orphan(handle);
                }
            }
        }
        self.is_behind = true;
    }

    /// Binds a socket; port 0 is one that is free.
    ///
    /// # Errors
    /// EADDRNOTAVAIL: not our address; EADDRINUSE; EINVAL: it is bound or connected.
    pub fn bind(&mut self, id: SocketId, to: SocketAddrV4) -> Result<(), Errno> {
        let entry = self.entry(id)?;
        let kind = entry.kind;
        let is_fresh =
            entry.local.port() == 0 && matches!(entry.body, Body::Idle | Body::Datagram(_) | Body::Icmp(_));
        if !is_fresh {
            return Err(Errno::EINVAL);
        }
        let ip = *to.ip();
        let is_to_all = kind != Kind::Stream && (ip.is_broadcast() || self.is_own_broadcast(ip));
        if !ip.is_unspecified() && !self.is_own(ip) && !is_to_all {
            return Err(Errno::EADDRNOTAVAIL);
        }
        if kind == Kind::Icmp {
            self.entry_mut(id)?.local = SocketAddrV4::new(ip, 0);
            return Ok(());
        }
        let port = match to.port() {
            0 => self.free_port(kind, ip)?,
            port if self.is_taken(id, kind, ip, port) => return Err(Errno::EADDRINUSE),
            port => port,
        };
        self.bind_to(id, SocketAddrV4::new(ip, port))
    }

    fn bind_to(&mut self, id: SocketId, local: SocketAddrV4) -> Result<(), Errno> {
        let entry = self.entries.get_mut(&id.0).ok_or(Errno::EBADF)?;
        if let Body::Datagram(handle) = entry.body {
            let socket = self.sockets.get_mut::<udp::Socket<'_>>(handle);
            socket.bind(endpoint(local)).map_err(|_| Errno::EINVAL)?;
        }
        entry.local = local;
        Ok(())
    }

    /// Gives a socket that is not bound a port of its own.
    pub(super) fn bind_if_needed(&mut self, id: SocketId, ip: Ipv4Addr) -> Result<SocketAddrV4, Errno> {
        let entry = self.entry(id)?;
        if entry.local.port() == 0 {
            let local = SocketAddrV4::new(ip, self.free_port(entry.kind, ip)?);
            self.bind_to(id, local)?;
        }
        Ok(self.entry(id)?.local)
    }

    /// Whether another socket of the kind has the port at an address that overlaps.
    fn is_taken(&self, id: SocketId, kind: Kind, ip: Ipv4Addr, port: u16) -> bool {
        let reuses = self
            .entries
            .get(&id.0)
            .is_some_and(|entry| entry.options.reuse_address);
        self.entries.iter().any(|(other, entry)| {
            let (other_ip, other_port) = (*entry.local.ip(), entry.local.port());
            let overlaps = other_ip == ip || other_ip.is_unspecified() || ip.is_unspecified();
            // Who reuses may share the port with connections, never with one that listens.
            let shares = reuses && entry.options.reuse_address && !matches!(entry.body, Body::Listener(_));
            *other != id.0 && entry.kind == kind && other_port == port && overlaps && !shares
        })
    }

    fn free_port(&mut self, kind: Kind, ip: Ipv4Addr) -> Result<u16, Errno> {
        for _ in 0..=u16::MAX - FIRST_EPHEMERAL {
            self.last_port = self.last_port.wrapping_add(1).max(FIRST_EPHEMERAL);
            let port = self.last_port;
            let is_orphans = self.orphans.iter().any(|(handle, _)| {
                let socket = self.sockets.get::<tcp::Socket<'_>>(*handle);
                socket.local_endpoint().is_some_and(|local| local.port == port)
            });
            // No socket has the number 0.
            if !is_orphans && !self.is_taken(SocketId(0), kind, ip, port) {
                return Ok(port);
            }
        }
        Err(Errno::EADDRINUSE)
    }

    /// Where a socket is bound; port 0 where it is not.
    ///
    /// # Errors
    /// EBADF.
    pub fn local(&self, id: SocketId) -> Result<SocketAddrV4, Errno> {
        self.entry(id).map(|entry| entry.local)
    }

    /// Whom a socket is connected to.
    ///
    /// # Errors
    /// ENOTCONN.
    pub fn peer(&self, id: SocketId) -> Result<SocketAddrV4, Errno> {
        let entry = self.entry(id)?;
        match &entry.body {
            Body::Stream(stream) if stream.is_connected => Ok(stream.peer),
            _ => entry.peer.ok_or(Errno::ENOTCONN),
        }
    }

    /// What a socket speaks, and whether it listens.
    ///
    /// # Errors
    /// EBADF.
    pub fn kind(&self, id: SocketId) -> Result<(Kind, bool), Errno> {
        let entry = self.entry(id)?;
        Ok((entry.kind, matches!(entry.body, Body::Listener(_))))
    }

    /// What a program has set.
    ///
    /// # Errors
    /// EBADF.
    pub fn options(&self, id: SocketId) -> Result<Options, Errno> {
        self.entry(id).map(|entry| entry.options)
    }

    /// Sets it.
    ///
    /// # Errors
    /// EBADF.
    pub fn set_options(&mut self, id: SocketId, options: Options) -> Result<(), Errno> {
        let entry = self.entries.get_mut(&id.0).ok_or(Errno::EBADF)?;
        entry.options = options;
        let hops = (options.hops > 0).then_some(options.hops);
        match entry.body {
            Body::Stream(Stream { handle, .. }) => {
                super::tcp::apply(self.sockets.get_mut(handle), options);
            }
            Body::Datagram(handle) => self
                .sockets
                .get_mut::<udp::Socket<'_>>(handle)
                .set_hop_limit(hops),
            _ => {}
        }
        Ok(())
    }

    /// What failed and was not told yet; then it is.
    ///
    /// # Errors
    /// EBADF.
    pub fn take_error(&mut self, id: SocketId) -> Result<Option<Errno>, Errno> {
        self.settle(id);
        Ok(self.entry_mut(id)?.error.take())
    }

    /// What a socket allows now.
    pub fn readiness(&mut self, id: SocketId) -> Readiness {
        self.settle(id);
        let Ok(entry) = self.entry(id) else {
            return poll::NVAL;
        };
        let ready = |is_ready, what| if is_ready { what } else { 0 };
        let (is_shut, failed) = (entry.is_read_shut, entry.error.is_some());
        let error = ready(failed, poll::ERR);
        error
            | match &entry.body {
                Body::Idle => poll::OUT | poll::HUP | ready(failed, poll::IN),
                Body::Listener(listener) => ready(self.acceptable(listener).is_some(), poll::IN),
                Body::Stream(stream) => self.stream_readiness(entry, stream),
                Body::Datagram(handle) => {
                    let socket = self.sockets.get::<udp::Socket<'_>>(*handle);
                    ready(socket.can_recv() || is_shut, poll::IN)
                        | ready(!socket.is_open() || socket.can_send(), poll::OUT)
                }
                Body::Icmp(handle) => {
                    let socket = self.sockets.get::<raw::Socket<'_>>(*handle);
                    ready(socket.can_recv() || is_shut, poll::IN) | ready(socket.can_send(), poll::OUT)
                }
            }
    }

    // Addresses.

    /// Whether it is one of our addresses.
    #[must_use]
    pub fn is_own(&self, ip: Ipv4Addr) -> bool {
        ip == Ipv4Addr::LOCALHOST || self.address.is_some_and(|own| own.address == ip)
    }

    pub(super) fn is_own_broadcast(&self, ip: Ipv4Addr) -> bool {
        self.address
            .is_some_and(|own| own.prefix < 31 && own.broadcast() == ip)
    }

    /// The address that packets to `to` are sent from.
    ///
    /// # Errors
    /// ENETUNREACH: there is no way there.
    pub(super) fn source_for(&self, to: Ipv4Addr) -> Result<Ipv4Addr, Errno> {
        if to == Ipv4Addr::LOCALHOST {
            return Ok(to);
        }
        match self.address {
            Some(own)
                if to.is_broadcast() || own.is_near(to) || own.gateway.is_some() && !to.is_loopback() =>
            {
                Ok(own.address)
            }
            // Who has no address yet asks everybody.
            None if to.is_broadcast() && self.mac.is_some() => Ok(Ipv4Addr::UNSPECIFIED),
            _ => Err(Errno::ENETUNREACH),
        }
    }

    /// When it is `span` from now.
    pub(super) fn later(&self, span: Nanos) -> Nanos {
        self.now.saturating_add(span)
    }
}

/// As smoltcp has it: no address for any.
pub(super) fn endpoint(local: SocketAddrV4) -> smoltcp::wire::IpListenEndpoint {
    smoltcp::wire::IpListenEndpoint {
        addr: (!local.ip().is_unspecified()).then(|| (*local.ip()).into()),
        port: local.port(),
    }
}

/// An endpoint of smoltcp, which knows no addresses here but IPv4's.
pub(super) fn from_endpoint(endpoint: smoltcp::wire::IpEndpoint) -> SocketAddrV4 {
    let smoltcp::wire::IpAddress::Ipv4(ip) = endpoint.addr;
    SocketAddrV4::new(ip, endpoint.port)
}
