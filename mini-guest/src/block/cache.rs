//! The block cache: pages of a disk, and operations on them that happen as a whole or not at all.
//!
//! Who works on a disk synchronously (a file system's code, a program that reads `/dev/vda`) opens a [`Transaction`] and
//! reads and writes bytes in it. A block that is not in the cache ends the attempt with [`Missing::Wait`]: its
//! reading has begun, nothing of the operation is kept, and the operation is begun anew after the next completion. What the transaction
//! wrote becomes the cache's dirty blocks together, by [`Transaction::commit`], or is forgotten.
//!
//! Dirty blocks are written when [`Cache::write_back`] is called (the kernel does so when it has nothing else to do, and when there are many),
//! and by [`Cache::begin_sync`], which ends with a flush. Neighbours go out in one request.
//!
//! A block is [`BLOCK`] bytes, counted from the disk's first sector, however partitions lie. The last one may be shorter.
//! Somebody else may have some of its sectors (a partition or a file that another domain uses), so of a block only those sectors are written that
//! were changed here.
//!
//! # Invariants
//! - A sector that no transaction wrote is never written.
//! - A block that a device holds (being read or written) is not changed. A commit that would waits.
//! - Clean blocks are given up for others, oldest use first; dirty ones never before they are written.
//! - A read that failed is told to the next who wants the block, once; then it is tried again.
//! - A block whose writing failed stays dirty, and every sync that waits for it fails.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use core::ops::Range;

use super::{BlockError, Client, Device, SECTOR};
use crate::page::{PAGE, Page};

mod io;
mod sync;
mod transaction;

#[cfg(test)]
mod beside_tests;
#[cfg(test)]
mod tests;

pub use sync::Ticket;
pub use transaction::Transaction;

/// Bytes of a block.
pub const BLOCK: usize = PAGE;
/// Sectors of a block.
const BLOCK_SECTORS: u64 = (BLOCK / SECTOR) as u64;
const _: () = assert!(BLOCK_SECTORS == u8::BITS as u64, "a bit for each");
/// Blocks that are read with one that is missing.
const AHEAD: u64 = 8;
/// Least blocks of a cache: what the largest transaction needs.
pub const LEAST: usize = 128;

/// Why an operation stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Something has to be read or written first. Begin anew after the next completion.
    Wait,
    /// It cannot be done.
    Error(BlockError),
}

impl From<BlockError> for Missing {
    fn from(error: BlockError) -> Self {
        Self::Error(error)
    }
}

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Being read.
    Reading,
    /// Being read, and forgotten: what comes may be older than what somebody else wrote meanwhile.
    Stale,
    /// As on the disk.
    Clean,
    /// Newer than the disk.
    Dirty,
    /// Newer than the disk, and being written.
    Writing,
    /// It could not be read.
    Failed(BlockError),
}

#[derive(Debug)]
struct Block {
    page: Page,
    state: State,
    used: u64,
    /// Sectors that are newer than the disk, bit by bit, and those of them that are being written.
    dirty: u8,
    writing: u8,
    /// Somebody else may have changed the other sectors: it is not looked at any more, and given up when it is written.
    is_old: bool,
}

/// Pages of one disk.
pub struct Cache {
    device: Rc<dyn Device>,
    client: Rc<Client>,
    limit: usize,
    blocks: RefCell<BTreeMap<u64, Block>>,
    io: io::Queue,
    sync: sync::Rounds,
    clock: Cell<u64>,
    /// Something has come of a request since the kernel asked.
    news: Cell<bool>,
    /// The last write failed, and nothing was committed since.
    write_failed: Cell<bool>,
}

/// Numbers of a cache, for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Blocks held.
    pub blocks: usize,
    /// Of these, newer than the disk.
    pub dirty: usize,
}

impl Cache {
    /// A cache of at most `limit` blocks (but not less than [`LEAST`]) of `device`.
    #[must_use]
    pub fn new(device: Rc<dyn Device>, limit: usize) -> Self {
        Self {
            device,
            client: Client::new(),
            limit: limit.max(LEAST),
            blocks: RefCell::default(),
            io: io::Queue::default(),
            sync: sync::Rounds::default(),
            clock: Cell::new(0),
            news: Cell::new(false),
            write_failed: Cell::new(false),
        }
    }

    /// Sectors of the disk.
    #[must_use]
    pub fn sectors(&self) -> u64 {
        self.device.info().sectors
    }

    /// Whether writes are refused.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.device.info().is_read_only
    }

    /// What it holds.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let blocks = self.blocks.borrow();
        let is_dirty = |block: &&Block| matches!(block.state, State::Dirty | State::Writing);
        Usage {
            blocks: blocks.len(),
            dirty: blocks.values().filter(is_dirty).count(),
        }
    }

    /// Whether it holds anything that the disk does not have, or waits for the disk.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.client.in_flight() == 0 && self.usage().dirty == 0
    }

    /// Whether something has come of a request since this was last asked: who waits may go on.
    pub fn take_news(&self) -> bool {
        self.take_completions();
        self.news.take()
    }

    /// Begins to write what is dirty, unless that has just failed. For a kernel that has nothing else to do.
    pub fn write_at_leisure(&self) {
        if !self.write_failed.get() && self.has_dirty() {
            self.write_back();
        }
    }

    /// Gives up the blocks with sectors of `theirs`, which are in order and apart: somebody else writes there. What was written here to other sectors of
    /// these blocks is kept until it is on the disk.
    pub fn forget(&self, theirs: &[Range<u64>]) {
        let is_theirs = |index: u64| {
            let (first, end) = (index * BLOCK_SECTORS, (index + 1) * BLOCK_SECTORS);
            let next = theirs.partition_point(|range| range.end <= first);
            theirs.get(next).is_some_and(|range| range.start < end)
        };
        self.blocks.borrow_mut().retain(|index, block| {
            if !is_theirs(*index) {
                return true;
            }
            match block.state {
                State::Clean | State::Failed(_) => return false,
                State::Reading => block.state = State::Stale,
                State::Stale => {}
                State::Dirty | State::Writing => block.is_old = true,
            }
            true
        });
    }

    /// A value that grows with each call.
    fn tick(&self) -> u64 {
        self.clock.set(self.clock.get() + 1);
        self.clock.get()
    }

    /// How many bytes block `index` has; 0 beyond the disk.
    fn block_len(&self, index: u64) -> usize {
        let first = index.saturating_mul(BLOCK_SECTORS);
        let sectors = self.sectors().saturating_sub(first).min(BLOCK_SECTORS);
        sectors as usize * SECTOR
    }

    /// The sectors that block `index` has, bit by bit.
    fn all_sectors(&self, index: u64) -> u8 {
        bits(0, self.block_len(index) / SECTOR)
    }

    /// The sectors that are written where bytes of these are: whole blocks of the medium.
    fn whole_sectors(&self, index: u64, touched: u8) -> u8 {
        let unit = self.device.info().block_sectors as usize;
        if unit <= 1 {
            return touched;
        }
        let units = (0..BLOCK_SECTORS as usize).step_by(unit);
        let wanted = units
            .map(|first| bits(first, unit))
            .filter(|unit| unit & touched != 0);
        wanted.fold(0, |all, unit| all | unit) & self.all_sectors(index)
    }

    /// Shows block `index` to `look`.
    ///
    /// # Errors
    /// [`Missing`].
    fn look<R>(&self, index: u64, look: impl FnOnce(&Page) -> R) -> Result<R, Missing> {
        if self.block_len(index) == 0 {
            return Err(BlockError::OutOfRange.into());
        }
        let used = self.tick();
        let is_old = |blocks: &BTreeMap<u64, Block>| blocks.get(&index).is_some_and(|block| block.is_old);
        if is_old(&self.blocks.borrow()) {
            if self.write_failed.get() {
                return Err(BlockError::Io.into());
            }
            self.write_back();
            if is_old(&self.blocks.borrow()) {
                return Err(Missing::Wait);
            }
        }
        if !self.blocks.borrow().contains_key(&index) {
            self.fetch(index)?;
        }
        let mut blocks = self.blocks.borrow_mut();
        let Some(block) = blocks.get_mut(&index) else {
            return Err(Missing::Wait);
        };
        match block.state {
            State::Reading | State::Stale => Err(Missing::Wait),
            State::Failed(error) => {
                blocks.remove(&index);
                Err(error.into())
            }
            State::Clean | State::Dirty | State::Writing => {
                block.used = used;
                Ok(look(&block.page))
            }
        }
    }

    /// Makes room for another block.
    ///
    /// # Errors
    /// [`Missing::Wait`] where dirty ones have to be written first; no memory.
    fn make_room(&self) -> Result<(), Missing> {
        let mut blocks = self.blocks.borrow_mut();
        if blocks.len() < self.limit {
            return Ok(());
        }
        let clean = blocks.iter().filter(|(_, block)| block.state == State::Clean);
        if let Some(oldest) = clean.min_by_key(|(_, block)| block.used).map(|(index, _)| *index) {
            blocks.remove(&oldest);
            return Ok(());
        }
        drop(blocks);
        self.write_out()
    }

    /// Writes dirty blocks because their place is needed; `Ok` where the disk has done so at once.
    fn write_out(&self) -> Result<(), Missing> {
        self.write_back();
        if self.usage().dirty == 0 {
            return Ok(());
        }
        if self.io.is_empty() {
            // Nothing can be written: it would wait for ever.
            return Err(BlockError::Io.into());
        }
        Err(Missing::Wait)
    }
}

/// `count` bits from bit `first` on, as far as there are such.
fn bits(first: usize, count: usize) -> u8 {
    let end = (first + count).min(BLOCK_SECTORS as usize);
    (first..end).fold(0, |bits, bit| bits | 1 << bit)
}

impl Drop for Cache {
    fn drop(&mut self) {
        if self.client.in_flight() > 0 {
            // The device still has pages of ours: they are lost.
            core::mem::forget(core::mem::take(self.blocks.get_mut()));
        }
    }
}
