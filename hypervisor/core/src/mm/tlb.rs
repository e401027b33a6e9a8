//! When cached translations must go before a frame may be used otherwise.
//!
//! A guest may drop a mapping and never flush. That is its own affair until the frame changes hands or kind: a
//! leftover writable translation to a page table, or any translation to another domain's frame, would be a hole.
//! So does a leftover of a *directory* entry: the processor may walk on through a frame that is no table any more.
//!
//! Rather than flush at each removal, time is counted in flushes. A frame whose last use went is stamped with the
//! clock; it may change kind or owner freely once the clock has moved on, and otherwise a flush comes first. Removing
//! a directory entry gives back the typed use of the table that it reached, which stamps that table, and
//! the paging-structure caches go with the same flush.
//!
//! Simplified: one CPU, so one clock is enough. With several, each keeps the clock at which it last flushed, and
//! [`FlushClock::stale_cpus`] answers with those not past the stamp; its callers are ready for that.

use super::frame::STAMP_MAX;

/// A set of CPUs, a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuSet(pub u64);

impl CpuSet {
    /// No CPU.
    pub const EMPTY: Self = Self(0);
    /// The only CPU in use.
    pub const THIS: Self = Self(1);

    /// Whether no CPU is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Counts flushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlushClock {
    /// The time, where a type word has its stamp: in the high half.
    high_half: u64,
}

impl FlushClock {
    /// The stamp of a frame of which nothing can be cached.
    pub const NEVER: u32 = 0;
    const SHIFT: u32 = 32;

    /// A clock at its start.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            high_half: 1 << Self::SHIFT,
        }
    }

    /// The present time, for a stamp.
    #[inline(always)]
    #[must_use]
    pub const fn now(self) -> u32 {
        (self.high_half >> Self::SHIFT) as u32
    }

    /// The present time as a word's high half.
    #[inline(always)]
    #[must_use]
    pub const fn high_half(self) -> u64 {
        self.high_half
    }

    /// Counts one flush of everything. After a wrap an old stamp may equal the present by chance, which costs
    /// one flush too many and harms nobody.
    #[inline(always)]
    pub const fn tick(&mut self) {
        self.high_half = self.high_half.wrapping_add(1 << Self::SHIFT) & (STAMP_MAX << Self::SHIFT);
    }

    /// The CPUs that may still hold translations of a frame stamped `stamp`.
    #[inline(always)]
    #[must_use]
    pub const fn stale_cpus(self, stamp: u32) -> CpuSet {
        if stamp == self.now() && !cfg!(feature = "mutant-stale-tlb") {
            CpuSet::THIS
        } else {
            CpuSet::EMPTY
        }
    }
}

impl Default for FlushClock {
    fn default() -> Self {
        Self::new()
    }
}
