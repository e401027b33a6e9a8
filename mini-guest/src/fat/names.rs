//! Names in directories: found, listed, made, removed, moved, and kept while they are in use.

use alloc::rc::{Rc, Weak};
use alloc::string::String;
use alloc::vec::Vec;

use axfatfs::{Error, FileAttributes};

use super::clock::from_fat;
use super::mount::Mount;
use crate::linux::Errno;
use crate::linux::time::TimeSpec;

/// Most entries of a directory: FAT allows 2 MiB of 32 bytes each.
const MAX_ENTRIES: usize = 65_536;

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

/// Keeps a name in use.
#[derive(Clone, Debug)]
pub struct OpenName(#[expect(dead_code, reason = "held, not looked at")] Rc<()>);

impl Mount {
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
