//! Operations that happen as a whole or not at all.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use core::cell::RefCell;

use super::{BLOCK, Block, Cache, LEAST, Missing, State, bits};
use crate::block::{BlockError, SECTOR};
use crate::page::Page;

/// Most blocks that one transaction writes.
const MAX_WRITTEN: usize = LEAST / 2;

/// One operation's view of the disk: the cache, and over it what the operation has written.
pub struct Transaction<'c> {
    cache: &'c Cache,
    written: RefCell<BTreeMap<u64, Written>>,
}

/// A block with what a transaction wrote, and in which sectors.
struct Written {
    page: Page,
    sectors: u8,
}

impl<'c> Transaction<'c> {
    /// Begins an operation.
    #[must_use]
    pub fn new(cache: &'c Cache) -> Self {
        Self {
            cache,
            written: RefCell::default(),
        }
    }

    /// Reads bytes of the disk.
    ///
    /// # Errors
    /// [`Missing`]: also where only a part could be read.
    pub fn read(&self, at: u64, into: &mut [u8]) -> Result<(), Missing> {
        self.check(at, into.len())?;
        let mut done = 0;
        while done < into.len() {
            let (index, offset, part) = piece(at, done, into.len());
            let into = &mut into[done..done + part];
            let mut copy = |page: &Page| into.copy_from_slice(&page[offset..offset + part]);
            match self.written.borrow().get(&index) {
                Some(written) => copy(&written.page),
                None => self.cache.look(index, copy)?,
            }
            done += part;
        }
        Ok(())
    }

    /// Writes bytes, so far for this transaction only.
    ///
    /// # Errors
    /// [`Missing`]; after one the transaction is of no use any more.
    pub fn write(&self, at: u64, bytes: &[u8]) -> Result<(), Missing> {
        if self.cache.is_read_only() {
            return Err(BlockError::ReadOnly.into());
        }
        self.check(at, bytes.len())?;
        let mut done = 0;
        while done < bytes.len() {
            let (index, offset, part) = piece(at, done, bytes.len());
            let mut written = self.written.borrow_mut();
            let is_full = written.len() >= MAX_WRITTEN;
            let block = match written.entry(index) {
                Entry::Occupied(block) => block.into_mut(),
                Entry::Vacant(_) if is_full => return Err(BlockError::Malformed.into()),
                Entry::Vacant(place) => {
                    let mut page = self.cache.page()?;
                    // A block that is written as a whole need not be read.
                    if part < self.cache.block_len(index) {
                        self.cache.look(index, |old| page.copy_from_slice(&old[..]))?;
                    }
                    place.insert(Written { page, sectors: 0 })
                }
            };
            block.page[offset..offset + part].copy_from_slice(&bytes[done..done + part]);
            let (first, end) = (offset / SECTOR, (offset + part).div_ceil(SECTOR));
            block.sectors |= self.cache.whole_sectors(index, bits(first, end - first));
            done += part;
        }
        Ok(())
    }

    /// Refuses what the disk does not have.
    fn check(&self, at: u64, len: usize) -> Result<(), Missing> {
        let disk = self.cache.sectors() * SECTOR as u64;
        let end = at.checked_add(len as u64);
        if end.is_none_or(|end| end > disk) {
            return Err(BlockError::OutOfRange.into());
        }
        Ok(())
    }

    /// Makes what was written part of the cache, all of it or nothing.
    ///
    /// # Errors
    /// [`Missing::Wait`]: a block is just being read or written, or there is no room; the operation has to be begun anew.
    pub fn commit(self) -> Result<(), Missing> {
        let written = self.written.into_inner();
        let cache = self.cache;
        let is_held = |index: &u64| {
            let blocks = cache.blocks.borrow();
            let state = blocks.get(index).map(|block| block.state);
            matches!(state, Some(State::Reading | State::Stale | State::Writing))
        };
        if written.keys().any(is_held) {
            return Err(Missing::Wait);
        }
        // Room for those that are not here; what is made for one is not taken by another, as all of it is asked for first.
        let new = |cache: &Cache| {
            let blocks = cache.blocks.borrow();
            written.keys().filter(|index| !blocks.contains_key(index)).count()
        };
        while cache.blocks.borrow().len() + new(cache) > cache.limit {
            cache.give_up_one(&written)?;
        }
        let mut blocks = cache.blocks.borrow_mut();
        for (index, Written { page, sectors }) in written {
            // What is written as a whole may take the place of an old block; nothing else does.
            let before = blocks.get(&index).map_or(0, |block| block.dirty);
            let block = Block {
                page,
                state: State::Dirty,
                used: cache.tick(),
                dirty: before | sectors,
                writing: 0,
                is_old: false,
            };
            blocks.insert(index, block);
        }
        cache.write_failed.set(false);
        Ok(())
    }
}

impl Cache {
    /// Gives up the clean block that was not used for longest and is not one of `keep`.
    fn give_up_one(&self, keep: &BTreeMap<u64, Written>) -> Result<(), Missing> {
        let mut blocks = self.blocks.borrow_mut();
        let clean = blocks
            .iter()
            .filter(|(index, block)| block.state == State::Clean && !keep.contains_key(index));
        match clean.min_by_key(|(_, block)| block.used).map(|(index, _)| *index) {
            Some(oldest) => {
                blocks.remove(&oldest);
                Ok(())
            }
            None => {
                drop(blocks);
                self.write_out()
            }
        }
    }
}

/// Where byte `done` of `len` bytes at `at` is: block, offset in it, and how many bytes follow there.
fn piece(at: u64, done: usize, len: usize) -> (u64, usize, usize) {
    let at = at + done as u64;
    let offset = (at % BLOCK as u64) as usize;
    (at / BLOCK as u64, offset, (len - done).min(BLOCK - offset))
}
