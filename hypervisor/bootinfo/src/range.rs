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

    /// The range with both ends moved outwards to page boundaries; the end stays in the address space. An empty range
    /// stays empty.
    #[must_use]
    pub const fn page_outward(&self) -> Self {
        if self.is_empty() {
            return Self {
                start: self.start,
                end: self.start,
            };
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_range_touches_nothing() {
        for range in [
            PhysRange::new(5, 5),
            PhysRange::new(9, 5),
            PhysRange::new(u64::MAX, u64::MAX),
        ] {
            assert!(range.is_empty() && range.page_outward().is_empty() && range.page_inward().is_empty());
            assert!(!range.overlaps(&PhysRange::new(0, u64::MAX)));
        }
    }

    #[test]
    fn rounding_stays_in_the_address_space() {
        let top = PhysRange::new(u64::MAX - 5, u64::MAX);
        assert_eq!(top.page_inward().len(), 0);
        assert_eq!(top.page_outward().end, u64::MAX - 4095);
        assert_eq!(PhysRange::new(1, 4097).page_outward(), PhysRange::new(0, 8192));
        assert_eq!(PhysRange::new(1, 4097).page_inward().len(), 0);
        assert_eq!(PhysRange::new(1, 8192).page_inward(), PhysRange::new(4096, 8192));
    }

    #[test]
    fn ranges_are_shown_with_their_last_byte() {
        assert_eq!(PhysRange::new(0x1000, 0x2000).to_string(), "[0x1000-0x1fff]");
        assert_eq!(PhysRange::new(3, 3).to_string(), "[empty at 0x3]");
    }
}
