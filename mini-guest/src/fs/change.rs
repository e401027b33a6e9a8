//! Making, linking, renaming and removing files.

use alloc::rc::{Rc, Weak};

use super::enough_memory;
use super::inode::{Body, Directory, Inode};
use super::tree::{Fs, Place};
use crate::linux::Errno;
use crate::linux::file::mode;

impl Fs {
    /// Makes a file of any kind at `place`.
    ///
    /// # Errors
    /// EEXIST, ENOENT (a slash at the end, but no directory), ENOMEM.
    pub fn create(&self, place: &Place, mode: u32, body: Body) -> Result<Rc<Inode>, Errno> {
        enough_memory()?;
        let parent = place.directory.directory()?;
        if parent.get(&place.name).is_some() {
            return Err(Errno::EEXIST);
        }
        if place.wants_directory && !matches!(body, Body::Directory(_)) {
            return Err(Errno::ENOENT);
        }
        self.must_exist(&place.directory)?;
        let inode = self.new_inode(mode, body);
        self.add(place, parent, &inode)?;
        Ok(inode)
    }

    /// Makes a directory at `place`.
    ///
    /// # Errors
    /// As for [`Fs::create`].
    pub fn make_directory(&self, place: &Place, permissions: u32) -> Result<Rc<Inode>, Errno> {
        let mode = mode::DIRECTORY | permissions & mode::PERMISSIONS;
        self.create(place, mode, Body::Directory(Directory::default()))
    }

    /// Gives `inode` another name.
    ///
    /// # Errors
    /// EEXIST, EPERM (a directory), ENOENT, ENOMEM, EMLINK.
    pub fn link(&self, place: &Place, inode: &Rc<Inode>) -> Result<(), Errno> {
        enough_memory()?;
        if inode.is_directory() {
            return Err(Errno::EPERM);
        }
        if inode.nlink.get() >= u32::from(u16::MAX) {
            return Err(Errno::EMLINK);
        }
        if place.wants_directory {
            return Err(Errno::ENOENT);
        }
        self.must_exist(&place.directory)?;
        self.add(place, place.directory.directory()?, inode)
    }

    /// Removes a name that is no directory's.
    ///
    /// # Errors
    /// ENOENT, EISDIR, ENOTDIR (a slash at the end).
    pub fn unlink(&self, place: &Place) -> Result<(), Errno> {
        let parent = place.directory.directory()?;
        let inode = parent.get(&place.name).ok_or(Errno::ENOENT)?;
        if inode.is_directory() {
            return Err(Errno::EISDIR);
        }
        if place.wants_directory {
            return Err(Errno::ENOTDIR);
        }
        self.take(place, parent, &inode);
        Ok(())
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// ENOENT, ENOTDIR, ENOTEMPTY, EBUSY (`/proc`).
    pub fn remove_directory(&self, place: &Place) -> Result<(), Errno> {
        let parent = place.directory.directory()?;
        let inode = parent.get(&place.name).ok_or(Errno::ENOENT)?;
        if matches!(inode.body, Body::ProcRoot) {
            return Err(Errno::EBUSY);
        }
        let directory = inode.directory()?;
        if inode.is_mount_point() {
            return Err(Errno::EBUSY);
        }
        if !directory.is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        *directory.parent.borrow_mut() = Weak::new();
        self.take(place, parent, &inode);
        Ok(())
    }

    /// Moves a name to another place, in place of what was there.
    ///
    /// # Errors
    /// ENOENT, EINVAL (a directory into itself), ENOTDIR, EISDIR, ENOTEMPTY, EBUSY, ENOMEM.
    pub fn rename(&self, from: &Place, to: &Place) -> Result<(), Errno> {
        enough_memory()?;
        let (source, target) = (from.directory.directory()?, to.directory.directory()?);
        let inode = source.get(&from.name).ok_or(Errno::ENOENT)?;
        if matches!(inode.body, Body::ProcRoot) || inode.is_mount_point() {
            return Err(Errno::EBUSY);
        }
        if (from.wants_directory || to.wants_directory) && !inode.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        self.must_exist(&to.directory)?;
        if inode.is_directory() && self.is_inside(&to.directory, &inode) {
            return Err(Errno::EINVAL);
        }
        if let Some(old) = target.get(&to.name) {
            if Rc::ptr_eq(&old, &inode) {
                return Ok(());
            }
            match (inode.is_directory(), old.is_directory()) {
                (true, false) => return Err(Errno::ENOTDIR),
                (false, true) => return Err(Errno::EISDIR),
                (true, true) => self.remove_directory(to)?,
                (false, false) => self.take(to, target, &old),
            }
        }
        self.take(from, source, &inode);
        self.add(to, target, &inode)
    }

    /// Adds the name; a directory learns its parent, and its parent counts its `..`.
    fn add(&self, place: &Place, parent: &Directory, inode: &Rc<Inode>) -> Result<(), Errno> {
        parent.insert(&place.name, inode.clone())?;
        if let Body::Directory(directory) = &inode.body {
            *directory.parent.borrow_mut() = Rc::downgrade(&place.directory);
            inode.nlink.set(2);
            place.directory.nlink.set(place.directory.nlink.get() + 1);
        } else {
            inode.nlink.set(inode.nlink.get() + 1);
        }
        place.directory.mtime.set(self.clock.get());
        Ok(())
    }

    fn take(&self, place: &Place, parent: &Directory, inode: &Rc<Inode>) {
        parent.remove(&place.name);
        if inode.is_directory() {
            inode.nlink.set(0);
            place.directory.nlink.set(place.directory.nlink.get() - 1);
        } else {
            inode.nlink.set(inode.nlink.get() - 1);
        }
        place.directory.mtime.set(self.clock.get());
    }

    /// Refuses a directory that was removed: nothing can be made in it.
    fn must_exist(&self, directory: &Rc<Inode>) -> Result<(), Errno> {
        if directory.nlink.get() == 0 {
            Err(Errno::ENOENT)
        } else {
            Ok(())
        }
    }

    /// Whether `inner` is `outer` or below it.
    fn is_inside(&self, inner: &Rc<Inode>, outer: &Rc<Inode>) -> bool {
        let mut at = Some(inner.clone());
        while let Some(inode) = at {
            if Rc::ptr_eq(&inode, outer) {
                return true;
            }
            at = inode
                .directory()
                .ok()
                .and_then(|directory| directory.parent.borrow().upgrade());
        }
        false
    }
}
