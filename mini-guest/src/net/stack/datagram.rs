//! Datagrams: UDP, and ICMP messages for `ping`.

use alloc::vec;
use core::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::iface::SocketHandle;
use smoltcp::socket::{Socket, raw, udp};
use smoltcp::wire::{IpProtocol, IpVersion, Ipv4Packet, Ipv4Repr};

use super::Stack;
use super::socket::{Body, Kind, SocketId, from_endpoint};
use crate::linux::Errno;
use crate::net::MTU;

/// Bytes of an IP header without options.
const IP_HEADER: usize = 20;
/// Bytes of a UDP header.
const UDP_HEADER: usize = 8;
/// Bytes of datagrams that a socket keeps in each direction, and how many.
const RECEIVED: (usize, usize) = (8192, 16);
const SENT: (usize, usize) = (4096, 8);
/// Hops that a packet may go.
const HOPS: u8 = 64;

pub(super) fn udp_socket() -> udp::Socket<'static> {
    let buffer =
        |(bytes, count)| udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; count], vec![0; bytes]);
    udp::Socket::new(buffer(RECEIVED), buffer(SENT))
}

pub(super) fn icmp_socket() -> raw::Socket<'static> {
    let buffer =
        |(bytes, count)| raw::PacketBuffer::new(vec![raw::PacketMetadata::EMPTY; count], vec![0; bytes]);
    raw::Socket::new(
        Some(IpVersion::Ipv4),
        Some(IpProtocol::Icmp),
        buffer(RECEIVED),
        buffer(SENT),
    )
}

impl Stack {
    /// Sends bytes: into a connection, or as one datagram, to whom the socket is connected where `to` says nobody else.
    ///
    /// # Errors
    /// EAGAIN: a connection has no room; EMSGSIZE: more than one packet holds; EDESTADDRREQ: to whom?; ENETUNREACH; EACCES: to all, without having
    /// asked for that; EPIPE, ECONNRESET, ENOTCONN: of connections.
    pub fn send(&mut self, id: SocketId, bytes: &[u8], to: Option<SocketAddrV4>) -> Result<usize, Errno> {
        let entry = self.entry_mut(id)?;
        if entry.kind == Kind::Stream {
            return self.send_stream(id, bytes);
        }
        if let Some(error) = entry.error.take() {
            return Err(error);
        }
        if entry.is_write_shut {
            return Err(Errno::EPIPE);
        }
        let to = to.or(entry.peer).ok_or(Errno::EDESTADDRREQ)?;
        let (options, ip) = (entry.options, *to.ip());
        if ip.is_unspecified() {
            return Err(Errno::ENETUNREACH);
        }
        if (ip.is_broadcast() || self.is_own_broadcast(ip)) && !options.broadcast {
            return Err(Errno::EACCES);
        }
        let route = self.source_for(ip)?;
        match self.entry(id)?.kind {
            Kind::Icmp => self.send_icmp(id, bytes, route, ip),
            _ => self.send_udp(id, bytes, route, to),
        }
    }

    fn send_udp(
        &mut self,
        id: SocketId,
        bytes: &[u8],
        route: Ipv4Addr,
        to: SocketAddrV4,
    ) -> Result<usize, Errno> {
        if to.port() == 0 {
            return Err(Errno::EINVAL);
        }
        if bytes.len() > MTU - IP_HEADER - UDP_HEADER {
            return Err(Errno::EMSGSIZE);
        }
        let local = self.bind_if_needed(id, Ipv4Addr::UNSPECIFIED)?;
        let Body::Datagram(handle) = self.entry(id)?.body else {
            return Err(Errno::EOPNOTSUPP);
        };
        let mut meta = udp::UdpMetadata::from(smoltcp::wire::IpEndpoint::from(to));
        let source = if self.is_own(*local.ip()) {
            *local.ip()
        } else {
            route
        };
        meta.local_address = Some(source.into());
        let mut sent = self
            .sockets
            .get_mut::<udp::Socket<'_>>(handle)
            .send_slice(bytes, meta);
        if sent == Err(udp::SendError::BufferFull) {
            let handle = self.unclog(id, handle);
            sent = self
                .sockets
                .get_mut::<udp::Socket<'_>>(handle)
                .send_slice(bytes, meta);
        }
        match sent {
            // What is lost is lost: nobody promised more of a datagram.
            Ok(()) | Err(udp::SendError::BufferFull) => Ok(bytes.len()),
            Err(udp::SendError::Unaddressable) => Err(Errno::EINVAL),
        }
    }

    /// Makes room in a socket that is full. What a poll does not send waits for a neighbour that does not answer, and would keep all that
    /// comes after it waiting: so it is forgotten, with a new socket in the old one's place, unless that has something to be read.
    fn unclog(&mut self, id: SocketId, handle: SocketHandle) -> SocketHandle {
        let news = self.poll(self.now);
        self.has_late_news |= news;
        let is_kept = match self.sockets.iter().find(|(other, _)| *other == handle) {
            Some((_, Socket::Udp(socket))) => socket.send_queue() == 0 || socket.can_recv(),
            Some((_, Socket::Raw(socket))) => socket.send_queue() == 0 || socket.can_recv(),
            _ => true,
        };
        let Some(entry) = self.entries.get_mut(&id.0).filter(|_| !is_kept) else {
            return handle;
        };
        let hops = (entry.options.hops > 0).then_some(entry.options.hops);
        let new = match &mut entry.body {
            Body::Datagram(place) => {
                let mut socket = udp_socket();
                socket.set_hop_limit(hops);
                // It is the old one's place, and not 0.
                let _ = socket.bind(super::socket::endpoint(entry.local));
                *place = self.sockets.add(socket);
                *place
            }
            Body::Icmp(place) => {
                *place = self.sockets.add(icmp_socket());
                *place
            }
            _ => return handle,
        };
        self.sockets.remove(handle);
        new
    }

    fn send_icmp(
        &mut self,
        id: SocketId,
        bytes: &[u8],
        route: Ipv4Addr,
        to: Ipv4Addr,
    ) -> Result<usize, Errno> {
        if bytes.len() > MTU - IP_HEADER {
            return Err(Errno::EMSGSIZE);
        }
        let entry = self.entry(id)?;
        let Body::Icmp(handle) = entry.body else {
            return Err(Errno::EOPNOTSUPP);
        };
        let bound = *entry.local.ip();
        let hops = entry.options.hops;
        let header = Ipv4Repr {
            src_addr: if self.is_own(bound) { bound } else { route },
            dst_addr: to,
            next_header: IpProtocol::Icmp,
            payload_len: bytes.len(),
            hop_limit: if hops > 0 { hops } else { HOPS },
        };
        let mut whole = vec![0; IP_HEADER + bytes.len()];
        let mut packet = Ipv4Packet::new_unchecked(&mut whole[..]);
        header.emit(&mut packet, &smoltcp::phy::ChecksumCapabilities::default());
        packet.payload_mut().copy_from_slice(bytes);
        if self
            .sockets
            .get_mut::<raw::Socket<'_>>(handle)
            .send_slice(&whole)
            .is_err()
        {
            let handle = self.unclog(id, handle);
            // As of datagrams.
            let _ = self.sockets.get_mut::<raw::Socket<'_>>(handle).send_slice(&whole);
        }
        Ok(bytes.len())
    }

    /// Takes the bytes of a connection, or the next datagram (or looks at it); what of a datagram does not fit is lost. How long it is,
    /// and who sent it.
    ///
    /// # Errors
    /// EAGAIN: nothing came; ECONNRESET, ENOTCONN: of connections.
    pub fn receive(
        &mut self,
        id: SocketId,
        to: &mut [u8],
        keep: bool,
    ) -> Result<(usize, Option<SocketAddrV4>), Errno> {
        let entry = self.entries.get_mut(&id.0).ok_or(Errno::EBADF)?;
        if entry.kind != Kind::Stream
            && let Some(error) = entry.error.take()
        {
            return Err(error);
        }
        let (peer, is_shut) = (entry.peer, entry.is_read_shut);
        match entry.body {
            Body::Datagram(handle) => {
                let socket = self.sockets.get_mut::<udp::Socket<'_>>(handle);
                loop {
                    let Ok((bytes, meta)) = socket.peek() else {
                        return if is_shut {
                            Ok((0, None))
                        } else {
                            Err(Errno::EAGAIN)
                        };
                    };
                    let from = from_endpoint(meta.endpoint);
                    let is_wanted = peer.is_none_or(|peer| peer == from);
                    let (len, count) = (bytes.len(), bytes.len().min(to.len()));
                    if is_wanted {
                        to[..count].copy_from_slice(&bytes[..count]);
                    }
                    if !is_wanted || !keep {
                        // It is there.
                        let _ = socket.recv();
                    }
                    if is_wanted {
                        return Ok((len, Some(from)));
                    }
                }
            }
            Body::Icmp(handle) => {
                let socket = self.sockets.get_mut::<raw::Socket<'_>>(handle);
                loop {
                    let Ok(bytes) = socket.peek() else {
                        return if is_shut {
                            Ok((0, None))
                        } else {
                            Err(Errno::EAGAIN)
                        };
                    };
                    let from = Ipv4Packet::new_checked(bytes).map(|packet| packet.src_addr());
                    let from = from.unwrap_or(Ipv4Addr::UNSPECIFIED);
                    let is_wanted = peer.is_none_or(|peer| *peer.ip() == from);
                    let (len, count) = (bytes.len(), bytes.len().min(to.len()));
                    if is_wanted {
                        to[..count].copy_from_slice(&bytes[..count]);
                    }
                    if !is_wanted || !keep {
                        let _ = socket.recv();
                    }
                    if is_wanted {
                        return Ok((len, Some(SocketAddrV4::new(from, 0))));
                    }
                }
            }
            _ => self
                .receive_stream(id, to, keep)
                .map(|count| (count, self.entry(id).ok().and_then(|entry| entry.peer))),
        }
    }

    /// Bytes of the next datagram.
    pub(super) fn next_datagram(&mut self, id: SocketId) -> Option<usize> {
        match self.entries.get(&id.0)?.body {
            Body::Datagram(handle) => {
                let socket = self.sockets.get_mut::<udp::Socket<'_>>(handle);
                socket.peek().ok().map(|(bytes, _)| bytes.len())
            }
            Body::Icmp(handle) => {
                let socket = self.sockets.get_mut::<raw::Socket<'_>>(handle);
                socket.peek().ok().map(<[u8]>::len)
            }
            _ => None,
        }
    }

    /// Says whom a datagram socket speaks with; port 0 of nobody ends that.
    pub(super) fn connect_datagram(&mut self, id: SocketId, to: SocketAddrV4) -> Result<(), Errno> {
        if !to.ip().is_unspecified() {
            let source = self.source_for(*to.ip())?;
            if self.entry(id)?.kind == Kind::Datagram {
                let local = self.bind_if_needed(id, Ipv4Addr::UNSPECIFIED)?;
                if local.ip().is_unspecified() {
                    self.entry_mut(id)?.local = SocketAddrV4::new(source, local.port());
                }
            }
        }
        self.entry_mut(id)?.peer = (!to.ip().is_unspecified()).then_some(to);
        Ok(())
    }
}
