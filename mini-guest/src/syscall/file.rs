//! Open files: open, close, seek, and the directory that a path begins at.

use super::Args;
use crate::fs::proc::ProcNode;
use crate::fs::tree::{Follow, Node, Spot};
use crate::fs::{Body, Device, OpenFile, What};
use crate::kernel::{Kernel, SysResult};
use crate::linux::Errno;
use crate::linux::file::{AT_FDCWD, OpenFlags, SEEK_CUR, SEEK_END, SEEK_SET, mode};

impl Kernel {
    /// The directory that a `…at` call begins at.
    pub(super) fn start_directory(&self, dirfd: u32) -> Result<Node, Errno> {
        if dirfd as i32 == AT_FDCWD {
            return Ok(self.process_ref().directory.clone());
        }
        self.process_ref().files.get(dirfd)?.directory().cloned()
    }

    /// What `path` leads to from `dirfd`, which does not matter for an absolute one.
    pub(super) fn node_at(&self, dirfd: u32, path: &[u8], follow: Follow) -> Result<Node, Errno> {
        let from = if path.starts_with(b"/") {
            self.fs.root()
        } else {
            self.start_directory(dirfd)?
        };
        self.fs.resolve(&from, path, follow, self)
    }

    pub(super) fn sys_open(&mut self, dirfd: u32, path: u32, flags: u32, permissions: u32) -> SysResult {
        let flags = OpenFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
        if flags.contains(OpenFlags::WRONLY | OpenFlags::RDWR) {
            return Err(Errno::EINVAL.into());
        }
        let path = self.path_in(path)?;
        let node = self.find_or_create(dirfd, &path, flags, permissions)?;
        let what = self.open_node(node, flags)?;
        let file = OpenFile::new(what, flags.status());
        Ok(self
            .process()
            .files
            .add(file, 0, flags.contains(OpenFlags::CLOEXEC))?)
    }

    fn find_or_create(
        &mut self,
        dirfd: u32,
        path: &[u8],
        flags: OpenFlags,
        permissions: u32,
    ) -> Result<Node, Errno> {
        let exclusive = flags.contains(OpenFlags::CREAT | OpenFlags::EXCL);
        let follow = if exclusive || flags.contains(OpenFlags::NOFOLLOW) {
            Follow::No
        } else {
            Follow::Yes
        };
        match self.node_at(dirfd, path, follow) {
            Ok(_) if exclusive => Err(Errno::EEXIST),
            Ok(node) if node.link(self).is_some() && !flags.contains(OpenFlags::PATH) => Err(Errno::ELOOP),
            Err(Errno::ENOENT) if flags.contains(OpenFlags::CREAT) => {
                if path.ends_with(b"/") {
                    return Err(Errno::EISDIR);
                }
                let place = match self.spot_at(dirfd, path)? {
                    Spot::Tree(place) => place,
                    Spot::Disk(directory, path) => {
                        directory.mount.create(&path, false)?;
                        let name = path.rsplit('/').next().unwrap_or_default();
                        return directory.lookup(name.as_bytes()).map(Node::Disk);
                    }
                };
                let mode = mode::REGULAR | permissions & 0o7777 & !self.process().umask;
                self.fs
                    .create(&place, mode, Body::File(Default::default()))
                    .map(Node::Inode)
            }
            other => other,
        }
    }

    fn open_node(&mut self, node: Node, flags: OpenFlags) -> Result<What, Errno> {
        if node.is_directory() {
            if flags.can_write() || flags.contains(OpenFlags::CREAT) {
                return Err(Errno::EISDIR);
            }
            return Ok(if flags.contains(OpenFlags::PATH) {
                What::Path(node)
            } else {
                What::Directory(node)
            });
        }
        if flags.contains(OpenFlags::DIRECTORY) {
            return Err(Errno::ENOTDIR);
        }
        if flags.contains(OpenFlags::PATH) {
            return Ok(What::Path(node));
        }
        let inode = match node {
            Node::Proc(proc) if flags.can_write() && !matches!(proc, ProcNode::XenFile(_)) => {
                return Err(Errno::EACCES);
            }
            Node::Proc(proc) => {
                return proc
                    .content(self)
                    .map(|text| What::Text(proc, text))
                    .ok_or(Errno::ENOENT);
            }
            Node::Disk(node) => {
                if flags.can_write() && (node.mount.is_read_only() || node.entry.is_read_only) {
                    return Err(Errno::EROFS);
                }
                node.mount.not_lent(&node.path, flags.can_write())?;
                if flags.contains(OpenFlags::TRUNC) && flags.can_write() {
                    node.mount.set_len(&node.path, 0)?;
                }
                return Ok(What::DiskFile(node));
            }
            Node::Inode(inode) => inode,
        };
        match &inode.body {
            Body::File(file) => {
                if flags.can_write() {
                    file.may_write()?;
                }
                if flags.contains(OpenFlags::TRUNC) && flags.can_write() {
                    file.data.borrow_mut().set_len(0)?;
                    file.changed();
                }
                Ok(What::File(inode))
            }
            Body::Device(device) => match device {
                Device::Console => Ok(What::Console(inode)),
                Device::Tty if self.has_terminal() => Ok(What::Console(inode)),
                Device::Null => Ok(What::Null(inode)),
                Device::Zero => Ok(What::Zero(inode)),
                Device::Random => Ok(What::Random(inode)),
                Device::Privcmd => Ok(What::Privcmd(inode)),
                Device::Evtchn => Ok(What::Evtchn(inode, self.open_evtchn())),
                Device::Consoles => Ok(What::Consoles(inode)),
                Device::Xenbus => Ok(What::Xenbus(inode, self.open_store()?)),
                Device::DomainConsole(domain) => {
                    let (domain, opening) = (*domain, self.open_domain_console(*domain)?);
                    Ok(What::DomainConsole(inode, domain, opening))
                }
                Device::Serial(number) => {
                    self.serial_line(*number).ok_or(Errno::ENXIO)?;
                    Ok(What::Serial(inode.clone(), *number))
                }
                Device::Disk(number) => {
                    let volume = self.devices.disks.by_number(*number).ok_or(Errno::ENXIO)?;
                    if flags.can_write() && volume.cache.is_read_only() {
                        return Err(Errno::EROFS);
                    }
                    if self.is_exported(&volume, flags.can_write()) {
                        return Err(Errno::EBUSY);
                    }
                    Ok(What::Volume(inode, volume))
                }
                Device::Tty | Device::Unknown(..) => Err(Errno::ENXIO),
            },
            _ => Err(Errno::ELOOP),
        }
    }

    pub(super) fn sys_close(&mut self, fd: u32) -> SysResult {
        self.process().files.close(fd)?;
        self.files_closed();
        Ok(0)
    }

    pub(super) fn sys_lseek(&mut self, fd: u32, offset: u32, whence: u32) -> SysResult {
        let position = self.seek(fd, i64::from(offset as i32), whence)?;
        Ok(u32::try_from(position)
            .ok()
            .filter(|at| *at <= i32::MAX as u32)
            .ok_or(Errno::EINVAL)?)
    }

    pub(super) fn sys_llseek(&mut self, [fd, high, low, result, whence, _]: Args) -> SysResult {
        let offset = (u64::from(high) << 32 | u64::from(low)) as i64;
        let position = self.seek(fd, offset, whence)?;
        self.copy_out(result, &position.to_le_bytes())?;
        Ok(0)
    }

    fn seek(&mut self, fd: u32, offset: i64, whence: u32) -> Result<u64, Errno> {
        let file = self.process().files.get(fd)?;
        if !file.what.has_position() {
            return Err(Errno::ESPIPE);
        }
        let size = match &file.what {
            What::Path(_) => return Err(Errno::EBADF),
            What::Text(_, text) => text.len() as u64,
            What::Volume(_, volume) => volume.len(),
            _ => file.stat_now()?.size,
        };
        let base = match whence {
            SEEK_SET => 0,
            SEEK_CUR => file.position.get(),
            SEEK_END => size,
            _ => return Err(Errno::EINVAL),
        };
        let position = base
            .checked_add_signed(offset)
            .filter(|at| *at <= i64::MAX as u64)
            .ok_or(Errno::EINVAL)?;
        file.position.set(position);
        Ok(position)
    }
}
