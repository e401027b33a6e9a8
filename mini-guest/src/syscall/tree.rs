//! Changes of the tree: directories, links, names.

use super::Args;
use crate::fs::Body;
use crate::fs::tree::{Follow, Node, Place, Spot};
use crate::kernel::{Kernel, SysResult};
use crate::linux::file::{
    AT_EMPTY_PATH, AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW, mode,
};
use crate::linux::time::TimeSpec;
use crate::linux::{Errno, word};

/// The present working directory as a `…at` call names it.
const CWD: u32 = AT_FDCWD as u32;

impl Kernel {
    pub(super) fn tree_call(&mut self, number: u32, args: Args) -> SysResult {
        let [a, b, c, d, e, _] = args;
        match number {
            9 => self.sys_link(CWD, a, CWD, b, 0),
            303 => self.sys_link(a, b, c, d, e),
            10 => self.sys_unlink(CWD, a, 0),
            301 => self.sys_unlink(a, b, c),
            40 => self.sys_unlink(CWD, a, AT_REMOVEDIR),
            39 => self.sys_mkdir(CWD, a, b),
            296 => self.sys_mkdir(a, b, c),
            38 => self.sys_rename(CWD, a, CWD, b, 0),
            302 => self.sys_rename(a, b, c, d, 0),
            353 => self.sys_rename(a, b, c, d, e),
            83 => self.sys_symlink(a, CWD, b),
            304 => self.sys_symlink(a, b, c),
            92 => self.sys_truncate(a, u64::from(b)),
            193 => self.sys_truncate(a, u64::from(b) | u64::from(c) << 32),
            94 => self.sys_fchmod(a, b),
            320 => self.sys_utimensat(a, b, c, d, false),
            412 => self.sys_utimensat(a, b, c, d, true),
            _ => Err(Errno::ENOSYS.into()),
        }
    }

    /// The place that `path` names, seen from `dirfd`.
    pub(super) fn spot_at(&self, dirfd: u32, path: &[u8]) -> Result<Spot, Errno> {
        let from = if path.starts_with(b"/") {
            self.fs.root()
        } else {
            self.start_directory(dirfd)?
        };
        self.fs.clock.set(self.wall_time());
        let spot = self.fs.spot(&from, path, self)?;
        if let Spot::Disk(directory, _) = &spot {
            directory.mount.clock.set(self.wall_time());
        }
        Ok(spot)
    }

    fn spot_in(&mut self, dirfd: u32, path: u32) -> Result<Spot, Errno> {
        let path = self.path_in(path)?;
        self.spot_at(dirfd, &path)
    }

    /// The same, in the tree.
    fn place_at(&self, dirfd: u32, path: &[u8]) -> Result<Place, Errno> {
        let from = if path.starts_with(b"/") {
            self.fs.root()
        } else {
            self.start_directory(dirfd)?
        };
        self.fs.clock.set(self.wall_time());
        self.fs.place(&from, path, self)
    }

    fn place_in(&mut self, dirfd: u32, path: u32) -> Result<Place, Errno> {
        let path = self.path_in(path)?;
        self.place_at(dirfd, &path)
    }

    fn sys_link(&mut self, old_dir: u32, old: u32, new_dir: u32, new: u32, flags: u32) -> SysResult {
        if flags & !(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) != 0 {
            return Err(Errno::EINVAL.into());
        }
        let old = self.path_in(old)?;
        let follow = if flags & AT_SYMLINK_FOLLOW != 0 {
            Follow::Yes
        } else {
            Follow::No
        };
        let node = self.node_at(old_dir, &old, follow)?;
        let place = self.place_in(new_dir, new)?;
        match node {
            Node::Inode(inode) => self.fs.link(&place, &inode)?,
            Node::Proc(_) | Node::Disk(_) => return Err(Errno::EXDEV.into()),
        }
        Ok(0)
    }

    fn sys_unlink(&mut self, dirfd: u32, path: u32, flags: u32) -> SysResult {
        let spot = match self.spot_in(dirfd, path) {
            // A path without a last name: the root, `.` or `..`.
            Err(Errno::EEXIST) if flags == AT_REMOVEDIR => return Err(Errno::EINVAL.into()),
            Err(Errno::EEXIST) => return Err(Errno::EISDIR.into()),
            other => other?,
        };
        if flags & !AT_REMOVEDIR != 0 {
            return Err(Errno::EINVAL.into());
        }
        match (spot, flags) {
            (Spot::Tree(place), 0) => self.fs.unlink(&place)?,
            (Spot::Tree(place), _) => self.fs.remove_directory(&place)?,
            (Spot::Disk(directory, path), _) => directory.mount.remove(&path, flags == AT_REMOVEDIR)?,
        }
        Ok(0)
    }

    fn sys_mkdir(&mut self, dirfd: u32, path: u32, permissions: u32) -> SysResult {
        let permissions = permissions & !self.process().umask;
        match self.spot_in(dirfd, path)? {
            Spot::Tree(place) => drop(self.fs.make_directory(&place, permissions)?),
            Spot::Disk(directory, path) => directory.mount.create(&path, true)?,
        }
        Ok(0)
    }

    fn sys_rename(&mut self, old_dir: u32, old: u32, new_dir: u32, new: u32, flags: u32) -> SysResult {
        if flags != 0 {
            return Err(Errno::EINVAL.into());
        }
        let busy = |errno| {
            if errno == Errno::EEXIST {
                Errno::EBUSY
            } else {
                errno
            }
        };
        let from = self.spot_in(old_dir, old).map_err(busy)?;
        let to = self.spot_in(new_dir, new).map_err(busy)?;
        match (from, to) {
            (Spot::Tree(from), Spot::Tree(to)) => self.fs.rename(&from, &to)?,
            (Spot::Disk(from_in, from), Spot::Disk(to_in, to))
                if alloc::rc::Rc::ptr_eq(&from_in.mount, &to_in.mount) =>
            {
                from_in.mount.rename(&from, &to)?;
            }
            _ => return Err(Errno::EXDEV.into()),
        }
        Ok(0)
    }

    fn sys_symlink(&mut self, target: u32, dirfd: u32, path: u32) -> SysResult {
        let target = self.path_in(target)?;
        if target.is_empty() {
            return Err(Errno::ENOENT.into());
        }
        let place = self.place_in(dirfd, path)?;
        self.fs.create(
            &place,
            mode::SYMLINK | 0o777,
            Body::Symlink(target.into_boxed_slice()),
        )?;
        Ok(0)
    }

    fn sys_truncate(&mut self, path: u32, len: u64) -> SysResult {
        let path = self.path_in(path)?;
        let inode = match self.node_at(CWD, &path, Follow::Yes)? {
            Node::Inode(inode) => inode,
            Node::Disk(node) if node.entry.is_directory => return Err(Errno::EISDIR.into()),
            Node::Disk(node) => {
                node.mount.clock.set(self.wall_time());
                node.mount.set_len(&node.path, len)?;
                return Ok(0);
            }
            Node::Proc(_) => return Err(Errno::EACCES.into()),
        };
        match &inode.body {
            Body::File(file) => {
                file.may_write()?;
                file.data.borrow_mut().set_len(len)?;
                file.changed();
                Ok(0)
            }
            Body::Directory(_) => Err(Errno::EISDIR.into()),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    fn sys_fchmod(&mut self, fd: u32, permissions: u32) -> SysResult {
        use crate::fs::What;
        let file = self.process().files.get(fd)?;
        let inode = match &file.what {
            What::File(inode) | What::Console(inode) => inode,
            What::Directory(Node::Inode(inode)) => inode,
            _ => return Err(Errno::EPERM.into()),
        };
        inode
            .mode
            .set(inode.mode.get() & mode::TYPE | permissions & mode::PERMISSIONS);
        Ok(0)
    }

    /// Sets the time of change; the time of access is not kept.
    fn sys_utimensat(&mut self, dirfd: u32, path: u32, times: u32, flags: u32, wide: bool) -> SysResult {
        const NOW: u32 = 0x3FFF_FFFF;
        const OMIT: u32 = 0x3FFF_FFFE;
        if flags & !AT_SYMLINK_NOFOLLOW != 0 {
            return Err(Errno::EINVAL.into());
        }
        let now = self.wall_time();
        let mtime = if times == 0 {
            Some(now)
        } else {
            let time = if wide {
                self.copy_in::<32>(times)?
            } else {
                let mut padded = [0; 32];
                let narrow = self.copy_in::<16>(times)?;
                padded[16..20].copy_from_slice(&narrow[8..12]);
                padded[24..28].copy_from_slice(&narrow[12..16]);
                padded
            };
            match word(&time, 24) {
                NOW => Some(now),
                OMIT => None,
                nanos if nanos < 1_000_000_000 => Some(TimeSpec {
                    seconds: word(&time, 16).into(),
                    nanos,
                }),
                _ => return Err(Errno::EINVAL.into()),
            }
        };
        let node = if path == 0 {
            let file = self.process().files.get(dirfd)?;
            match &file.what {
                crate::fs::What::File(inode) => Node::Inode(inode.clone()),
                crate::fs::What::DiskFile(node) => Node::Disk(node.clone()),
                _ => file.directory()?.clone(),
            }
        } else {
            let path = self.path_in(path)?;
            let follow = if flags & AT_SYMLINK_NOFOLLOW != 0 {
                Follow::No
            } else {
                Follow::Yes
            };
            self.node_at(dirfd, &path, follow)?
        };
        match (node, mtime) {
            (Node::Inode(inode), Some(mtime)) => inode.mtime.set(mtime),
            (Node::Inode(_), None) => {}
            (Node::Proc(_), _) => return Err(Errno::EPERM.into()),
            // Its time is that of the last change; another one cannot be set.
            (Node::Disk(_), _) => {}
        }
        Ok(0)
    }
}
