//! A mounted volume, and how an operation on it is a transaction.

use alloc::collections::BTreeMap;
use alloc::rc::Weak;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use axfatfs::{Error, FileSystem, FsOptions, LossyOemCpConverter};

use super::clock::Now;
use super::errno;
use super::lend::Loan;
use super::storage::{Storage, Trouble};
use crate::block::Volume;
use crate::block::cache::Transaction;
use crate::linux::Errno;
use crate::linux::time::TimeSpec;

pub(super) type Fat<'a, 'c> = FileSystem<Storage<'a, 'c>, Now, LossyOemCpConverter>;
pub(super) type FatResult<R> = Result<R, Error<Trouble>>;

/// A mounted volume.
#[derive(Debug)]
pub struct Mount {
    volume: Volume,
    source: String,
    is_read_only: bool,
    /// Files and directories that are in use, by path in small letters.
    pub(super) open: RefCell<BTreeMap<String, Weak<()>>>,
    /// Files that other domains use.
    pub(super) loans: RefCell<Vec<Weak<Loan>>>,
    /// The wall clock, as of the operation that is being done.
    pub clock: Cell<TimeSpec>,
}

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
            loans: RefCell::default(),
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
    pub(super) fn run<R>(&self, work: impl FnOnce(&Fat<'_, '_>) -> FatResult<R>) -> Result<R, Errno> {
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

    pub(super) fn may_write(&self) -> Result<(), Errno> {
        if self.is_read_only {
            Err(Errno::EROFS)
        } else {
            Ok(())
        }
    }
}
