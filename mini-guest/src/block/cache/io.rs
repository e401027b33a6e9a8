//! Requests of the cache: runs of neighbouring blocks, kept back while the device is busy.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::ops::Range;

use super::{AHEAD, BLOCK, BLOCK_SECTORS, Block, Cache, Missing, State, bits};
use crate::block::{BlockError, Completion, Op, Request, SECTOR};
use crate::page::Page;

/// What is under way, and what waits for the device.
#[derive(Default)]
pub(super) struct Queue {
    /// Runs under way, by the requests' numbers.
    running: RefCell<BTreeMap<u64, Run>>,
    /// Runs that the device had no room for.
    waiting: RefCell<VecDeque<Run>>,
    next: Cell<u64>,
}

impl Queue {
    /// Whether nothing is under way and nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.running.borrow().is_empty() && self.waiting.borrow().is_empty()
    }
}

/// Sectors that are read or written by one request; none for a flush. Whole blocks where they are read.
#[derive(Clone, Debug)]
struct Run {
    op: Op,
    sectors: Range<u64>,
}

impl Run {
    /// The blocks that it is about, and which sectors of each: the first, and the one behind the last.
    fn blocks(&self) -> impl DoubleEndedIterator<Item = (u64, usize, usize)> + use<> {
        let Range { start, end } = self.sectors;
        (start / BLOCK_SECTORS..end.div_ceil(BLOCK_SECTORS)).map(move |index| {
            let first = index * BLOCK_SECTORS;
            let (from, to) = (start.max(first) - first, end.min(first + BLOCK_SECTORS) - first);
            (index, from as usize, to as usize)
        })
    }

    fn len(&self) -> u64 {
        self.sectors.end.div_ceil(BLOCK_SECTORS) - self.sectors.start / BLOCK_SECTORS
    }
}

impl Cache {
    /// Begins to read block `index`, and a few behind it.
    pub(super) fn fetch(&self, index: u64) -> Result<(), Missing> {
        let most = AHEAD.min(self.device.info().max_segments as u64);
        let mut end = index;
        while end < index + most && self.block_len(end) > 0 && !self.blocks.borrow().contains_key(&end) {
            let made = self.make_room().and_then(|()| self.page());
            let page = match made {
                Ok(page) => page,
                // What is read ahead is not worth a wait.
                Err(_) if end > index => break,
                Err(missing) => return Err(missing),
            };
            let block = Block {
                page,
                state: State::Reading,
                used: self.tick(),
                dirty: 0,
                writing: 0,
                is_old: false,
            };
            self.blocks.borrow_mut().insert(end, block);
            end += 1;
        }
        self.start(Run {
            op: Op::Read,
            sectors: index * BLOCK_SECTORS..(end * BLOCK_SECTORS).min(self.sectors()),
        });
        self.take_completions();
        Ok(())
    }

    /// A page, perhaps at the expense of the oldest block.
    pub(super) fn page(&self) -> Result<Page, Missing> {
        Page::for_disk().map_err(|_| BlockError::Io.into())
    }

    /// Begins to write all dirty sectors.
    pub fn write_back(&self) {
        let mut runs: Vec<Run> = Vec::new();
        let most = self.device.info().max_segments as u64;
        for (index, block) in self.blocks.borrow_mut().iter_mut() {
            if block.state != State::Dirty {
                continue;
            }
            block.state = State::Writing;
            block.writing = block.dirty;
            for bit in (0..BLOCK_SECTORS).filter(|bit| block.dirty & 1 << bit != 0) {
                let sector = index * BLOCK_SECTORS + bit;
                match runs.last_mut() {
                    Some(run) if run.sectors.end == sector && (bit > 0 || run.len() < most) => {
                        run.sectors.end += 1;
                    }
                    _ => runs.push(Run {
                        op: Op::Write,
                        sectors: sector..sector + 1,
                    }),
                }
            }
        }
        for run in runs {
            self.start(run);
        }
        self.take_completions();
    }

    /// Begins a flush.
    pub(super) fn flush(&self) {
        self.start(Run {
            op: Op::Flush,
            sectors: 0..0,
        });
    }

    /// Submits a run, or keeps it until there is room.
    fn start(&self, run: Run) {
        let is_first = self.io.waiting.borrow().is_empty();
        let kept = if is_first { self.submit(run) } else { Some(run) };
        if let Some(run) = kept {
            self.io.waiting.borrow_mut().push_back(run);
        }
    }

    /// Submits a run; gives it back where the device is busy.
    fn submit(&self, run: Run) -> Option<Run> {
        let id = self.io.next.replace(self.io.next.get() + 1);
        let mut segments = Vec::new();
        for (index, from, to) in run.blocks() {
            if let Some(block) = self.blocks.borrow_mut().get_mut(&index) {
                // SAFETY: the page is the block's, which stays until the completion: blocks that are read or written are
                // neither given up nor changed, and looked at only while the device does no more than that.
                let whole = unsafe { block.page.segment(BLOCK) };
                segments.push(whole.part((from * SECTOR) as u32, ((to - from) * SECTOR) as u32));
            }
        }
        let request = Request::new(run.op, run.sectors.start, segments, id, self.client.clone());
        self.io.running.borrow_mut().insert(id, run);
        let Err(refused) = self.device.submit(request) else {
            return None;
        };
        let run = self.io.running.borrow_mut().remove(&id)?;
        // A device that is busy with nothing of ours is so with others': their completion is an event too.
        if refused.error == BlockError::Busy {
            return Some(run);
        }
        self.ended(&run, Err(refused.error));
        None
    }

    /// Takes what the device has done, and gives it what waited.
    pub(super) fn take_completions(&self) {
        loop {
            while let Some(Completion { id, result }) = self.client.take() {
                self.news.set(true);
                let run = self.io.running.borrow_mut().remove(&id);
                if let Some(run) = run {
                    self.ended(&run, result);
                }
            }
            let next = self.io.waiting.borrow_mut().pop_front();
            let Some(run) = next else { return };
            if let Some(run) = self.submit(run) {
                self.io.waiting.borrow_mut().push_front(run);
                return;
            }
        }
    }

    fn ended(&self, run: &Run, mut result: Result<(), BlockError>) {
        let mut blocks = self.blocks.borrow_mut();
        for (index, from, to) in run.blocks() {
            let Some(block) = blocks.get_mut(&index) else {
                continue;
            };
            if run.op == Op::Write {
                let written = bits(from, to - from);
                block.writing &= !written;
                if result.is_ok() {
                    block.dirty &= !written;
                }
                if block.writing != 0 {
                    continue;
                }
            }
            block.state = match (block.state, run.op, result) {
                // Who wants it reads it anew.
                (State::Stale, ..) => {
                    blocks.remove(&index);
                    continue;
                }
                (_, Op::Read, Ok(())) => State::Clean,
                (_, Op::Read, Err(error)) => State::Failed(error),
                _ if block.dirty != 0 => {
                    // Another part may have failed before: who waits for the block now has to hear of it.
                    result = result.and(Err(BlockError::Io));
                    State::Dirty
                }
                _ if block.is_old => {
                    blocks.remove(&index);
                    continue;
                }
                _ => State::Clean,
            };
        }
        drop(blocks);
        // A read ahead that failed is nobody's business.
        if run.op == Op::Read && result.is_err() {
            for (index, ..) in run.blocks().skip(1) {
                self.blocks.borrow_mut().remove(&index);
            }
        }
        if run.op == Op::Write && result.is_err() {
            self.write_failed.set(true);
        }
        if run.op != Op::Read {
            self.write_ended(run.op, result);
        }
    }

    /// Whether writes are under way or wait.
    pub(super) fn is_writing(&self) -> bool {
        let is_write = |run: &Run| run.op == Op::Write;
        self.io.running.borrow().values().any(is_write) || self.io.waiting.borrow().iter().any(is_write)
    }
}
