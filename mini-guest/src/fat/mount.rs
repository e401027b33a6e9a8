//! A mounted volume and its operations.

use alloc::collections::BTreeMap;
use alloc::rc::{Rc, Weak};
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use axfatfs::{
    Error, FileAttributes, FileSystem, FsOptions, LossyOemCpConverter, Read, Seek, SeekFrom, Write,
};

use super::clock::{Now, from_fat};
use super::errno;
use super::storage::{Storage, Trouble};
use crate::block::Volume;
use crate::block::cache::Transaction;
use crate::linux::Errno;
use crate::linux::time::TimeSpec;

type Fat<'a, 'c> = FileSystem<Storage<'a, 'c>, Now, LossyOemCpConverter>;
type FatResult<R> = Result<R, Error<Trouble>>;

/// Most bytes that one transaction writes to a file.
const WRITE: usize = 32 * 1024;
/// Most clusters that one transaction gives back: their table is a few blocks.
const FREE: u64 = 4096;
/// Most entries of a directory: FAT allows 2 MiB of 32 bytes each.
const MAX_ENTRIES: usize = 65_536;
/// Longest file of FAT.
const MAX_LEN: u64 = u32::MAX as u64;

/// A file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name; empty of the root.
    pub name: String,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Whether it must not be written.
    pub is_read_only: bool,
    /// Bytes.
    pub size: u64,
    /// Last change.
    pub mtime: TimeSpec,
}

impl Entry {
    /// A volume's root.
    #[must_use]
    pub fn root() -> Self {
        Self {
            name: String::new(),
            is_directory: true,
            is_read_only: false,
            size: 0,
            mtime: TimeSpec::default(),
        }
    }
}

/// A mounted volume.
#[derive(Debug)]
pub struct Mount {
    volume: Volume,
    source: String,
    is_read_only: bool,
    /// Files and directories that are in use, by path in small letters.
    open: RefCell<BTreeMap<String, Weak<()>>>,
    /// The wall clock, as of the operation that is being done.
    pub clock: Cell<TimeSpec>,
}

/// Keeps a name in use.
#[derive(Clone, Debug)]
pub struct OpenName(#[expect(dead_code, reason = "held, not looked at")] Rc<()>);

impl Mount {
    /// Mounts a volume that `source` names.
    ///
    /// # Errors
    /// EINVAL: it is not FAT; EIOCBQUEUED, EIO.
    pub fn new(volume: Volume, source: &str, read_only: bool) -> Result<Self, Errno> {
        let mount = Self {
            is_read_only: read_only || volume.cache.is_read_only(),
            volume,
            source: source.into(),
            open: RefCell::default(),
            clock: Cell::default(),
        };
        match mount.run(|_| Ok(())) {
            // The first block says that it is something else.
            Err(Errno::EIO) if !mount.volume.is_empty() => Err(Errno::EINVAL),
            other => other.map(|()| mount),
        }
    }

    /// What it was mounted from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The volume.
    #[must_use]
    pub fn volume(&self) -> &Volume {
        &self.volume
    }

    /// Whether writes are refused.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.is_read_only
    }

    /// Whether a file or directory of it is in use.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.open.borrow().values().any(|name| name.strong_count() > 0)
    }

    /// Does one operation as a transaction.
    fn run<R>(&self, work: impl FnOnce(&Fat<'_, '_>) -> FatResult<R>) -> Result<R, Errno> {
        let transaction = Transaction::new(&self.volume.cache);
        let first_trouble = Cell::new(None);
        let place = (self.volume.first * crate::block::SECTOR as u64, self.volume.len());
        let storage = Storage::new(&transaction, place, &first_trouble);
        let options = FsOptions::new()
            .time_provider(Now(self.clock.get()))
            .update_accessed_date(false);
        let result = FileSystem::new(storage, options).and_then(|fs| {
            let value = work(&fs)?;
            fs.unmount()?;
            Ok(value)
        });
        // Whatever the crate made of it: an operation that was in trouble has not been done.
        if let Some(trouble) = first_trouble.get() {
            return Err(errno(trouble));
        }
        let value = result.map_err(|error| match error {
            Error::Io(Trouble(missing)) => errno(missing),
            Error::NotFound => Errno::ENOENT,
            Error::AlreadyExists => Errno::EEXIST,
            Error::DirectoryIsNotEmpty => Errno::ENOTEMPTY,
            Error::NotEnoughSpace => Errno::ENOSPC,
            Error::InvalidFileNameLength => Errno::ENAMETOOLONG,
            Error::InvalidInput | Error::UnsupportedFileNameCharacter => Errno::EINVAL,
            _ => Errno::EIO,
        })?;
        transaction.commit().map_err(errno)?;
        Ok(value)
    }

    fn may_write(&self) -> Result<(), Errno> {
        if self.is_read_only {
            Err(Errno::EROFS)
        } else {
            Ok(())
        }
    }

    /// What is at `path`, which is empty for the root and has no slash at its ends.
    ///
    /// # Errors
    /// ENOENT, EIOCBQUEUED, EIO.
    pub fn entry(&self, path: &str) -> Result<Entry, Errno> {
        let (parent, name) = split(path);
        if name.is_empty() {
            return Ok(Entry::root());
        }
        let wanted = name.to_lowercase();
        let entries = self.list(parent)?;
        let found = entries
            .into_iter()
            .find(|entry| entry.name.to_lowercase() == wanted);
        found.ok_or(Errno::ENOENT)
    }

    /// What is in the directory at `path`, without `.` and `..`.
    ///
    /// # Errors
    /// ENOENT, ENOTDIR, EIOCBQUEUED, EIO.
    pub fn list(&self, path: &str) -> Result<Vec<Entry>, Errno> {
        let listed = self.run(|fs| {
            let root = fs.root_dir();
            let directory = if path.is_empty() {
                root
            } else {
                root.open_dir(path)?
            };
            let mut entries = Vec::new();
            for entry in directory.iter() {
                let entry = entry?;
                let name = entry.file_name();
                if name == "." || name == ".." {
                    continue;
                }
                if entries.len() >= MAX_ENTRIES {
                    return Err(Error::CorruptedFileSystem);
                }
                entries.push(Entry {
                    name,
                    is_directory: entry.is_dir(),
                    is_read_only: entry.attributes().contains(FileAttributes::READ_ONLY),
                    size: if entry.is_dir() { 0 } else { entry.len() },
                    mtime: from_fat(entry.modified()),
                });
            }
            Ok(entries)
        });
        listed.map_err(|errno| {
            if errno == Errno::EINVAL {
                Errno::ENOTDIR
            } else {
                errno
            }
        })
    }

    /// Reads bytes of the file at `path`; fewer at its end.
    ///
    /// # Errors
    /// ENOENT, EIOCBQUEUED, EIO.
    pub fn read(&self, path: &str, at: u64, into: &mut [u8]) -> Result<usize, Errno> {
        self.run(|fs| {
            let mut file = fs.root_dir().open_file(path)?;
            if at > MAX_LEN || file.seek(SeekFrom::Start(at))? != at {
                return Ok(0);
            }
            let mut done = 0;
            while done < into.len() {
                match file.read(&mut into[done..])? {
                    0 => break,
                    count => done += count,
                }
            }
            Ok(done)
        })
    }

    /// Writes bytes to the file at `path`, filling up to `at` with zeroes; says how many were written.
    ///
    /// # Errors
    /// ENOENT, EROFS, EFBIG, ENOSPC, EIOCBQUEUED, EIO.
    pub fn write(&self, path: &str, at: u64, bytes: &[u8]) -> Result<usize, Errno> {
        self.may_write()?;
        let room = MAX_LEN
            .checked_sub(at)
            .filter(|room| *room > 0)
            .ok_or(Errno::EFBIG)?;
        let count = bytes
            .len()
            .min(WRITE)
            .min(usize::try_from(room).unwrap_or(usize::MAX));
        self.extend(path, at)?;
        self.write_at(path, at, &bytes[..count]).map(|()| count)
    }

    fn write_at(&self, path: &str, at: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.run(|fs| {
            let mut file = fs.root_dir().open_file(path)?;
            if file.seek(SeekFrom::Start(at))? != at {
                return Err(Error::CorruptedFileSystem);
            }
            file.write_all(bytes)?;
            file.flush()
        })
    }

    /// Makes a file at least `len` bytes long, with zeroes, a piece at a time.
    fn extend(&self, path: &str, len: u64) -> Result<(), Errno> {
        loop {
            let size = self.entry(path)?.size;
            if size >= len {
                return Ok(());
            }
            let part = usize::try_from(len - size).map_or(WRITE, |left| left.min(WRITE));
            self.write_at(path, size, &alloc::vec![0; part])?;
        }
    }

    /// Gives the file at `path` this length.
    ///
    /// # Errors
    /// As for [`Mount::write`].
    pub fn set_len(&self, path: &str, len: u64) -> Result<(), Errno> {
        self.may_write()?;
        if len > MAX_LEN {
            return Err(Errno::EFBIG);
        }
        self.extend(path, len)?;
        loop {
            let size = self.entry(path)?.size;
            if size <= len {
                return Ok(());
            }
            self.run(|fs| {
                let step = FREE * u64::from(fs.cluster_size());
                let to = len.max(size.saturating_sub(step));
                let mut file = fs.root_dir().open_file(path)?;
                if file.seek(SeekFrom::Start(to))? != to {
                    return Err(Error::CorruptedFileSystem);
                }
                file.truncate()?;
                file.flush()
            })?;
        }
    }

    /// Makes an empty file, or a directory.
    ///
    /// # Errors
    /// EEXIST, ENOENT, EROFS, ENOSPC, EINVAL, ENAMETOOLONG, EIOCBQUEUED, EIO.
    pub fn create(&self, path: &str, is_directory: bool) -> Result<(), Errno> {
        self.may_write()?;
        match self.entry(path) {
            Ok(_) => return Err(Errno::EEXIST),
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
        self.run(|fs| {
            if is_directory {
                fs.root_dir().create_dir(path).map(drop)
            } else {
                fs.root_dir().create_file(path).map(drop)
            }
        })
    }

    /// Removes a file, or an empty directory.
    ///
    /// # Errors
    /// ENOENT, EISDIR, ENOTDIR, ENOTEMPTY, EBUSY, EROFS, EIOCBQUEUED, EIO.
    pub fn remove(&self, path: &str, is_directory: bool) -> Result<(), Errno> {
        self.may_write()?;
        let entry = self.entry(path)?;
        match (entry.is_directory, is_directory) {
            (true, false) => return Err(Errno::EISDIR),
            (false, true) => return Err(Errno::ENOTDIR),
            _ => {}
        }
        self.not_in_use(path)?;
        if !is_directory {
            // What is large is given back in pieces; the last one goes with the name.
            self.set_len(path, 0)?;
        }
        self.run(|fs| fs.root_dir().remove(path))
    }

    /// Moves a name, in place of a file that was there.
    ///
    /// # Errors
    /// ENOENT, EXDEV: a directory, to another one; EBUSY, EISDIR, ENOTDIR, ENOTEMPTY, EROFS, EIOCBQUEUED, EIO.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), Errno> {
        self.may_write()?;
        let entry = self.entry(from)?;
        let is_same = from.to_lowercase() == to.to_lowercase();
        if entry.is_directory && split(from).0.to_lowercase() != split(to).0.to_lowercase() {
            return Err(Errno::EXDEV);
        }
        self.not_in_use(from)?;
        if !is_same {
            match self.entry(to) {
                Ok(old) if old.is_directory && !entry.is_directory => return Err(Errno::EISDIR),
                Ok(old) if !old.is_directory && entry.is_directory => return Err(Errno::ENOTDIR),
                Ok(old) => self.remove(to, old.is_directory)?,
                Err(Errno::ENOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        self.run(|fs| {
            let root = fs.root_dir();
            root.rename(from, &root, to)
        })
    }

    /// Keeps `path` from being removed or renamed as long as the result lives.
    #[must_use]
    pub fn keep(&self, path: &str) -> OpenName {
        let mut open = self.open.borrow_mut();
        open.retain(|_, name| name.strong_count() > 0);
        let key = path.to_lowercase();
        if let Some(name) = open.get(&key).and_then(Weak::upgrade) {
            return OpenName(name);
        }
        let name = Rc::new(());
        open.insert(key, Rc::downgrade(&name));
        OpenName(name)
    }

    /// Refuses what is in use, or has something in use below it.
    fn not_in_use(&self, path: &str) -> Result<(), Errno> {
        let path = path.to_lowercase();
        let is_below = |other: &str| {
            other
                .strip_prefix(&*path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let open = self.open.borrow();
        let mut names = open.iter().filter(|(_, name)| name.strong_count() > 0);
        if names.any(|(name, _)| is_below(name)) {
            Err(Errno::EBUSY)
        } else {
            Ok(())
        }
    }
}

/// A path without its last name, and that name.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}
