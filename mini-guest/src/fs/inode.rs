//! What a name leads to.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::{Rc, Weak};
use core::cell::{Cell, RefCell};

use super::data::FileData;
use crate::fat::Mount;
use crate::linux::Errno;
use crate::linux::file::{Stat, mode};
use crate::linux::time::TimeSpec;

/// A file of any kind.
#[derive(Debug)]
pub struct Inode {
    /// Its number, never 0.
    pub ino: u64,
    /// Type and permissions.
    pub mode: Cell<u32>,
    /// Owner and group: kept, without meaning.
    pub owner: Cell<(u32, u32)>,
    /// How many names it has.
    pub nlink: Cell<u32>,
    /// Last change.
    pub mtime: Cell<TimeSpec>,
    /// What it is.
    pub body: Body,
}

/// The kinds of files.
#[derive(Debug)]
pub enum Body {
    /// Names for other files.
    Directory(Directory),
    /// Bytes.
    File(File),
    /// A path.
    Symlink(Box<[u8]>),
    /// A character device.
    Device(Device),
    /// The place of `/proc`.
    ProcRoot,
}

/// A regular file.
#[derive(Debug, Default)]
pub struct File {
    /// Its bytes.
    pub data: RefCell<FileData>,
    /// Changes with every write, so that copies of its pages can be told to be old.
    pub version: Cell<u32>,
    /// How many address spaces execute it: none may write to it then.
    pub executing: Cell<u32>,
}

/// A program's file while it runs. Its pages come in on demand, so it must not change.
#[derive(Debug)]
pub struct Running(Rc<Inode>);

impl Running {
    /// Keeps others from writing to `inode`.
    #[must_use]
    pub fn new(inode: Rc<Inode>) -> Self {
        let running = Self(inode);
        running.count(1);
        running
    }

    fn count(&self, change: i32) {
        if let Body::File(file) = &self.0.body {
            file.executing
                .set(file.executing.get().saturating_add_signed(change));
        }
    }
}

impl Clone for Running {
    fn clone(&self) -> Self {
        Self::new(self.0.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.count(-1);
    }
}

impl File {
    /// Refuses to change a file that is being executed.
    ///
    /// # Errors
    /// ETXTBSY.
    pub fn may_write(&self) -> Result<(), Errno> {
        if self.executing.get() > 0 {
            Err(Errno::ETXTBSY)
        } else {
            Ok(())
        }
    }

    /// Notes that the bytes have changed.
    pub fn changed(&self) {
        self.version.set(self.version.get().wrapping_add(1));
    }
}

/// The devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The machine's terminal.
    Console,
    /// The session's terminal.
    Tty,
    /// Takes everything, gives nothing.
    Null,
    /// Gives zeroes.
    Zero,
    /// Gives unpredictable bytes.
    Random,
    /// Hypercalls, and frames of other domains (`/dev/xen/privcmd`).
    Privcmd,
    /// Event channels (`/dev/xen/evtchn`).
    Evtchn,
    /// The consoles of other domains (`/dev/xen/consoles`).
    Consoles,
    /// One domain's console (`/dev/xen/console/N`).
    DomainConsole(u16),
    /// The store (`/dev/xen/xenbus`).
    Xenbus,
    /// A disk or a partition, by its number among the disks.
    Disk(u32),
    /// A serial line, by its number.
    Serial(u32),
    /// A device that there is no driver for.
    Unknown(u32, u32),
}

/// Minor number of `/dev/ttyS0`.
const FIRST_SERIAL: u32 = 64;

impl Device {
    /// The device with these numbers, as on Linux.
    #[must_use]
    pub fn from_numbers(major: u32, minor: u32) -> Self {
        match (major, minor) {
            (5, 0) => Self::Tty,
            (5, 1) => Self::Console,
            (1, 3) => Self::Null,
            (1, 5) => Self::Zero,
            (1, 8 | 9) => Self::Random,
            (4, minor @ FIRST_SERIAL..=255) => Self::Serial(minor - FIRST_SERIAL),
            other => Self::Unknown(other.0, other.1),
        }
    }

    /// Major and minor number.
    #[must_use]
    pub fn numbers(self) -> (u32, u32) {
        match self {
            Self::Console => (5, 1),
            Self::Tty => (5, 0),
            Self::Null => (1, 3),
            Self::Zero => (1, 5),
            Self::Random => (1, 9),
            Self::Privcmd => (10, 60),
            Self::Evtchn => (10, 61),
            Self::Consoles => (10, 62),
            Self::Xenbus => (10, 63),
            Self::DomainConsole(domain) => (229, domain.into()),
            Self::Disk(number) => (259, number),
            Self::Serial(number) => (4, FIRST_SERIAL + number),
            Self::Unknown(major, minor) => (major, minor),
        }
    }
}

/// The names in a directory, each with a number that says where it stands among them. The numbers never change,
/// so a reader goes on at the right place whatever was added or removed meanwhile.
#[derive(Debug, Default)]
pub struct Directory {
    /// The directory above; of the root and of removed ones nothing.
    pub parent: RefCell<Weak<Inode>>,
    /// The volume that is mounted here.
    pub mounted: RefCell<Option<Rc<Mount>>>,
    names: RefCell<BTreeMap<Box<[u8]>, Entry>>,
    order: RefCell<BTreeMap<u64, Box<[u8]>>>,
    next: Cell<u64>,
}

/// A name's position and file.
type Entry = (u64, Rc<Inode>);

/// Positions of `.` and `..`; names come after them.
const FIRST_NAME: u64 = 2;

impl Directory {
    /// The file with this name.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<Rc<Inode>> {
        self.names.borrow().get(name).map(|(_, inode)| inode.clone())
    }

    /// Adds a name.
    ///
    /// # Errors
    /// EEXIST.
    pub fn insert(&self, name: &[u8], inode: Rc<Inode>) -> Result<(), Errno> {
        let mut names = self.names.borrow_mut();
        if names.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        let position = self.next.get().max(FIRST_NAME);
        self.next.set(position + 1);
        names.insert(name.into(), (position, inode));
        self.order.borrow_mut().insert(position, name.into());
        Ok(())
    }

    /// Removes a name.
    pub fn remove(&self, name: &[u8]) -> Option<Rc<Inode>> {
        let (position, inode) = self.names.borrow_mut().remove(name)?;
        self.order.borrow_mut().remove(&position);
        Some(inode)
    }

    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.borrow().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first name at position `from` or after it, with the position after it.
    #[must_use]
    pub fn next_from(&self, from: u64) -> Option<(u64, Box<[u8]>, Rc<Inode>)> {
        let order = self.order.borrow();
        let (position, name) = order.range(from..).next()?;
        let inode = self.get(name)?;
        Some((position + 1, name.clone(), inode))
    }

    /// The name under which `inode` is here.
    #[must_use]
    pub fn name_of(&self, inode: &Rc<Inode>) -> Option<Box<[u8]>> {
        let names = self.names.borrow();
        names
            .iter()
            .find(|(_, (_, other))| Rc::ptr_eq(other, inode))
            .map(|(name, _)| name.clone())
    }
}

impl Inode {
    /// The directory that this is.
    ///
    /// # Errors
    /// ENOTDIR.
    pub fn directory(&self) -> Result<&Directory, Errno> {
        match &self.body {
            Body::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// Whether a volume is mounted here.
    #[must_use]
    pub fn is_mount_point(&self) -> bool {
        matches!(&self.body, Body::Directory(directory) if directory.mounted.borrow().is_some())
    }

    /// Whether names can be looked up in it.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        matches!(self.body, Body::Directory(_) | Body::ProcRoot)
    }

    /// Its size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        match &self.body {
            Body::File(file) => file.data.borrow().len() as u64,
            Body::Symlink(target) => target.len() as u64,
            _ => 0,
        }
    }

    /// What stat tells.
    #[must_use]
    pub fn stat(&self) -> Stat {
        let (uid, gid) = self.owner.get();
        Stat {
            dev: (0, 1),
            ino: self.ino,
            mode: self.mode.get(),
            nlink: self.nlink.get(),
            uid,
            gid,
            rdev: if let Body::Device(device) = self.body {
                device.numbers()
            } else {
                (0, 0)
            },
            size: self.size(),
            mtime: self.mtime.get(),
        }
    }

    /// Whether anyone may execute it.
    #[must_use]
    pub fn is_executable(&self) -> bool {
        self.mode.get() & mode::ANY_EXECUTE != 0
    }
}
