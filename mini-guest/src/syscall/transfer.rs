//! Moving bytes: read and write of every kind of open file.

use alloc::rc::Rc;

use super::disk::Direction;
use crate::fs::proc::{ProcNode, XenFile};
use crate::fs::{Body, OpenFile, What};
use crate::kernel::{Kernel, Stop, SysResult};
use crate::linux::Errno;
use crate::linux::file::OpenFlags;
use crate::linux::signal::Signal;
use crate::linux::socket::MessageFlags;
use crate::mm::{balloon, exchange};
use crate::pipe::{PipeEnd, Transfer};
use crate::process::WaitFor;
use crate::tty::TtyRead;

/// Bytes that are moved at a time.
const CHUNK: usize = 4096;
/// Longest transfer of one call, as on Linux.
pub(super) const MAX_TRANSFER: u32 = 0x7FFF_F000;

impl Kernel {
    pub(super) fn sys_read(&mut self, fd: u32, to: u32, len: u32) -> SysResult {
        let file = self.process().files.get(fd)?;
        if !file.flags.get().can_read() {
            return Err(Errno::EBADF.into());
        }
        if let What::Volume(..) | What::DiskFile(_) = &file.what {
            return self.disk_transfer(&file, &[(to, len)], Direction::Read);
        }
        if let What::Socket(socket) = &file.what {
            return self.read_socket(&file, socket.id(), &[(to, len)]);
        }
        let mut done = 0;
        while done < len.min(MAX_TRANSFER) {
            let at = to.checked_add(done).ok_or(Errno::EFAULT)?;
            let part = (len - done).min(CHUNK as u32);
            match self.read_part(&file, at, part, done == 0) {
                Ok(0) => break,
                Ok(count) => {
                    done += count;
                    // Terminals and pipes give what is there.
                    let is_stream = !file.what.has_position();
                    if count < part || is_stream {
                        break;
                    }
                }
                Err(_) if done > 0 => break,
                Err(stop) => return Err(stop),
            }
        }
        Ok(done)
    }

    /// Reads up to a chunk; only the first of a call may wait.
    fn read_part(&mut self, file: &Rc<OpenFile>, to: u32, len: u32, is_first: bool) -> SysResult {
        let mut buffer = [0; CHUNK];
        let buffer = &mut buffer[..len as usize];
        let position = file.position.get();
        let count = match &file.what {
            What::File(inode) => match &inode.body {
                Body::File(data) => data.data.borrow().read_at(position, buffer),
                _ => return Err(Errno::EINVAL.into()),
            },
            What::Text(_, text) => {
                let rest = usize::try_from(position)
                    .ok()
                    .and_then(|at| text.get(at..))
                    .unwrap_or_default();
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                count
            }
            What::Zero(_) => buffer.len(),
            What::Random(_) => {
                self.random.stir(crate::time::tsc());
                self.random.fill(buffer);
                buffer.len()
            }
            What::Null(_) => 0,
            What::Directory(_) => return Err(Errno::EISDIR.into()),
            What::Volume(..) | What::DiskFile(_) | What::Socket(_) => return Err(Errno::EINVAL.into()),
            What::Path(_) => return Err(Errno::EBADF.into()),
            What::Privcmd(_) => return Err(Errno::EINVAL.into()),
            What::Evtchn(_, ports) => return self.read_events(file, ports, (to, len), is_first),
            What::Consoles(_) => {
                let list = self.backend.consoles.list();
                let rest = usize::try_from(position).ok().and_then(|at| list.get(at..));
                let rest = rest.unwrap_or_default();
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                count
            }
            What::DomainConsole(_, domain, opening) => {
                return self.read_domain_console(file, (*domain, opening), (to, len), is_first);
            }
            What::Xenbus(_, connection) => return self.read_store(file, **connection, (to, len), is_first),
            What::Serial(_, number) => return self.read_serial(file, *number, (to, len), is_first),
            What::Console(_) => return self.read_terminal(file, to, len, is_first),
            What::Pipe(pipe) => return self.read_pipe(file, pipe, to, len, is_first),
        };
        self.copy_out(to, &buffer[..count])?;
        file.position.set(position + count as u64);
        Ok(count as u32)
    }

    fn read_terminal(&mut self, file: &OpenFile, to: u32, len: u32, is_first: bool) -> SysResult {
        self.check_foreground()?;
        // The address is judged before anything is taken.
        self.process().memory().borrow_mut().prepare_out(to, len)?;
        let read = self.tty.read(len as usize);
        self.show_echo();
        match read {
            TtyRead::Data(bytes) => {
                // There may be room again for what waits in the console.
                self.read_console();
                self.copy_out(to, &bytes)?;
                Ok(bytes.len() as u32)
            }
            TtyRead::Wait => self.wait_unless_nonblocking(file, WaitFor::TTY, is_first),
        }
    }

    fn read_pipe(&mut self, file: &OpenFile, pipe: &PipeEnd, to: u32, len: u32, is_first: bool) -> SysResult {
        self.process()
            .memory()
            .borrow_mut()
            .prepare_out(to, len.min(pipe.len() as u32))?;
        match pipe.read(len as usize)? {
            Transfer::Done(bytes) => {
                self.copy_out(to, &bytes)?;
                self.wake(WaitFor::PIPE);
                Ok(bytes.len() as u32)
            }
            Transfer::Wait => self.wait_unless_nonblocking(file, WaitFor::PIPE, is_first),
        }
    }

    pub(crate) fn wait_unless_nonblocking(
        &mut self,
        file: &OpenFile,
        what: WaitFor,
        may_wait: bool,
    ) -> SysResult {
        if file.flags.get().contains(OpenFlags::NONBLOCK) {
            return Err(Errno::EAGAIN.into());
        }
        if may_wait { Err(Stop::Wait(what)) } else { Ok(0) }
    }

    pub(super) fn sys_write(&mut self, fd: u32, from: u32, len: u32) -> SysResult {
        let file = self.process().files.get(fd)?;
        if !file.flags.get().can_write() {
            return Err(Errno::EBADF.into());
        }
        if let What::Pipe(pipe) = &file.what {
            return self.write_pipe(&file, pipe, from, len);
        }
        match &file.what {
            What::Console(_) => return self.write_terminal(&file, from, len),
            What::Evtchn(_, ports) => return self.unmask_events(ports, from, len),
            What::Volume(..) | What::DiskFile(_) => {
                return self.disk_transfer(&file, &[(from, len)], Direction::Write);
            }
            What::DomainConsole(_, domain, opening) => {
                return self.write_domain_console(&file, (*domain, opening), from, len);
            }
            What::Serial(_, number) => return self.write_serial(&file, *number, from, len),
            What::Xenbus(_, connection) => return self.write_store(&file, **connection, from, len),
            What::Socket(socket) => {
                return self.send_pieces(&file, socket.id(), &[(from, len)], MessageFlags::empty(), None);
            }
            _ => {}
        }
        let mut done = 0;
        while done < len.min(MAX_TRANSFER) {
            let at = from.checked_add(done).ok_or(Errno::EFAULT)?;
            let part = (len - done).min(CHUNK as u32);
            match self.write_part(&file, at, part) {
                Ok(count) => {
                    done += count;
                    if count < part {
                        break;
                    }
                }
                Err(_) if done > 0 => break,
                Err(stop) => return Err(stop),
            }
        }
        Ok(done)
    }

    fn write_part(&mut self, file: &OpenFile, from: u32, len: u32) -> SysResult {
        let mut buffer = [0; CHUNK];
        let bytes = &mut buffer[..len as usize];
        self.process().memory().borrow_mut().copy_in(from, bytes)?;
        match &file.what {
            What::Null(_) | What::Zero(_) | What::Random(_) => {}
            What::Text(ProcNode::XenFile(XenFile::Balloon), _) => {
                exchange::ask(balloon::parse_kib(bytes)?)?;
            }
            What::File(inode) => {
                let Body::File(data) = &inode.body else {
                    return Err(Errno::EINVAL.into());
                };
                let append = file.flags.get().contains(OpenFlags::APPEND);
                let position = if append { inode.size() } else { file.position.get() };
                let count = data.data.borrow_mut().write_at(position, bytes)?;
                data.changed();
                inode.mtime.set(self.wall_time());
                file.position.set(position + count as u64);
                return Ok(count as u32);
            }
            _ => return Err(Errno::EBADF.into()),
        }
        Ok(len)
    }

    fn write_terminal(&mut self, file: &OpenFile, from: u32, len: u32) -> SysResult {
        self.write_all(file, (from, len), WaitFor::OUTPUT, |kernel, bytes| {
            Ok(kernel.write_console(bytes))
        })
    }

    /// Writes all of it by parts, sleeping for `what` whenever `give` takes nothing; the call remembers how far it has come. Where something fails behind a part that
    /// was written, the answer is how much was.
    pub(crate) fn write_all(
        &mut self,
        file: &OpenFile,
        (from, len): (u32, u32),
        what: WaitFor,
        mut give: impl FnMut(&mut Self, &[u8]) -> Result<usize, Errno>,
    ) -> SysResult {
        loop {
            let done = self.process().call.done;
            if done >= len {
                return Ok(len);
            }
            let mut buffer = [0; CHUNK];
            let bytes = &mut buffer[..(len - done).min(CHUNK as u32) as usize];
            let at = from.wrapping_add(done);
            let copied = self.process().memory().borrow_mut().copy_in(at, bytes);
            match copied.and_then(|()| give(self, bytes)) {
                Ok(0) if !file.flags.get().contains(OpenFlags::NONBLOCK) => return Err(Stop::Wait(what)),
                Ok(0) if done == 0 => return Err(Errno::EAGAIN.into()),
                Err(errno) if done == 0 => return Err(errno.into()),
                Ok(0) | Err(_) => return Ok(done),
                Ok(count) => self.process().call.done = done + count as u32,
            }
        }
    }

    /// Writes all of it, sleeping whenever the pipe is full; the call remembers how far it has come.
    pub(super) fn write_pipe(&mut self, file: &OpenFile, pipe: &PipeEnd, from: u32, len: u32) -> SysResult {
        loop {
            let done = self.process().call.done;
            if done >= len {
                return Ok(len);
            }
            let wanted = (len - done).min(CHUNK as u32) as usize;
            // A small write is one piece; of a longer one any part may go first.
            let count = match pipe.room(if len as usize > CHUNK {
                wanted.max(CHUNK + 1)
            } else {
                wanted
            }) {
                Ok(Transfer::Done(count)) => count.min(wanted),
                Ok(Transfer::Wait) if file.flags.get().contains(OpenFlags::NONBLOCK) => {
                    return if done > 0 {
                        Ok(done)
                    } else {
                        Err(Errno::EAGAIN.into())
                    };
                }
                Ok(Transfer::Wait) => return Err(Stop::Wait(WaitFor::PIPE)),
                Err(Errno::EPIPE) => {
                    let pid = self.current;
                    self.send_signal(pid, Signal::PIPE);
                    return if done > 0 {
                        Ok(done)
                    } else {
                        Err(Errno::EPIPE.into())
                    };
                }
                Err(errno) => return Err(errno.into()),
            };
            let mut buffer = [0; CHUNK];
            let at = from.wrapping_add(done);
            let copied = self
                .process()
                .memory()
                .borrow_mut()
                .copy_in(at, &mut buffer[..count]);
            if let Err(errno) = copied {
                return if done > 0 { Ok(done) } else { Err(errno.into()) };
            }
            pipe.write(&buffer[..count]);
            self.process().call.done = done + count as u32;
            self.wake(WaitFor::PIPE);
        }
    }
}
