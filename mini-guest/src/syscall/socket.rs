//! Sockets: making them, addresses, connections.
//!
//! All calls go to [`crate::net::stack`], where nothing waits. A call that would have to sleeps until the stack says that something changed,
//! and is begun anew.

use alloc::rc::Rc;
use core::net::{Ipv4Addr, SocketAddrV4};

use super::Args;
use crate::fs::{OpenFile, What};
use crate::kernel::{Kernel, Stop, SysResult};
use crate::linux::file::OpenFlags;
use crate::linux::socket::{self, ADDRESS_BYTES, AF_INET, AF_UNSPEC, kind, protocol};
use crate::linux::{Errno, word};
use crate::net::stack::file::SocketFile;
use crate::net::stack::{Kind, SocketId};
use crate::process::WaitFor;

/// Most sockets of one process.
const MAX_PROCESS_SOCKETS: usize = 64;
/// Most bytes of an address that a program gives.
const MAX_ADDRESS: u32 = 128;
/// How many arguments each call of socketcall has, which are in memory there.
const SOCKETCALL: [usize; 21] = [0, 3, 3, 3, 2, 3, 3, 3, 4, 4, 4, 6, 6, 2, 5, 5, 3, 3, 4, 5, 4];

impl Kernel {
    pub(super) fn socket_call(&mut self, number: u32, args: Args) -> SysResult {
        let [a, b, c, d, e, f] = args;
        match number {
            102 => self.sys_socketcall(a, b),
            359 => self.sys_socket(a, b, c),
            // Pairs of sockets of one machine are not to be had.
            360 => Err(Errno::EOPNOTSUPP.into()),
            361 => self.sys_bind(a, b, c),
            362 => self.sys_connect(a, b, c),
            363 => self.sys_listen(a, b),
            364 => self.sys_accept(a, b, c, d),
            365 => self.sys_getsockopt([a, b, c, d, e, f]),
            366 => self.sys_setsockopt([a, b, c, d, e, f]),
            367 => self.sys_name(a, b, c, false),
            368 => self.sys_name(a, b, c, true),
            369 => self.sys_sendto([a, b, c, d, e, f]),
            370 => self.sys_sendmsg(a, b, c),
            371 => self.sys_recvfrom([a, b, c, d, e, f]),
            372 => self.sys_recvmsg(a, b, c),
            _ => self.sys_shutdown(a, b),
        }
    }

    /// The same calls with their arguments in memory.
    fn sys_socketcall(&mut self, call: u32, at: u32) -> SysResult {
        let count = SOCKETCALL.get(call as usize).copied().filter(|count| *count > 0);
        let count = count.ok_or(Errno::EINVAL)?;
        let mut block = [0; 24];
        let bytes = &mut block[..count * 4];
        self.process().memory().borrow_mut().copy_in(at, bytes)?;
        let args: Args = core::array::from_fn(|index| word(&block, index * 4));
        let [a, b, c, d, e, f] = args;
        let number = match call {
            1 => 359,
            2 => 361,
            3 => 362,
            4 => 363,
            5 => return self.sys_accept(a, b, c, 0),
            6 => 367,
            7 => 368,
            8 => 360,
            9 => return self.sys_sendto([a, b, c, d, 0, 0]),
            10 => return self.sys_recvfrom([a, b, c, d, 0, 0]),
            11 => 369,
            12 => 371,
            13 => 373,
            14 => 366,
            15 => 365,
            16 => 370,
            17 => 372,
            18 => 364,
            // Several messages in one call.
            _ => return Err(Errno::ENOSYS.into()),
        };
        self.socket_call(number, [a, b, c, d, e, f])
    }

    /// The socket behind a descriptor.
    pub(super) fn socket(&mut self, fd: u32) -> Result<(Rc<OpenFile>, SocketId), Errno> {
        let file = self.process().files.get(fd)?;
        match &file.what {
            What::Socket(socket) => {
                let id = socket.id();
                Ok((file, id))
            }
            _ => Err(Errno::ENOTSOCK),
        }
    }

    fn sys_socket(&mut self, family: u32, type_and_flags: u32, number: u32) -> SysResult {
        if family != AF_INET.into() {
            return Err(Errno::EAFNOSUPPORT.into());
        }
        let flags = type_and_flags & !kind::MASK;
        if flags & !(kind::NONBLOCK | kind::CLOEXEC) != 0 {
            return Err(Errno::EINVAL.into());
        }
        let what = match (type_and_flags & kind::MASK, number) {
            (kind::STREAM, protocol::IP | protocol::TCP) => Kind::Stream,
            (kind::DGRAM, protocol::IP | protocol::UDP) => Kind::Datagram,
            (kind::RAW, protocol::ICMP) => Kind::Icmp,
            (kind::STREAM | kind::DGRAM | kind::RAW, _) => return Err(Errno::EPROTONOSUPPORT.into()),
            _ => return Err(Errno::ESOCKTNOSUPPORT.into()),
        };
        self.may_have_socket()?;
        let id = self.net.stack.borrow_mut().open(what)?;
        self.add_socket(id, flags)
    }

    fn may_have_socket(&mut self) -> Result<(), Errno> {
        let files = self.process().files.iter();
        let sockets = files.filter(|file| matches!(file.what, What::Socket(_)));
        if sockets.count() >= MAX_PROCESS_SOCKETS {
            return Err(Errno::EMFILE);
        }
        Ok(())
    }

    /// Opens a file for a socket; without a free descriptor the socket ends.
    fn add_socket(&mut self, id: SocketId, flags: u32) -> SysResult {
        let socket = SocketFile::new(self.net.stack.clone(), id);
        let status = if flags & kind::NONBLOCK != 0 {
            OpenFlags::RDWR | OpenFlags::NONBLOCK
        } else {
            OpenFlags::RDWR
        };
        let file = OpenFile::new(What::Socket(socket), status);
        let close = flags & kind::CLOEXEC != 0;
        Ok(self.process().files.add(file, 0, close)?)
    }

    /// An address that a program gives.
    pub(super) fn address_in(&mut self, at: u32, len: u32) -> Result<SocketAddrV4, Errno> {
        if len > MAX_ADDRESS {
            return Err(Errno::EINVAL);
        }
        let mut bytes = [0; MAX_ADDRESS as usize];
        let bytes = &mut bytes[..len as usize];
        self.process().memory().borrow_mut().copy_in(at, bytes)?;
        if bytes.len() < ADDRESS_BYTES {
            return Err(Errno::EINVAL);
        }
        socket::read_address(bytes)
    }

    /// Gives a program an address, as much of it as the length at `len_at` allows; there the true length is put.
    pub(super) fn address_out(&mut self, to: u32, len_at: u32, address: SocketAddrV4) -> Result<(), Errno> {
        if to == 0 {
            return Ok(());
        }
        let room = u32::from_le_bytes(self.copy_in(len_at)?);
        if room > i32::MAX as u32 {
            return Err(Errno::EINVAL);
        }
        let bytes = socket::address(address);
        self.copy_out(to, &bytes[..bytes.len().min(room as usize)])?;
        self.copy_out(len_at, &(bytes.len() as u32).to_le_bytes())
    }

    fn sys_bind(&mut self, fd: u32, at: u32, len: u32) -> SysResult {
        let (_, id) = self.socket(fd)?;
        let address = self.address_in(at, len)?;
        self.net.stack.borrow_mut().bind(id, address)?;
        Ok(0)
    }

    fn sys_listen(&mut self, fd: u32, backlog: u32) -> SysResult {
        let (_, id) = self.socket(fd)?;
        // A negative number is as good as none.
        let backlog = u32::try_from(backlog as i32).unwrap_or(0);
        self.net.stack.borrow_mut().listen(id, backlog)?;
        Ok(0)
    }

    fn sys_connect(&mut self, fd: u32, at: u32, len: u32) -> SysResult {
        let (file, id) = self.socket(fd)?;
        let is_stream = self.net.stack.borrow().kind(id)?.0 == Kind::Stream;
        let address = if !is_stream && len >= 2 && self.copy_in::<2>(at)? == AF_UNSPEC.to_le_bytes() {
            SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)
        } else {
            self.address_in(at, len)?
        };
        let result = self.net.stack.borrow_mut().connect(id, address);
        match result {
            Err(errno @ (Errno::EINPROGRESS | Errno::EALREADY)) => {
                self.network_call();
                if file.flags.get().contains(OpenFlags::NONBLOCK) {
                    Err(errno.into())
                } else {
                    Err(Stop::Wait(WaitFor::NETWORK))
                }
            }
            other => Ok(other.map(|()| 0)?),
        }
    }

    fn sys_accept(&mut self, fd: u32, to: u32, len_at: u32, flags: u32) -> SysResult {
        if flags & !(kind::NONBLOCK | kind::CLOEXEC) != 0 {
            return Err(Errno::EINVAL.into());
        }
        let (file, id) = self.socket(fd)?;
        self.may_have_socket()?;
        let accepted = self.net.stack.borrow_mut().accept(id);
        let (new, peer) = match accepted {
            Err(Errno::EAGAIN) => return self.wait_for_network(&file, false),
            other => other?,
        };
        let fd = self.add_socket(new, flags)?;
        if let Err(errno) = self.address_out(to, len_at, peer) {
            // It was just given.
            let _ = self.process().files.close(fd);
            return Err(errno.into());
        }
        Ok(fd)
    }

    /// Sleeps until the stack has news; or says that one would have to.
    pub(super) fn wait_for_network(&mut self, file: &OpenFile, is_impatient: bool) -> SysResult {
        if is_impatient || file.flags.get().contains(OpenFlags::NONBLOCK) {
            return Err(Errno::EAGAIN.into());
        }
        self.network_call();
        Err(Stop::Wait(WaitFor::NETWORK))
    }

    fn sys_name(&mut self, fd: u32, to: u32, len_at: u32, of_peer: bool) -> SysResult {
        let (_, id) = self.socket(fd)?;
        let stack = self.net.stack.borrow();
        let address = if of_peer { stack.peer(id) } else { stack.local(id) };
        drop(stack);
        if to == 0 {
            return Err(Errno::EFAULT.into());
        }
        self.address_out(to, len_at, address?)?;
        Ok(0)
    }

    fn sys_shutdown(&mut self, fd: u32, how: u32) -> SysResult {
        let (_, id) = self.socket(fd)?;
        let (reading, writing) = match how {
            0 => (true, false),
            1 => (false, true),
            2 => (true, true),
            _ => return Err(Errno::EINVAL.into()),
        };
        self.net.stack.borrow_mut().shut_down(id, reading, writing)?;
        self.network_call();
        // Whoever sleeps in a read of it.
        self.wake(WaitFor::NETWORK);
        Ok(0)
    }
}
