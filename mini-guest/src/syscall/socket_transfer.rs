//! Sockets: sending and receiving.

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::net::SocketAddrV4;

use super::Args;
use crate::fs::OpenFile;
use crate::kernel::{Kernel, SysResult};
use crate::linux::file::OpenFlags;
use crate::linux::signal::Signal;
use crate::linux::socket::MessageFlags;
use crate::linux::{Errno, Packed, word};
use crate::net::stack::{Kind, SocketId};

/// Bytes that are moved at a time; more than a datagram can have.
const CHUNK: usize = 4096;
/// Bytes of `struct msghdr`.
const HEADER: usize = 28;

/// Places in a program's memory: address and length of each.
type Pieces<'a> = &'a [(u32, u32)];

/// What was received.
struct Received {
    /// Bytes that the program has.
    count: u32,
    /// Bytes that there were.
    len: u32,
    from: Option<SocketAddrV4>,
}

fn flags(bits: u32) -> Result<MessageFlags, Errno> {
    MessageFlags::from_bits(bits).ok_or(Errno::EOPNOTSUPP)
}

impl Kernel {
    pub(super) fn sys_sendto(&mut self, [fd, from, len, bits, to, to_len]: Args) -> SysResult {
        let (file, id) = self.socket(fd)?;
        let to = if to == 0 {
            None
        } else {
            Some(self.address_in(to, to_len)?)
        };
        self.send_pieces(&file, id, &[(from, len)], flags(bits)?, to)
    }

    pub(super) fn sys_sendmsg(&mut self, fd: u32, header: u32, bits: u32) -> SysResult {
        let (file, id) = self.socket(fd)?;
        let header = self.copy_in::<HEADER>(header)?;
        let to = match word(&header, 0) {
            0 => None,
            at => Some(self.address_in(at, word(&header, 4))?),
        };
        if word(&header, 20) > 0 {
            // Nothing but bytes is sent.
            return Err(Errno::EINVAL.into());
        }
        let pieces = self.pieces(word(&header, 8), word(&header, 12))?;
        self.send_pieces(&file, id, &pieces, flags(bits)?, to)
    }

    /// Sends what is in `pieces`: a datagram, or bytes of a connection, sleeping whenever there is no room; the call remembers how far it
    /// has come.
    pub(super) fn send_pieces(
        &mut self,
        file: &Rc<OpenFile>,
        id: SocketId,
        pieces: Pieces<'_>,
        flags: MessageFlags,
        to: Option<SocketAddrV4>,
    ) -> SysResult {
        let is_stream = self.net.stack.borrow().kind(id)?.0 == Kind::Stream;
        let total = pieces
            .iter()
            .fold(0_u32, |sum, (_, len)| sum.saturating_add(*len));
        if !is_stream && total as usize > CHUNK {
            return Err(Errno::EMSGSIZE.into());
        }
        loop {
            let done = self.process().call.done;
            if is_stream && done >= total && done > 0 {
                return Ok(done);
            }
            let bytes = match self.gather(pieces, done) {
                Err(_) if done > 0 => return Ok(done),
                other => other?,
            };
            let sent = self.net.stack.borrow_mut().send(id, &bytes, to);
            match sent {
                Ok(count) => {
                    self.process().call.done = done + count as u32;
                    self.network_call();
                    if !is_stream || total == 0 {
                        return Ok(count as u32);
                    }
                }
                Err(Errno::EAGAIN) => {
                    let is_impatient = flags.contains(MessageFlags::DONTWAIT);
                    return match self.wait_for_network(file, is_impatient) {
                        Err(crate::kernel::Stop::Errno(_)) if done > 0 => Ok(done),
                        other => other,
                    };
                }
                Err(_) if done > 0 => return Ok(done),
                Err(errno) => {
                    if errno == Errno::EPIPE && is_stream && !flags.contains(MessageFlags::NOSIGNAL) {
                        let pid = self.current;
                        self.send_signal(pid, Signal::PIPE);
                    }
                    return Err(errno.into());
                }
            }
        }
    }

    /// Up to a chunk of the bytes in `pieces`, from byte `skip` on.
    fn gather(&mut self, pieces: Pieces<'_>, skip: u32) -> Result<Vec<u8>, Errno> {
        let mut bytes = Vec::new();
        let mut before = 0_u32;
        let memory = self.process().memory();
        for (at, len) in pieces {
            let begin = skip.saturating_sub(before).min(*len);
            let count = ((len - begin) as usize).min(CHUNK - bytes.len());
            let start = bytes.len();
            bytes.resize(start + count, 0);
            let at = at.checked_add(begin).ok_or(Errno::EFAULT)?;
            memory.borrow_mut().copy_in(at, &mut bytes[start..])?;
            before = before.saturating_add(*len);
        }
        Ok(bytes)
    }

    pub(super) fn sys_recvfrom(&mut self, [fd, to, len, bits, name, name_len]: Args) -> SysResult {
        let (file, id) = self.socket(fd)?;
        let flags = flags(bits)?;
        let received = self.receive_pieces(&file, id, &[(to, len)], flags)?;
        let Ok(received) = received else {
            return received.map(|_| 0);
        };
        if let Some(from) = received.from.filter(|_| name != 0) {
            self.address_out(name, name_len, from)?;
        }
        Ok(if flags.contains(MessageFlags::TRUNC) {
            received.len
        } else {
            received.count
        })
    }

    pub(super) fn sys_recvmsg(&mut self, fd: u32, at: u32, bits: u32) -> SysResult {
        let (file, id) = self.socket(fd)?;
        let flags = flags(bits)?;
        let header = self.copy_in::<HEADER>(at)?;
        let pieces = self.pieces(word(&header, 8), word(&header, 12))?;
        let received = self.receive_pieces(&file, id, &pieces, flags)?;
        let Ok(received) = received else {
            return received.map(|_| 0);
        };
        let (name, room) = (word(&header, 0), word(&header, 4));
        let mut name_len = 0;
        if let Some(from) = received.from.filter(|_| name != 0) {
            let bytes = crate::linux::socket::address(from);
            let count = bytes.len().min(room as usize);
            self.copy_out(name, &bytes[..count])?;
            name_len = bytes.len() as u32;
        }
        let is_cut = received.len > received.count;
        let told = if is_cut { MessageFlags::TRUNC.bits() } else { 0 };
        self.copy_out(at.wrapping_add(4), &name_len.to_le_bytes())?;
        let rest = Packed::<8>::new().u32(0).u32(told).finish();
        self.copy_out(at.wrapping_add(20), &rest)?;
        Ok(if flags.contains(MessageFlags::TRUNC) {
            received.len
        } else {
            received.count
        })
    }

    /// Reads a socket as any file is read.
    pub(super) fn read_socket(&mut self, file: &Rc<OpenFile>, id: SocketId, pieces: Pieces<'_>) -> SysResult {
        let received = self.receive_pieces(file, id, pieces, MessageFlags::empty())?;
        received.map(|received| received.count)
    }

    /// Receives into `pieces`: one datagram, or what a connection has (all of it that was asked for, with WAITALL).
    fn receive_pieces(
        &mut self,
        file: &Rc<OpenFile>,
        id: SocketId,
        pieces: Pieces<'_>,
        flags: MessageFlags,
    ) -> Result<Result<Received, crate::kernel::Stop>, Errno> {
        let is_stream = self.net.stack.borrow().kind(id)?.0 == Kind::Stream;
        let keep = flags.contains(MessageFlags::PEEK);
        let total = pieces
            .iter()
            .fold(0_u32, |sum, (_, len)| sum.saturating_add(*len));
        let waits_for_all = is_stream && !keep && flags.contains(MessageFlags::WAITALL);
        let mut buffer = vec![0; CHUNK];
        loop {
            let done = self.process().call.done;
            let wanted = (total - done).min(CHUNK as u32) as usize;
            // The places are judged before anything is taken.
            self.scatter(pieces, done, &buffer[..wanted], true)?;
            let result = if is_stream && wanted == 0 {
                Ok((0, None))
            } else {
                let mut stack = self.net.stack.borrow_mut();
                stack.receive(id, &mut buffer[..wanted], keep)
            };
            match result {
                Ok((len, from)) => {
                    let count = len.min(wanted);
                    self.scatter(pieces, done, &buffer[..count], false)?;
                    let done = done + count as u32;
                    self.process().call.done = done;
                    // There is room again, which the peer is told.
                    self.network_call();
                    // More may be there at once, of what was asked for.
                    let goes_on = is_stream && !keep && count == wanted && done < total;
                    if count > 0 && (goes_on || waits_for_all && done < total) {
                        continue;
                    }
                    let len = done.max(len as u32);
                    return Ok(Ok(Received {
                        count: done,
                        len,
                        from,
                    }));
                }
                Err(Errno::EAGAIN) if done > 0 && !waits_for_all => {
                    let from = None;
                    return Ok(Ok(Received {
                        count: done,
                        len: done,
                        from,
                    }));
                }
                Err(Errno::EAGAIN) => {
                    let is_impatient = flags.contains(MessageFlags::DONTWAIT)
                        || file.flags.get().contains(OpenFlags::NONBLOCK);
                    if is_impatient && done > 0 {
                        let from = None;
                        return Ok(Ok(Received {
                            count: done,
                            len: done,
                            from,
                        }));
                    }
                    return Ok(match self.wait_for_network(file, is_impatient) {
                        Err(stop) => Err(stop),
                        Ok(_) => Err(Errno::EAGAIN.into()),
                    });
                }
                Err(_) if done > 0 => {
                    let from = None;
                    return Ok(Ok(Received {
                        count: done,
                        len: done,
                        from,
                    }));
                }
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Puts bytes into `pieces` from byte `skip` on; or only looks whether that could be done.
    fn scatter(&mut self, pieces: Pieces<'_>, skip: u32, mut bytes: &[u8], tries: bool) -> Result<(), Errno> {
        let memory = self.process().memory();
        let mut before = 0_u32;
        for (at, len) in pieces {
            let begin = skip.saturating_sub(before).min(*len);
            let count = ((len - begin) as usize).min(bytes.len());
            let at = at.checked_add(begin).ok_or(Errno::EFAULT)?;
            if count > 0 && tries {
                memory.borrow_mut().prepare_out(at, count as u32)?;
            } else if count > 0 {
                memory.borrow_mut().copy_out(at, &bytes[..count])?;
            }
            bytes = &bytes[count..];
            before = before.saturating_add(*len);
        }
        Ok(())
    }
}
