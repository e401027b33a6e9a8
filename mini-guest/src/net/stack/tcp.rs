//! Connections.

use alloc::vec;
use core::net::SocketAddrV4;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{RecvError, Socket, SocketBuffer, State};
use smoltcp::time::Duration;

use super::socket::{Body, Entry, Kind, Options, Readiness, SocketId, endpoint};
use super::{Nanos, Stack};
use crate::linux::Errno;
use crate::linux::file::poll;

/// Most connections of one listening socket that are not accepted yet.
pub const MAX_BACKLOG: usize = 8;
/// Bytes that a connection keeps in each direction.
pub const BUFFER: usize = 8192;
const SECOND: Nanos = 1_000_000_000;
/// How long a peer may take to answer a connection request.
const CONNECT_NS: Nanos = 30 * SECOND;
/// How long a peer may leave bytes unanswered.
const SILENCE: Duration = Duration::from_secs(120);
/// How often a silent peer is asked, where that is wanted.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// How long a connection that no program has may take to end.
const ORPHAN_NS: Nanos = 30 * SECOND;
/// Most of those.
const MAX_ORPHANS: usize = 16;

/// A connection, or one that is being made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    pub handle: SocketHandle,
    pub peer: SocketAddrV4,
    pub is_connected: bool,
    /// When an attempt to connect is given up.
    pub deadline: Nanos,
}

/// A socket with empty buffers.
pub(super) fn tcp_socket() -> Socket<'static> {
    let mut socket = Socket::new(
        SocketBuffer::new(vec![0; BUFFER]),
        SocketBuffer::new(vec![0; BUFFER]),
    );
    socket.set_timeout(Some(SILENCE));
    socket
}

pub(super) fn apply(socket: &mut Socket<'_>, options: Options) {
    socket.set_nagle_enabled(!options.no_delay);
    socket.set_keep_alive(options.keep_alive.then_some(KEEP_ALIVE));
    socket.set_hop_limit((options.hops > 0).then_some(options.hops));
}

impl Stack {
    /// Makes a connection, or says how far one is that is being made; of other sockets, whom they speak with.
    ///
    /// # Errors
    /// EINPROGRESS: begun; EALREADY: not there yet; EISCONN; ECONNREFUSED, ETIMEDOUT: it failed; ENETUNREACH; EADDRNOTAVAIL; EOPNOTSUPP: it
    /// listens.
    pub fn connect(&mut self, id: SocketId, to: SocketAddrV4) -> Result<(), Errno> {
        self.settle(id);
        let entry = self.entry_mut(id)?;
        if entry.kind != Kind::Stream {
            return self.connect_datagram(id, to);
        }
        if let Some(error) = entry.error.take() {
            return Err(error);
        }
        match &mut entry.body {
            Body::Listener(_) => return Err(Errno::EISCONN),
            Body::Stream(stream) if !stream.is_connected => return Err(Errno::EALREADY),
            Body::Stream(_) if entry.peer.is_some() => return Err(Errno::EISCONN),
            Body::Stream(stream) => {
                // It is told once that it worked.
                entry.peer = Some(stream.peer);
                return Ok(());
            }
            _ => {}
        }
        self.begin_connection(id, to)?;
        Err(Errno::EINPROGRESS)
    }

    fn begin_connection(&mut self, id: SocketId, to: SocketAddrV4) -> Result<(), Errno> {
        if to.ip().is_unspecified() || to.port() == 0 {
            return Err(Errno::ECONNREFUSED);
        }
        if to.ip().is_broadcast() || to.ip().is_multicast() || self.is_own_broadcast(*to.ip()) {
            return Err(Errno::ENETUNREACH);
        }
        let source = self.source_for(*to.ip())?;
        self.make_room()?;
        let local = self.bind_if_needed(id, source)?;
        let local = if local.ip().is_unspecified() {
            SocketAddrV4::new(source, local.port())
        } else {
            local
        };
        let options = self.entry(id)?.options;
        let deadline = self.later(CONNECT_NS);
        let handle = self.sockets.add(tcp_socket());
        let socket = self.sockets.get_mut::<Socket<'_>>(handle);
        apply(socket, options);
        socket.set_timeout(Some(Duration::from_micros(CONNECT_NS / 1000)));
        if socket.connect(self.ip.context(), to, endpoint(local)).is_err() {
            self.sockets.remove(handle);
            return Err(Errno::EADDRNOTAVAIL);
        }
        let entry = self.entry_mut(id)?;
        (entry.is_read_shut, entry.is_write_shut) = (false, false);
        entry.local = local;
        entry.body = Body::Stream(Stream {
            handle,
            peer: to,
            is_connected: false,
            deadline,
        });
        Ok(())
    }

    /// Looks at how a connection is doing.
    pub(super) fn settle(&mut self, id: SocketId) {
        let now = self.now;
        let Some(entry) = self.entries.get_mut(&id.0) else {
            return;
        };
        let Body::Stream(stream) = &mut entry.body else {
            return;
        };
        let socket = self.sockets.get_mut::<Socket<'_>>(stream.handle);
        match socket.state() {
            State::SynSent | State::SynReceived | State::Listen => {}
            State::Closed if !stream.is_connected => {
                entry.error = Some(if now >= stream.deadline {
                    Errno::ETIMEDOUT
                } else {
                    Errno::ECONNREFUSED
                });
                self.sockets.remove(stream.handle);
                entry.body = Body::Idle;
            }
            // Who has not said goodbye himself has been thrown out.
            State::Closed if !entry.is_write_shut => {
                entry.error = Some(Errno::ECONNRESET);
                entry.is_write_shut = true;
            }
            _ if !stream.is_connected => {
                stream.is_connected = true;
                socket.set_timeout(Some(SILENCE));
            }
            _ => {}
        }
    }

    /// Sends bytes; how many there was room for.
    ///
    /// # Errors
    /// EAGAIN: none; EPIPE: it is shut; ECONNRESET, ETIMEDOUT: told once; ENOTCONN.
    pub(super) fn send_stream(&mut self, id: SocketId, bytes: &[u8]) -> Result<usize, Errno> {
        self.settle(id);
        let entry = self.entries.get_mut(&id.0).ok_or(Errno::EBADF)?;
        if let Some(error) = entry.error.take() {
            return Err(error);
        }
        if entry.is_write_shut {
            return Err(Errno::EPIPE);
        }
        let stream = match &entry.body {
            Body::Stream(stream) if stream.is_connected => stream,
            Body::Stream(_) => return Err(Errno::EAGAIN),
            _ => return Err(Errno::ENOTCONN),
        };
        let socket = self.sockets.get_mut::<Socket<'_>>(stream.handle);
        match socket.send_slice(bytes) {
            Ok(0) if !bytes.is_empty() => Err(Errno::EAGAIN),
            Ok(count) => Ok(count),
            Err(_) => Err(Errno::EPIPE),
        }
    }

    /// Takes bytes that came, or looks at them; none where no more will come.
    ///
    /// # Errors
    /// EAGAIN: none yet; ECONNRESET: told once; ENOTCONN.
    pub(super) fn receive_stream(&mut self, id: SocketId, to: &mut [u8], keep: bool) -> Result<usize, Errno> {
        self.settle(id);
        let entry = self.entries.get_mut(&id.0).ok_or(Errno::EBADF)?;
        let stream = match &entry.body {
            Body::Stream(stream) if stream.is_connected => stream,
            Body::Stream(_) => return Err(Errno::EAGAIN),
            _ => return Err(entry.error.take().unwrap_or(Errno::ENOTCONN)),
        };
        let socket = self.sockets.get_mut::<Socket<'_>>(stream.handle);
        let received = if keep {
            socket.peek_slice(to)
        } else {
            socket.recv_slice(to)
        };
        match received {
            Ok(0) if !to.is_empty() && !entry.is_read_shut => Err(Errno::EAGAIN),
            Ok(count) => Ok(count),
            Err(RecvError::Finished) => Ok(0),
            Err(RecvError::InvalidState) => entry.error.take().map_or(Ok(0), Err),
        }
    }

    /// Ends one or both directions of a socket.
    ///
    /// # Errors
    /// ENOTCONN.
    pub fn shut_down(&mut self, id: SocketId, reading: bool, writing: bool) -> Result<(), Errno> {
        self.settle(id);
        let entry = self.entries.get_mut(&id.0).ok_or(Errno::EBADF)?;
        match &entry.body {
            Body::Stream(stream) if stream.is_connected => {
                if writing {
                    self.sockets.get_mut::<Socket<'_>>(stream.handle).close();
                }
            }
            Body::Datagram(_) | Body::Icmp(_) if entry.peer.is_some() => {}
            Body::Listener(_) if reading => return self.stop_listening(id),
            _ => return Err(Errno::ENOTCONN),
        }
        entry.is_read_shut |= reading;
        entry.is_write_shut |= writing;
        Ok(())
    }

    pub(super) fn stream_readiness(&self, entry: &Entry, stream: &Stream) -> Readiness {
        if !stream.is_connected {
            return 0;
        }
        let socket = self.sockets.get::<Socket<'_>>(stream.handle);
        // Established, and nothing came: everything else is news to a reader.
        let has_ended = !socket.may_recv();
        let mut state = 0;
        if socket.can_recv() || has_ended || entry.is_read_shut {
            state |= poll::IN;
        }
        if has_ended || entry.is_read_shut {
            state |= poll::RDHUP;
        }
        // Who writes to what is shut is told so at once.
        if entry.is_write_shut || socket.can_send() {
            state |= poll::OUT;
        }
        if (has_ended || entry.is_read_shut) && entry.is_write_shut {
            state |= poll::HUP;
        }
        state
    }

    /// Bytes that wait to be read.
    pub fn waiting(&mut self, id: SocketId) -> usize {
        match self.entries.get(&id.0).map(|entry| &entry.body) {
            Some(Body::Stream(stream)) => self.sockets.get::<Socket<'_>>(stream.handle).recv_queue(),
            Some(_) => self.next_datagram(id).unwrap_or(0),
            None => 0,
        }
    }

    /// Leaves a connection to itself: it sends what is left, and says goodbye.
    pub(super) fn orphan(&mut self, handle: SocketHandle) {
        let until = self.later(ORPHAN_NS);
        let socket = self.sockets.get_mut::<Socket<'_>>(handle);
        if socket.recv_queue() > 0 {
            socket.abort();
        } else {
            socket.close();
        }
        self.orphans.push((handle, until));
        if self.orphans.len() > MAX_ORPHANS {
            // First one that has nothing left to say.
            let is_idle = |(handle, _): &(SocketHandle, Nanos)| {
                matches!(
                    self.sockets.get::<Socket<'_>>(*handle).state(),
                    State::Closed | State::TimeWait
                )
            };
            let index = self.orphans.iter().position(is_idle).unwrap_or(0);
            let (handle, _) = self.orphans.remove(index);
            self.sockets.remove(handle);
        }
    }

    /// Forgets connections that have ended, and those that take too long.
    pub(super) fn reap_orphans(&mut self) {
        let Self {
            orphans,
            sockets,
            now,
            is_behind,
            ..
        } = self;
        orphans.retain(|(handle, until)| {
            let socket = sockets.get_mut::<Socket<'_>>(*handle);
            let is_over = *until <= *now || socket.state() == State::Closed;
            if !is_over && socket.recv_queue() > 0 {
                // Nobody will read it, which its sender is told by the next poll.
                socket.abort();
                *is_behind = true;
            }
            if is_over {
                sockets.remove(*handle);
            }
            !is_over
        });
    }
}
