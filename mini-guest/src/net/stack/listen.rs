//! Waiting for connections.
//!
//! smoltcp has no listening socket that makes others: each socket waits for one connection. So behind one that listens there is a list of
//! them: those that are being made or wait for accept(2), and one that takes the next. What asks for a connection when the list is full
//! is not answered, and asks again; half-made connections, which a flood leaves behind, make way after a while.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddrV4;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{Socket, State};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, TcpPacket};

use super::socket::{Body, Entry, Kind, SocketId, endpoint, from_endpoint};
use super::tcp::{MAX_BACKLOG, Stream, apply, tcp_socket};
use super::{Nanos, Stack};
use crate::linux::Errno;

/// How long a connection may be half made.
const HALF_OPEN_NS: Nanos = 5_000_000_000;
/// How long one may be when others are waiting for its place.
const CROWDED_NS: Nanos = 1_000_000_000;

/// A socket that listens.
#[derive(Debug)]
pub(super) struct Listener {
    local: SocketAddrV4,
    backlog: usize,
    slots: Vec<Slot>,
}

/// One connection that may come, is coming or has come.
#[derive(Debug)]
struct Slot {
    handle: SocketHandle,
    /// Since when it is half made.
    since: Option<Nanos>,
}

/// Who asks for a connection with whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Request {
    from: SocketAddrV4,
    to: SocketAddrV4,
}

impl Listener {
    /// Its sockets.
    pub(super) fn handles(&self) -> impl Iterator<Item = SocketHandle> {
        self.slots.iter().map(|slot| slot.handle)
    }

    fn is_for(&self, to: SocketAddrV4) -> bool {
        self.local.port() == to.port() && (self.local.ip().is_unspecified() || self.local.ip() == to.ip())
    }
}

impl Stack {
    /// Lets a socket wait for connections, of which `backlog` may wait for [`Stack::accept`].
    ///
    /// # Errors
    /// EINVAL: it is connected; EOPNOTSUPP: no stream; EADDRINUSE; ENFILE, ENOMEM.
    pub fn listen(&mut self, id: SocketId, backlog: u32) -> Result<(), Errno> {
        let backlog = usize::try_from(backlog)
            .unwrap_or(MAX_BACKLOG)
            .clamp(1, MAX_BACKLOG);
        let entry = self.entry_mut(id)?;
        if entry.kind != Kind::Stream {
            return Err(Errno::EOPNOTSUPP);
        }
        match &mut entry.body {
            Body::Idle => {}
            Body::Listener(listener) => {
                listener.backlog = backlog;
                return Ok(());
            }
            _ => return Err(Errno::EINVAL),
        }
        self.make_room()?;
        let local = self.bind_if_needed(id, core::net::Ipv4Addr::UNSPECIFIED)?;
        let others = self.entries.iter().filter(|(other, _)| **other != id.0);
        let is_taken = others.into_iter().any(|(_, entry)| match &entry.body {
            Body::Listener(listener) => {
                listener.is_for(local) || listener.local.port() == local.port() && local.ip().is_unspecified()
            }
            _ => false,
        });
        if is_taken {
            return Err(Errno::EADDRINUSE);
        }
        self.entry_mut(id)?.body = Body::Listener(Box::new(Listener {
            local,
            backlog,
            slots: Vec::new(),
        }));
        self.tend_listeners();
        Ok(())
    }

    /// Gives up listening, as shutdown(2) of such a socket does.
    pub(super) fn stop_listening(&mut self, id: SocketId) -> Result<(), Errno> {
        let entry = self.entry_mut(id)?;
        if let Body::Listener(listener) = core::mem::replace(&mut entry.body, Body::Idle) {
            for handle in listener.handles() {
                self.sockets.get_mut::<Socket<'_>>(handle).abort();
                self.orphan(handle);
            }
        }
        Ok(())
    }

    /// Gives a connection that has come a socket of its own.
    ///
    /// # Errors
    /// EAGAIN: none has; EINVAL: it does not listen; EOPNOTSUPP: it never could.
    pub fn accept(&mut self, id: SocketId) -> Result<(SocketId, SocketAddrV4), Errno> {
        let entry = self.entry(id)?;
        let options = entry.options;
        let listener = match &entry.body {
            Body::Listener(listener) => listener,
            _ if entry.kind == Kind::Stream => return Err(Errno::EINVAL),
            _ => return Err(Errno::EOPNOTSUPP),
        };
        let index = self.acceptable(listener).ok_or(Errno::EAGAIN)?;
        let Body::Listener(listener) = &mut self.entry_mut(id)?.body else {
            return Err(Errno::EINVAL);
        };
        let handle = listener.slots.remove(index).handle;
        let socket = self.sockets.get_mut::<Socket<'_>>(handle);
        apply(socket, options);
        let ends = socket.local_endpoint().zip(socket.remote_endpoint());
        let Some((local, peer)) = ends.map(|(local, peer)| (from_endpoint(local), from_endpoint(peer)))
        else {
            self.sockets.remove(handle);
            return Err(Errno::ECONNABORTED);
        };
        let stream = Stream {
            handle,
            peer,
            is_connected: true,
            deadline: 0,
        };
        let mut entry = Entry::new(Kind::Stream, Body::Stream(stream));
        (entry.local, entry.peer, entry.options) = (local, Some(peer), options);
        self.tend_listeners();
        Ok((self.add(entry), peer))
    }

    /// The place of a connection that can be accepted.
    pub(super) fn acceptable(&self, listener: &Listener) -> Option<usize> {
        listener.slots.iter().position(|slot| {
            let socket = self.sockets.get::<Socket<'_>>(slot.handle);
            matches!(socket.state(), State::Established | State::CloseWait)
        })
    }

    /// Keeps one socket of each listening one ready for the next connection; forgets what came to nothing. Whether anything can
    /// be accepted that could not.
    pub(super) fn tend_listeners(&mut self) -> bool {
        let mut has_news = false;
        let mut count = self.sockets.iter().count();
        for entry in self.entries.values_mut() {
            let Body::Listener(listener) = &mut entry.body else {
                continue;
            };
            let (sockets, now) = (&mut self.sockets, self.now);
            listener.slots.retain_mut(|slot| {
                let socket = sockets.get_mut::<Socket<'_>>(slot.handle);
                let is_over = match socket.state() {
                    State::Listen => {
                        slot.since = None;
                        false
                    }
                    State::SynReceived => {
                        let since = *slot.since.get_or_insert(now);
                        now.saturating_sub(since) >= HALF_OPEN_NS
                    }
                    State::Established | State::CloseWait => {
                        has_news |= slot.since.take().is_some();
                        false
                    }
                    _ => true,
                };
                if is_over {
                    sockets.remove(slot.handle);
                    count -= 1;
                }
                !is_over
            });
            let is_listening = |slot: &Slot| sockets.get::<Socket<'_>>(slot.handle).is_listening();
            let has_room = listener.slots.len() < listener.backlog
                && count < super::MAX_SOCKETS
                && crate::fs::enough_memory().is_ok();
            if has_room && !listener.slots.iter().any(is_listening) {
                let mut socket = tcp_socket();
                // A port that is not 0, of a socket that is closed.
                if socket.listen(endpoint(listener.local)).is_ok() {
                    let handle = sockets.add(socket);
                    count += 1;
                    listener.slots.push(Slot { handle, since: None });
                }
            }
        }
        has_news
    }

    /// When the first half-made connection is given up.
    pub(super) fn half_open_until(&self) -> Option<Nanos> {
        let listeners = self.entries.values().filter_map(|entry| match &entry.body {
            Body::Listener(listener) => Some(listener),
            _ => None,
        });
        let since = listeners.flat_map(|listener| listener.slots.iter().filter_map(|slot| slot.since));
        since.min().map(|since| since.saturating_add(HALF_OPEN_NS))
    }

    /// Whether the frame that has just come in may be given to smoltcp: all may but requests for connections that would be
    /// misunderstood (said twice) or refused (when there is no room).
    pub(super) fn may_pass(&mut self, _: Instant) -> bool {
        let Some(request) = request(self.port.frame()) else {
            return true;
        };
        self.tend_listeners();
        self.forget_old(request);
        // Said twice: the answer is on its way, or will be sent again.
        let is_known = self.sockets.iter().any(|(_, socket)| match socket {
            smoltcp::socket::Socket::Tcp(socket) => is_of(socket, request),
            _ => false,
        });
        if is_known {
            return false;
        }
        let now = self.now;
        let listener = self.entries.values_mut().find_map(|entry| match &mut entry.body {
            Body::Listener(listener) if listener.is_for(request.to) => Some(listener),
            _ => None,
        });
        let Some(listener) = listener else {
            // Nobody: it is refused.
            return true;
        };
        let sockets = &mut self.sockets;
        if listener
            .handles()
            .any(|handle| sockets.get::<Socket<'_>>(handle).is_listening())
        {
            return true;
        }
        // The oldest half-made one makes way, if it has had some time.
        let old = listener
            .slots
            .iter()
            .filter_map(|slot| Some((slot.since?, slot.handle)));
        let Some((since, handle)) = old.min_by_key(|(since, _)| *since) else {
            return false;
        };
        if now.saturating_sub(since) < CROWDED_NS {
            return false;
        }
        let socket = sockets.get_mut::<Socket<'_>>(handle);
        socket.abort();
        listener.slots.retain(|slot| slot.handle != handle);
        sockets.remove(handle);
        self.tend_listeners();
        true
    }

    /// A connection that has ended on both sides does not stand in the way of a new one with the same numbers.
    fn forget_old(&mut self, request: Request) {
        let Self { orphans, sockets, .. } = self;
        orphans.retain(|(handle, _)| {
            let socket = sockets.get::<Socket<'_>>(*handle);
            let is_old = socket.state() == State::TimeWait && is_of(socket, request);
            if is_old {
                sockets.remove(*handle);
            }
            !is_old
        });
    }
}

fn is_of(socket: &Socket<'_>, request: Request) -> bool {
    let ends = socket.local_endpoint().zip(socket.remote_endpoint());
    ends.is_some_and(|(local, peer)| {
        from_endpoint(local) == request.to && from_endpoint(peer) == request.from
    })
}

/// The request for a connection that a frame is.
fn request(frame: &[u8]) -> Option<Request> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    if frame.ethertype() != EthernetProtocol::Ipv4 {
        return None;
    }
    let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
    if packet.next_header() != IpProtocol::Tcp {
        return None;
    }
    let segment = TcpPacket::new_checked(packet.payload()).ok()?;
    (segment.syn() && !segment.ack() && !segment.rst()).then(|| Request {
        from: SocketAddrV4::new(packet.src_addr(), segment.src_port()),
        to: SocketAddrV4::new(packet.dst_addr(), segment.dst_port()),
    })
}
