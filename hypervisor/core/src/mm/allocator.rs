//! Free frames: a buddy allocator whose lists live in the frame table's own words.
//!
//! A free block of order *k* is 2^*k* frames, aligned to its size; its head frame carries the order and the links of
//! its list. Every free frame, head or not, remembers who owned it last, when it was freed on the flush
//! clock, and whether it is known to hold zeroes; [`super::allocate`] acts on that when a frame is given out.

use super::{frame::FreeWord, pte::is_frame_zero, table::FrameTable};
use crate::{domain::DomId, platform::FrameMemory};
use core::ops::Range;
use guest_abi::addr::Mfn;

/// Largest order of a block: 4 MiB.
pub const MAX_ORDER: u32 = 10;

/// No frame, in a link.
const NIL: u32 = u32::MAX;

/// Lists of free blocks by order.
#[derive(Debug)]
pub struct Allocator {
    heads: [u32; MAX_ORDER as usize + 1],
    free: u32,
    dirty: u32,
    scrub_cursor: u32,
    deaths: u16,
}

impl Allocator {
    /// An allocator with nothing in it.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            heads: [NIL; MAX_ORDER as usize + 1],
            free: 0,
            dirty: 0,
            scrub_cursor: 0,
            deaths: 0,
        }
    }

    /// Free frames.
    #[must_use]
    pub const fn free_frames(&self) -> u32 {
        self.free
    }

    /// Free frames not known to hold zeroes.
    #[must_use]
    pub const fn dirty_frames(&self) -> u32 {
        self.dirty
    }

    /// How many domains have died so far (stops at its limit): the time scale on which a domain's number, when
    /// used again, is told from its former bearer.
    #[must_use]
    pub const fn deaths(&self) -> u16 {
        self.deaths
    }

    /// Notes that a domain died and all its frames are back.
    pub const fn note_death(&mut self) {
        self.deaths = self.deaths.saturating_add(1);
    }

    /// Makes the frames of `range` free for allocation. For boot: each must be [`super::FrameInfo::new`] and RAM.
    /// Those that non-present entries may name are left out.
    ///
    /// # Panics
    /// Where a frame of it is known already.
    pub fn add(&mut self, frames: FrameTable, range: Range<Mfn>) {
        let (mut at, end) = (range.start.raw(), range.end.raw());
        assert!(
            u64::from(end) <= frames.len(),
            "more RAM than frames in the table"
        );
        while at < end {
            if is_frame_zero(u64::from(at)) {
                at += 1;
                continue;
            }
            let order = largest_block(at, end);
            let block = 1u32 << order;
            assert!(frames.free_word(at).head_order().is_none());
            self.insert(frames, at, order);
            self.free += block;
            self.dirty += block;
            at += block;
        }
    }

    /// The head of a free block of at least `order`, the smallest there is, with its order.
    pub(super) fn find(&self, order: u32) -> Option<(Mfn, u32)> {
        (order..=MAX_ORDER)
            .find(|&k| self.heads[k as usize] != NIL)
            .map(|k| (Mfn::new(self.heads[k as usize]), k))
    }

    /// Takes the first 2^`order` frames off the free block at `head`, of order `have`; the rest stays free. The
    /// caller gives each frame taken a new word.
    pub(super) fn take(&mut self, frames: FrameTable, head: Mfn, have: u32, order: u32) {
        let at = head.raw();
        self.unlink(frames, at, have);
        for k in (order..have).rev() {
            self.insert(frames, at + (1 << k), k);
        }
        let taken = frames.block(at..at + (1 << order));
        let dirty = taken.iter().filter(|info| !info.free_word().is_clean()).count();
        self.free -= 1 << order;
        self.dirty -= dirty as u32;
    }

    /// Makes one frame free, last owned by `owner`, at flush-clock `now`.
    pub(super) fn release(&mut self, frames: FrameTable, mfn: Mfn, owner: DomId, now: u32) {
        frames
            .at(mfn)
            .set_free_word(FreeWord::of(owner, self.deaths, now));
        self.free += 1;
        self.dirty += 1;
        let (mut at, mut order) = (mfn.raw(), 0);
        while order < MAX_ORDER {
            let buddy = at ^ (1 << order);
            if u64::from(buddy) >= frames.len() || !frames.free_word(buddy).is_head_of(order) {
                break;
            }
            self.unlink(frames, buddy, order);
            at &= !(1 << order);
            order += 1;
        }
        self.insert(frames, at, order);
    }

    /// The next dirty free frame behind the last one found, if there is one among the next `limit` frames.
    pub(super) fn next_dirty(&mut self, frames: FrameTable, limit: u32) -> Option<Mfn> {
        for _ in 0..limit {
            if self.dirty == 0 {
                return None;
            }
            let at = self.scrub_cursor;
            self.scrub_cursor = if u64::from(at) + 1 < frames.len() {
                at + 1
            } else {
                0
            };
            let word = frames.free_word(at);
            if word.is_free() && !word.is_clean() && self.contains(frames, Mfn::new(at)) {
                return Some(Mfn::new(at));
            }
        }
        None
    }

    /// Zeroes one frame if it is in a free block and dirty, and says whether it did.
    pub(super) fn clean<M: FrameMemory>(&mut self, frames: FrameTable, memory: &M, mfn: Mfn) -> bool {
        let word = frames.free_word(mfn.raw());
        if !word.is_free() || word.is_clean() || !self.contains(frames, mfn) {
            return false;
        }
        memory.zero_frame(mfn);
        frames.at(mfn).set_free_word(word.as_clean());
        self.dirty -= 1;
        true
    }

    /// Whether the frame lies in a free block.
    pub(super) fn contains(&self, frames: FrameTable, mfn: Mfn) -> bool {
        (0..=MAX_ORDER).any(|k| {
            let head = mfn.raw() & !((1 << k) - 1);
            frames
                .free_word(head)
                .head_order()
                .is_some_and(|order| order >= k)
        })
    }

    /// Calls `each` with every free block `(head, order)`, and with `None` for each list whose links are wrong.
    /// For the audit.
    pub(super) fn for_each_block(&self, frames: FrameTable, mut each: impl FnMut(Option<(Mfn, u32)>)) {
        for (order, &first) in (0u32..).zip(&self.heads) {
            let (mut at, mut previous, mut steps) = (first, NIL, 0);
            while at != NIL {
                let is_sound = u64::from(at) < frames.len()
                    && frames.free_word(at).is_head_of(order)
                    && frames.index(at).links().1 == previous
                    && steps < frames.len();
                if !is_sound {
                    each(None);
                    break;
                }
                each(Some((Mfn::new(at), order)));
                previous = at;
                at = frames.index(at).links().0;
                steps += 1;
            }
        }
    }

    fn insert(&mut self, frames: FrameTable, at: u32, order: u32) {
        let info = frames.index(at);
        let next = self.heads[order as usize];
        info.set_free_word(info.free_word().as_head(order));
        info.set_links(next, NIL);
        if next != NIL {
            let link = frames.index(next);
            link.set_links(link.links().0, at);
        }
        self.heads[order as usize] = at;
    }

    fn unlink(&mut self, frames: FrameTable, at: u32, order: u32) {
        let info = frames.index(at);
        let (next, previous) = info.links();
        if previous == NIL {
            self.heads[order as usize] = next;
        } else {
            let link = frames.index(previous);
            link.set_links(next, link.links().1);
        }
        if next != NIL {
            let link = frames.index(next);
            link.set_links(link.links().0, previous);
        }
        info.set_free_word(info.free_word().as_member());
    }
}

impl Default for Allocator {
    fn default() -> Self {
        Self::new()
    }
}

/// Order of the largest aligned block that starts at `at` and ends by `end`.
fn largest_block(at: u32, end: u32) -> u32 {
    let aligned = at.trailing_zeros().min(MAX_ORDER);
    aligned.min((end - at).ilog2())
}
