//! The crate's view of the volume: bytes in a transaction.

use core::cell::Cell;

use axfatfs::{IoBase, IoError, Read, Seek, SeekFrom, Write};

use crate::block::BlockError;
use crate::block::cache::{Missing, Transaction};

/// Why the storage fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trouble(pub Missing);

impl IoError for Trouble {
    fn is_interrupted(&self) -> bool {
        false
    }

    fn new_unexpected_eof_error() -> Self {
        Self(Missing::Error(BlockError::OutOfRange))
    }

    fn new_write_zero_error() -> Self {
        Self(Missing::Error(BlockError::OutOfRange))
    }
}

/// Bytes that one operation may move, and what each access counts at least: far more than the longest directory or table, so that only chains that
/// go in circles come there.
const BUDGET: u64 = 16 << 20;
const LEAST_ACCESS: u64 = 4;

/// A volume inside of a transaction. The first trouble is noted: the crate forgets some of them when it drops its objects.
pub(super) struct Storage<'a, 'c> {
    transaction: &'a Transaction<'c>,
    /// First byte on the disk.
    base: u64,
    /// Bytes of the volume.
    len: u64,
    position: u64,
    first_trouble: &'a Cell<Option<Missing>>,
    moved: u64,
}

impl<'a, 'c> Storage<'a, 'c> {
    /// `len` bytes of the disk from byte `base` on.
    pub fn new(
        transaction: &'a Transaction<'c>,
        (base, len): (u64, u64),
        first_trouble: &'a Cell<Option<Missing>>,
    ) -> Self {
        Self {
            transaction,
            base,
            len,
            position: 0,
            first_trouble,
            moved: 0,
        }
    }
}

impl Storage<'_, '_> {
    /// Counts an access.
    fn spend(&mut self, len: usize) -> Result<(), Trouble> {
        self.moved += (len as u64).max(LEAST_ACCESS);
        let is_within = self.moved <= BUDGET;
        self.note(if is_within {
            Ok(())
        } else {
            Err(BlockError::Io.into())
        })
    }

    fn note(&self, result: Result<(), Missing>) -> Result<(), Trouble> {
        result.map_err(|missing| {
            if self.first_trouble.get().is_none() {
                self.first_trouble.set(Some(missing));
            }
            Trouble(missing)
        })
    }

    /// How many of `wanted` bytes there are from the position on.
    fn here(&self, wanted: usize) -> usize {
        let left = self.len.saturating_sub(self.position);
        usize::try_from(left).map_or(wanted, |left| left.min(wanted))
    }
}

impl IoBase for Storage<'_, '_> {
    type Error = Trouble;
}

impl Read for Storage<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Trouble> {
        self.spend(into.len())?;
        let count = self.here(into.len());
        let done = self
            .transaction
            .read(self.base + self.position, &mut into[..count]);
        self.note(done)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Write for Storage<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Trouble> {
        self.spend(bytes.len())?;
        let count = self.here(bytes.len());
        let done = self.transaction.write(self.base + self.position, &bytes[..count]);
        self.note(done)?;
        self.position += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> Result<(), Trouble> {
        Ok(())
    }
}

impl Seek for Storage<'_, '_> {
    fn seek(&mut self, to: SeekFrom) -> Result<u64, Trouble> {
        let (from, by) = match to {
            SeekFrom::Start(at) => (at, 0),
            SeekFrom::Current(by) => (self.position, by),
            SeekFrom::End(by) => (self.len, by),
        };
        let at = from.checked_add_signed(by);
        self.position = at.ok_or(Trouble(Missing::Error(BlockError::OutOfRange)))?;
        Ok(self.position)
    }
}
