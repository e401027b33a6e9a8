//! Descriptors: dup, fcntl, pipe, and what belongs to the open file behind one.

use crate::fs::{Body, OpenFile, What};
use crate::kernel::{Kernel, SysResult};
use crate::linux::Errno;
use crate::linux::file::OpenFlags;
use crate::linux::process::MAX_FILES;
use crate::pipe::PipeEnd;

/// Commands of fcntl.
mod command {
    pub const DUPFD: u32 = 0;
    pub const GETFD: u32 = 1;
    pub const SETFD: u32 = 2;
    pub const GETFL: u32 = 3;
    pub const SETFL: u32 = 4;
    pub const DUPFD_CLOEXEC: u32 = 1030;
}

/// The flag of F_SETFD.
const FD_CLOEXEC: u32 = 1;

impl Kernel {
    pub(super) fn sys_dup(&mut self, fd: u32) -> SysResult {
        let files = &mut self.process().files;
        let file = files.get(fd)?;
        Ok(files.add(file, 0, false)?)
    }

    pub(super) fn sys_dup2(&mut self, old: u32, new: u32) -> SysResult {
        let file = self.process().files.get(old)?;
        if old != new {
            self.process().files.set(new, file, false)?;
            self.files_closed();
        }
        Ok(new)
    }

    pub(super) fn sys_dup3(&mut self, old: u32, new: u32, flags: u32) -> SysResult {
        let flags = OpenFlags::from_bits(flags).filter(|flags| OpenFlags::CLOEXEC.contains(*flags));
        let flags = flags.filter(|_| old != new).ok_or(Errno::EINVAL)?;
        let file = self.process().files.get(old)?;
        self.process()
            .files
            .set(new, file, flags.contains(OpenFlags::CLOEXEC))?;
        self.files_closed();
        Ok(new)
    }

    pub(super) fn sys_pipe2(&mut self, to: u32, flags: u32) -> SysResult {
        crate::fs::enough_memory()?;
        let allowed = OpenFlags::CLOEXEC | OpenFlags::NONBLOCK;
        let flags = OpenFlags::from_bits(flags)
            .filter(|flags| allowed.contains(*flags))
            .ok_or(Errno::EINVAL)?;
        let (status, close) = (flags & OpenFlags::NONBLOCK, flags.contains(OpenFlags::CLOEXEC));
        let (read, write) = PipeEnd::pair();
        let files = &mut self.process().files;
        let read = files.add(OpenFile::new(What::Pipe(read), status), 0, close)?;
        let write = files.add(
            OpenFile::new(What::Pipe(write), status | OpenFlags::WRONLY),
            0,
            close,
        );
        let stored = match write {
            Ok(write) => {
                let numbers = u64::from(read) | u64::from(write) << 32;
                self.copy_out(to, &numbers.to_le_bytes()).inspect_err(|_| {
                    // The number was just given.
                    let _ = self.process().files.close(write);
                })
            }
            Err(errno) => Err(errno),
        };
        if stored.is_err() {
            let _ = self.process().files.close(read);
        }
        stored.map_err(Into::into).map(|()| 0)
    }

    pub(super) fn sys_fcntl(&mut self, fd: u32, cmd: u32, arg: u32) -> SysResult {
        let files = &mut self.process().files;
        let file = files.get(fd)?;
        Ok(match cmd {
            command::DUPFD | command::DUPFD_CLOEXEC => {
                if arg as usize >= MAX_FILES {
                    return Err(Errno::EINVAL.into());
                }
                files.add(file, arg, cmd == command::DUPFD_CLOEXEC)?
            }
            command::GETFD => u32::from(files.close_on_exec(fd)?),
            command::SETFD => {
                files.set_close_on_exec(fd, arg & FD_CLOEXEC != 0)?;
                0
            }
            command::GETFL => file.flags.get().bits(),
            command::SETFL => {
                let changeable = OpenFlags::APPEND | OpenFlags::NONBLOCK;
                let wanted = OpenFlags::from_bits_truncate(arg) & changeable;
                file.flags.set((file.flags.get() - changeable) | wanted);
                0
            }
            _ => return Err(Errno::EINVAL.into()),
        })
    }

    pub(super) fn sys_ftruncate(&mut self, fd: u32, len: u64) -> SysResult {
        let file = self.process().files.get(fd)?;
        if let What::DiskFile(node) = &file.what {
            if !file.flags.get().can_write() {
                return Err(Errno::EINVAL.into());
            }
            node.mount.set_len(&node.path, len)?;
            return Ok(0);
        }
        let What::File(inode) = &file.what else {
            return Err(Errno::EINVAL.into());
        };
        let Body::File(data) = &inode.body else {
            return Err(Errno::EINVAL.into());
        };
        if !file.flags.get().can_write() || len > i64::MAX as u64 {
            return Err(Errno::EINVAL.into());
        }
        data.data.borrow_mut().set_len(len)?;
        data.changed();
        Ok(0)
    }
}
