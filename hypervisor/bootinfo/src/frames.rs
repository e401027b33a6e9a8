//! Which frames are free while nothing that allocates exists yet.
//!
//! The first tables of the hypervisor (its frame table above all) need memory before there is an allocator, and the
//! allocator must be told what is left. A [`Carver`] is the memory map minus a short list of pieces that are taken.

use crate::memory_map::{GUEST_RAM_END, LOW_MEMORY_END, MemoryMap};
use crate::range::PhysRange;
use arrayvec::ArrayVec;
use guest_abi::addr::{Mfn, PAGE_SHIFT};

/// Most pieces that may be taken; neighbours count as one.
pub const MAX_PIECES: usize = 64;

/// Frames `start` up to, not including, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRange {
    /// First frame.
    pub start: Mfn,
    /// First frame after the range.
    pub end: Mfn,
}

impl FrameRange {
    /// How many frames.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.end.raw().saturating_sub(self.start.raw())
    }

    /// The bytes of the frames.
    #[must_use]
    pub const fn bytes(&self) -> PhysRange {
        PhysRange::new(self.start.addr().raw(), self.end.addr().raw())
    }

    /// The frames of a range on page boundaries below 64 GiB.
    fn of(range: PhysRange) -> Self {
        let frame = |addr: u64| Mfn::new((addr.min(GUEST_RAM_END) >> PAGE_SHIFT) as u32);
        Self {
            start: frame(range.start),
            end: frame(range.end),
        }
    }
}

/// The list of taken pieces is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyPieces;

impl core::fmt::Display for TooManyPieces {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "more than {MAX_PIECES} pieces of memory are taken at boot")
    }
}

impl core::error::Error for TooManyPieces {}

/// Usable RAM minus what is taken.
#[derive(Clone, Debug)]
pub struct Carver<'m> {
    map: &'m MemoryMap,
    /// Sorted, disjoint and not touching, on page boundaries.
    taken: ArrayVec<PhysRange, MAX_PIECES>,
}

impl<'m> Carver<'m> {
    /// All usable RAM of `map` (above 1 MiB, below 64 GiB), nothing taken.
    #[must_use]
    pub const fn new(map: &'m MemoryMap) -> Self {
        Self {
            map,
            taken: ArrayVec::new_const(),
        }
    }

    /// Takes every frame that `piece` touches: the hypervisor's image, a module, a table. Taking one twice is
    /// nothing.
    ///
    /// # Errors
    /// The list is full; nothing is changed.
    pub fn reserve(&mut self, piece: PhysRange) -> Result<(), TooManyPieces> {
        let mut piece = piece.page_outward();
        if piece.is_empty() {
            return Ok(());
        }
        let touches = |other: &PhysRange| other.start <= piece.end && piece.start <= other.end;
        let first = self.taken.iter().position(touches);
        let Some(first) = first else {
            let at = self
                .taken
                .iter()
                .position(|other| piece.end < other.start)
                .unwrap_or(self.taken.len());
            return self.taken.try_insert(at, piece).map_err(|_| TooManyPieces);
        };
        let count = self.taken[first..]
            .iter()
            .take_while(|other| touches(other))
            .count();
        for joined in self.taken.drain(first..first + count) {
            piece = PhysRange::new(piece.start.min(joined.start), piece.end.max(joined.end));
        }
        self.taken.insert(first, piece);
        Ok(())
    }

    /// Takes `count` frames that lie together, the first a multiple of `align`, the last below address `below`: the
    /// lowest that are free.
    ///
    /// # Errors
    /// The list is full.
    pub fn take(&mut self, count: u32, align: u32, below: u64) -> Result<Option<FrameRange>, TooManyPieces> {
        let limit = below.min(GUEST_RAM_END) >> PAGE_SHIFT;
        let fits = |free: FrameRange| {
            let start = free.start.raw().checked_next_multiple_of(align.max(1))?;
            let end = start.checked_add(count)?;
            let is_inside = end <= free.end.raw() && u64::from(end) <= limit;
            is_inside.then(|| FrameRange {
                start: Mfn::new(start),
                end: Mfn::new(end),
            })
        };
        let Some(found) = self.free().find_map(fits) else {
            return Ok(None);
        };
        self.reserve(found.bytes())?;
        Ok(Some(found))
    }

    /// The free ranges, by rising address; none is empty, none touches the next inside one region of RAM.
    pub fn free(&self) -> impl Iterator<Item = FrameRange> + '_ {
        self.map
            .guest_ram()
            .flat_map(|region| self.free_in(region))
            .map(FrameRange::of)
    }

    /// How many frames are free.
    #[must_use]
    pub fn free_frames(&self) -> u32 {
        self.free().map(|r| r.count()).sum()
    }

    /// What is free of one region: what lies before each taken piece, and after the last.
    fn free_in(&self, region: PhysRange) -> impl Iterator<Item = PhysRange> + '_ {
        debug_assert!(region.start >= LOW_MEMORY_END);
        let starts = core::iter::once(region.start).chain(self.taken.iter().map(|t| t.end));
        let ends = self
            .taken
            .iter()
            .map(|t| t.start)
            .chain(core::iter::once(region.end));
        starts
            .zip(ends)
            .map(move |(start, end)| PhysRange::new(start.max(region.start), end.min(region.end)))
            .filter(|r| !r.is_empty())
    }
}
