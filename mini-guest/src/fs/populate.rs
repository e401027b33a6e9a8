//! The first tree: what the RAM disk holds, then what must be there in any case.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use core::cell::RefCell;

use super::cpio::{Archive, CpioError, Member};
use super::data::FileData;
use super::inode::{Body, Device, Directory, File, Inode};
use super::proc::NoProcesses;
use super::tree::{Fs, Node, Place};
use crate::linux::Errno;
use crate::linux::file::mode;
use crate::linux::time::TimeSpec;

/// What came of reading an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Members that are in the tree now.
    pub added: u32,
    /// Members that could not be added (a file where a directory should be, an unknown type).
    pub skipped: u32,
    /// What ended the reading too early.
    pub error: Option<CpioError>,
}

impl Fs {
    /// Adds the members of a cpio archive. Later members replace earlier files of the same name; directories that
    /// the archive does not name are made.
    pub fn add_archive(&self, bytes: &'static [u8]) -> Report {
        let mut report = Report::default();
        let mut links = BTreeMap::new();
        for member in Archive::new(bytes) {
            match member {
                Ok(member) => match self.add_member(&member, &mut links) {
                    Ok(()) => report.added += 1,
                    Err(_) => report.skipped += 1,
                },
                Err(error) => report.error = Some(error),
            }
        }
        report
    }

    fn add_member(
        &self,
        member: &Member<'static>,
        links: &mut BTreeMap<u32, Rc<Inode>>,
    ) -> Result<(), Errno> {
        self.clock.set(TimeSpec {
            seconds: member.mtime.into(),
            nanos: 0,
        });
        if member.name.is_empty() {
            return Ok(());
        }
        let place = self.place_for(member.name)?;
        let directory = place.directory.directory()?;
        let existing = directory.get(&place.name);
        let kind = member.mode & mode::TYPE;
        if let Some(existing) = existing {
            if kind == mode::DIRECTORY && existing.is_directory() {
                existing.mode.set(member.mode);
                return Ok(());
            }
            self.unlink(&place)?;
        }
        // A file with several names has its bytes at the last of them (or the first).
        let is_linked = kind == mode::REGULAR && member.nlink > 1;
        if let Some(first) = links.get(&member.ino).filter(|_| is_linked) {
            if let (Body::File(file), false) = (&first.body, member.data.is_empty()) {
                *file.data.borrow_mut() = FileData::Borrowed(member.data);
            }
            return self.link(&place, first);
        }
        let inode = self.create(&place, member.mode, body(member).ok_or(Errno::EINVAL)?)?;
        if is_linked {
            links.insert(member.ino, inode);
        }
        Ok(())
    }

    /// The place of `path`, the directories on the way made where they are missing.
    pub(crate) fn place_for(&self, path: &[u8]) -> Result<Place, Errno> {
        let path = path.strip_suffix(b"/").unwrap_or(path);
        let (parents, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&b""[..], path),
        };
        if name.is_empty() || name == b"." || name == b".." {
            return Err(Errno::EINVAL);
        }
        let mut at = self.root();
        for parent in parents
            .split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty())
        {
            at = self.enter(&at, parent)?;
        }
        let Node::Inode(directory) = at else {
            return Err(Errno::EROFS);
        };
        Ok(Place {
            directory,
            name: name.into(),
            wants_directory: false,
        })
    }

    fn enter(&self, at: &Node, name: &[u8]) -> Result<Node, Errno> {
        match self.resolve(at, name, super::tree::Follow::Yes, &NoProcesses) {
            Err(Errno::ENOENT) => {
                let Node::Inode(directory) = at else {
                    return Err(Errno::EROFS);
                };
                let place = Place {
                    directory: directory.clone(),
                    name: name.into(),
                    wants_directory: true,
                };
                self.make_directory(&place, 0o755).map(Node::Inode)
            }
            other => other,
        }
    }

    /// Makes `/proc`, the devices and `/tmp`, where the RAM disk has not brought them.
    ///
    /// # Errors
    /// A RAM disk with a file where a directory must be.
    pub fn add_standard(&self) -> Result<(), Errno> {
        let proc = self.place_for(b"proc")?;
        let old = proc.directory.directory()?.remove(&proc.name);
        if old.is_some_and(|old| old.is_directory()) {
            proc.directory.nlink.set(proc.directory.nlink.get() - 1);
        }
        let root = self.new_inode(mode::DIRECTORY | 0o555, Body::ProcRoot);
        proc.directory.directory()?.insert(&proc.name, root)?;

        self.standard(b"tmp", mode::DIRECTORY | 0o1777, || {
            Body::Directory(Directory::default())
        })?;
        for (name, device, permissions) in [
            (&b"dev/console"[..], Device::Console, 0o620),
            (b"dev/tty", Device::Tty, 0o666),
            (b"dev/null", Device::Null, 0o666),
            (b"dev/zero", Device::Zero, 0o666),
            (b"dev/random", Device::Random, 0o444),
            (b"dev/urandom", Device::Random, 0o444),
        ] {
            self.standard(name, mode::CHAR_DEVICE | permissions, || Body::Device(device))?;
        }
        Ok(())
    }

    /// Makes the devices by which a privileged domain controls others.
    ///
    /// # Errors
    /// As for [`Fs::add_standard`].
    pub fn add_control(&self) -> Result<(), Errno> {
        for (name, device) in [
            (&b"dev/xen/privcmd"[..], Device::Privcmd),
            (b"dev/xen/evtchn", Device::Evtchn),
            (b"dev/xen/consoles", Device::Consoles),
            (b"dev/xen/xenbus", Device::Xenbus),
        ] {
            self.standard(name, mode::CHAR_DEVICE | 0o600, || Body::Device(device))?;
        }
        Ok(())
    }

    /// Makes `/dev/NAME` for the disk with this number.
    ///
    /// # Errors
    /// As for [`Fs::add_standard`].
    pub fn add_disk(&self, name: &str, number: u32) -> Result<(), Errno> {
        let path = [b"dev/", name.as_bytes()].concat();
        self.standard(&path, mode::BLOCK_DEVICE | 0o660, || {
            Body::Device(Device::Disk(number))
        })
    }

    /// Makes `/dev/ttySN` for a serial line.
    ///
    /// # Errors
    /// As for [`Fs::add_standard`].
    pub fn add_serial(&self, number: u32) -> Result<(), Errno> {
        let path = alloc::format!("dev/ttyS{number}");
        self.standard(path.as_bytes(), mode::CHAR_DEVICE | 0o660, || {
            Body::Device(Device::Serial(number))
        })
    }

    /// Removes the file of a disk in `/dev`, if it is still there.
    pub fn remove_disk(&self, name: &str) {
        let path = [b"dev/", name.as_bytes()].concat();
        let place = self.place_for(&path);
        // Somebody may have removed it, or put something else there.
        let _ = place.and_then(|place| self.unlink(&place));
    }

    fn standard(&self, path: &[u8], mode: u32, body: impl FnOnce() -> Body) -> Result<(), Errno> {
        let place = self.place_for(path)?;
        match self.create(&place, mode, body()) {
            Ok(_) | Err(Errno::EEXIST) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

fn body(member: &Member<'static>) -> Option<Body> {
    Some(match member.mode & mode::TYPE {
        mode::REGULAR => {
            let data = RefCell::new(FileData::Borrowed(member.data));
            Body::File(File {
                data,
                ..File::default()
            })
        }
        mode::DIRECTORY => Body::Directory(Directory::default()),
        mode::SYMLINK => Body::Symlink(Box::from(member.data)),
        mode::CHAR_DEVICE => Body::Device(Device::from_numbers(member.rdev.0, member.rdev.1)),
        _ => return None,
    })
}
