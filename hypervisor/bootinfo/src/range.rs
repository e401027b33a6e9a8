//! A range of machine addresses.

use core::fmt;
use guest_abi::addr::PAGE_SIZE;

const PAGE: u64 = PAGE_SIZE as u64;

/// Bytes `start` up to, not including, `end`; empty where `end` is not above `start`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhysRange {
    /// First address.
    pub start: u64,
    /// First address after the range.
    pub end: u64,
}

impl PhysRange {
    /// The range from `start` to `end`.
    #[must_use]
    pub const fn new(start: u64, end: u64) -> Self {
        Self { start, end }
    }

    /// Bytes in the range.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether the range has no byte.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the two have a byte in common.
    #[must_use]
    pub const fn overlaps(&self, other: &Self) -> bool {
        !self.is_empty() && !other.is_empty() && self.start < other.end && other.start < self.end
    }

    /// Whether `addr` lies in the range.
    #[must_use]
    pub const fn contains(&self, addr: u64) -> bool {
        self.start <= addr && addr < self.end
    }

    /// The range with both ends moved outwards to page boundaries; the end stays in the address space.
    #[must_use]
    pub const fn page_outward(&self) -> Self {
        let end = match self.end.checked_next_multiple_of(PAGE) {
            Some(end) => end,
            None => !(PAGE - 1),
        };
        Self {
            start: self.start - self.start % PAGE,
            end,
        }
    }

    /// The whole pages inside the range.
    #[must_use]
    pub const fn page_inward(&self) -> Self {
        match self.start.checked_next_multiple_of(PAGE) {
            Some(start) => Self {
                start,
                end: self.end - self.end % PAGE,
            },
            None => Self { start: 0, end: 0 },
        }
    }
}

impl fmt::Display for PhysRange {
    /// As in a memory map: both ends inclusive, so that the end of the address space can be written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return write!(f, "[empty at {:#x}]", self.start);
        }
        write!(f, "[{:#x}-{:#x}]", self.start, self.end - 1)
    }
}
