//! mount and umount.

use alloc::rc::Rc;

use super::Args;
use crate::fat::Mount;
use crate::fs::tree::{Follow, Node};
use crate::fs::{Body, Device, DiskNode};
use crate::kernel::{Kernel, Stop, SysResult};
use crate::linux::Errno;
use crate::linux::file::AT_FDCWD;

/// The present working directory as a `…at` call names it.
const CWD: u32 = AT_FDCWD as u32;
/// mount: nothing may be written.
const READ_ONLY: u32 = 1;
/// mount: flags that mean nothing here (no set-user-ID files, devices or programs on FAT; no times of access; silence).
const WITHOUT_MEANING: u32 = 2 | 4 | 8 | 0x400 | 0x800 | 0x8000;

impl Kernel {
    pub(super) fn mount_call(&mut self, number: u32, [a, b, c, d, _, _]: Args) -> SysResult {
        match number {
            21 => self.sys_mount(a, b, c, d),
            22 => self.sys_umount(a, 0),
            _ => self.sys_umount(a, b),
        }
    }

    fn sys_mount(&mut self, source: u32, target: u32, kind: u32, flags: u32) -> SysResult {
        if flags & !(READ_ONLY | WITHOUT_MEANING) != 0 {
            return Err(Errno::EINVAL.into());
        }
        let (source, target, kind) = (self.path_in(source)?, self.path_in(target)?, self.path_in(kind)?);
        if !matches!(&kind[..], b"vfat" | b"msdos") {
            return Err(Errno::ENODEV.into());
        }
        let Node::Inode(device) = self.node_at(CWD, &source, Follow::Yes)? else {
            return Err(Errno::EACCES.into());
        };
        let Body::Device(Device::Disk(number)) = &device.body else {
            return Err(Errno::EACCES.into());
        };
        let volume = self.devices.disks.by_number(*number).ok_or(Errno::ENXIO)?;
        let at = match self.node_at(CWD, &target, Follow::Yes)? {
            Node::Inode(inode) => inode,
            Node::Disk(_) | Node::Proc(_) => return Err(Errno::EBUSY.into()),
        };
        let directory = at.directory()?;
        let overlaps = |mount: &Mount| {
            let other = mount.volume();
            Rc::ptr_eq(&other.cache, &volume.cache)
                && other.first < volume.first + volume.sectors
                && volume.first < other.first + other.sectors
        };
        if self.mounts.iter().any(|(_, mount)| overlaps(mount)) {
            return Err(Errno::EBUSY.into());
        }
        let writes = flags & READ_ONLY == 0 && !volume.cache.is_read_only();
        if self.is_exported(&volume, writes) {
            return Err(Errno::EBUSY.into());
        }
        let name = alloc::string::String::from_utf8_lossy(&source).into_owned();
        let mount = Rc::new(Mount::new(volume, &name, flags & READ_ONLY != 0)?);
        *directory.mounted.borrow_mut() = Some(mount.clone());
        self.mounts.push((at, mount));
        Ok(0)
    }

    /// Takes a volume away, once all of it is on the disk.
    fn sys_umount(&mut self, target: u32, flags: u32) -> SysResult {
        if flags != 0 {
            return Err(Errno::EINVAL.into());
        }
        let path = self.path_in(target)?;
        let Node::Disk(DiskNode { at, mount, path, .. }) = self.node_at(CWD, &path, Follow::Yes)? else {
            return Err(Errno::EINVAL.into());
        };
        if !path.is_empty() {
            return Err(Errno::EINVAL.into());
        }
        if mount.is_busy() {
            return Err(Errno::EBUSY.into());
        }
        let volume = mount.volume();
        match self.sync([volume.cache.clone()].into()) {
            // What is not written is lost: there is nowhere to write it to.
            Err(Stop::Errno(Errno::EIO)) if volume.device.is_gone() => {}
            other => drop(other?),
        }
        *at.directory()?.mounted.borrow_mut() = None;
        self.mounts.retain(|(_, other)| !Rc::ptr_eq(other, &mount));
        self.disks_are_free();
        Ok(0)
    }
}
