//! What paths lead to: stat, access, readlink, directories, modes.

use super::Args;
use crate::fs::tree::{Follow, Node};
use crate::kernel::{Kernel, SysResult};
use crate::linux::Errno;
use crate::linux::file::{
    AT_EMPTY_PATH, AT_FDCWD, AT_NO_AUTOMOUNT, AT_STATX_SYNC, AT_SYMLINK_NOFOLLOW, Stat, mode,
};
use crate::linux::process::MAX_PATH;
use crate::linux::time::TimeSpec;
use crate::time;

/// Longest buffer of getdents64 that is filled at once.
const MAX_RECORDS: u32 = 32 * 1024;
/// `access` asks for execute permission.
const X_OK: u32 = 1;
/// All that `access` can ask for.
const ACCESS_BITS: u32 = 7;
/// The present working directory as a `…at` call names it.
const CWD: u32 = AT_FDCWD as u32;

impl Kernel {
    pub(super) fn path_call(&mut self, number: u32, args: Args) -> SysResult {
        let [a, b, c, d, e, _] = args;
        match number {
            12 => self.sys_chdir(a),
            133 => self.sys_fchdir(a),
            15 => self.sys_chmod(CWD, a, b),
            306 => self.sys_chmod(a, b, c),
            33 => self.sys_access(CWD, a, b, 0),
            307 => self.sys_access(a, b, c, 0),
            439 => self.sys_access(a, b, c, d),
            85 => self.sys_readlink(CWD, a, b, c),
            305 => self.sys_readlink(a, b, c, d),
            183 => self.sys_getcwd(a, b),
            195 | 196 => {
                let stat = self.stat_path(CWD, a, if number == 196 { AT_SYMLINK_NOFOLLOW } else { 0 })?;
                self.copy_out(b, &stat.stat64())?;
                Ok(0)
            }
            197 => {
                let stat = self.process().files.get(a)?.stat_now()?;
                self.copy_out(b, &stat.stat64())?;
                Ok(0)
            }
            300 => {
                let stat = self.stat_path(a, b, d)?;
                self.copy_out(c, &stat.stat64())?;
                Ok(0)
            }
            383 => {
                let stat = self.stat_path(a, b, c)?;
                self.copy_out(e, &stat.statx())?;
                Ok(0)
            }
            220 => self.sys_getdents(a, b, c),
            _ => Err(Errno::ENOSYS.into()),
        }
    }

    /// The wall clock.
    pub(super) fn wall_time(&self) -> TimeSpec {
        let (seconds, nanos) = time::wall_clock();
        TimeSpec { seconds, nanos }
    }

    fn stat_path(&mut self, dirfd: u32, path: u32, flags: u32) -> Result<Stat, Errno> {
        if flags & !(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC) != 0 {
            return Err(Errno::EINVAL);
        }
        let path = self.path_in(path)?;
        if path.is_empty() && flags & AT_EMPTY_PATH != 0 {
            if dirfd == CWD {
                return Ok(self.process().directory.stat());
            }
            return self.process().files.get(dirfd)?.stat_now();
        }
        let follow = if flags & AT_SYMLINK_NOFOLLOW != 0 {
            Follow::No
        } else {
            Follow::Yes
        };
        self.node_at(dirfd, &path, follow).map(|node| node.stat())
    }

    fn sys_access(&mut self, dirfd: u32, path: u32, wanted: u32, flags: u32) -> SysResult {
        /// faccessat2: by the effective user, which is the only one.
        const AT_EACCESS: u32 = 0x200;
        if wanted & !ACCESS_BITS != 0 || flags & !AT_EACCESS != 0 {
            return Err(Errno::EINVAL.into());
        }
        let path = self.path_in(path)?;
        let stat = self.node_at(dirfd, &path, Follow::Yes)?.stat();
        // User 0 may read and write everything; execute what anyone may.
        let is_file = stat.mode & mode::TYPE == mode::REGULAR;
        if wanted & X_OK != 0 && is_file && stat.mode & mode::ANY_EXECUTE == 0 {
            return Err(Errno::EACCES.into());
        }
        Ok(0)
    }

    fn sys_readlink(&mut self, dirfd: u32, path: u32, to: u32, len: u32) -> SysResult {
        if len == 0 || len > i32::MAX as u32 {
            return Err(Errno::EINVAL.into());
        }
        let path = self.path_in(path)?;
        let node = self.node_at(dirfd, &path, Follow::No)?;
        let target = node.link(self).ok_or(Errno::EINVAL)?;
        let target = &target[..target.len().min(len as usize)];
        self.copy_out(to, target)?;
        Ok(target.len() as u32)
    }

    fn sys_getcwd(&mut self, to: u32, len: u32) -> SysResult {
        let mut path = self.fs.path_of(&self.process_ref().directory)?;
        path.push(0);
        if path.len() > MAX_PATH {
            return Err(Errno::ENAMETOOLONG.into());
        }
        if path.len() > len as usize {
            return Err(Errno::ERANGE.into());
        }
        self.copy_out(to, &path)?;
        Ok(path.len() as u32)
    }

    fn sys_chdir(&mut self, path: u32) -> SysResult {
        let path = self.path_in(path)?;
        let node = self.node_at(CWD, &path, Follow::Yes)?;
        self.set_directory(node)
    }

    fn sys_fchdir(&mut self, fd: u32) -> SysResult {
        let node = self.process().files.get(fd)?.directory()?.clone();
        self.set_directory(node)
    }

    fn set_directory(&mut self, node: Node) -> SysResult {
        if !node.is_directory() {
            return Err(Errno::ENOTDIR.into());
        }
        self.process().directory = node;
        Ok(0)
    }

    fn sys_chmod(&mut self, dirfd: u32, path: u32, permissions: u32) -> SysResult {
        let path = self.path_in(path)?;
        match self.node_at(dirfd, &path, Follow::Yes)? {
            Node::Inode(inode) => {
                inode
                    .mode
                    .set(inode.mode.get() & mode::TYPE | permissions & mode::PERMISSIONS);
                Ok(0)
            }
            Node::Proc(_) | Node::Disk(_) => Err(Errno::EPERM.into()),
        }
    }

    fn sys_getdents(&mut self, fd: u32, to: u32, len: u32) -> SysResult {
        let file = self.process().files.get(fd)?;
        let position = file.position.get();
        let records = file.read_directory(&self.fs, len.min(MAX_RECORDS) as usize, self)?;
        if let Err(errno) = self.copy_out(to, &records) {
            file.position.set(position);
            return Err(errno.into());
        }
        Ok(records.len() as u32)
    }
}
