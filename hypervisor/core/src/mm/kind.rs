//! What a frame is used as, and how often: the type word.
//!
//! ```text
//!  high half                       low half
//!  55:32 flush-clock stamp         16:0  count
//!  56    pinned                    19:17 kind
//!  57    partial, and refused      20    not valid
//!                                  21    partial
//!                                  31:22 entries that hold references
//! ```
//!
//! The low half of a frame valid as some kind is that kind and the count, and "writable" is kind 0: so "is it valid as
//! this, with room for one more use?" is one comparison of 32 bits. The count has 17 bits, as in Xen 2.0.

use super::tlb::FlushClock;

/// What a frame is used as. A frame has one kind at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Mapped writable, or not used at all so far.
    Writable = 0,
    /// Page table of the lowest level.
    L1 = 1,
    /// Page directory.
    L2 = 2,
    /// Page directory of the top gigabyte, whose slots from 480 up are the hypervisor's; it belongs to one L3.
    L2Top = 3,
    /// Page-directory-pointer table: the root of a 32-bit guest.
    L3 = 4,
    /// Root of a 64-bit guest.
    L4 = 5,
    /// Page of the GDT or of an LDT.
    SegDesc = 6,
    /// Nothing any more.
    None = 7,
}

impl Kind {
    const fn from_bits(bits: u64) -> Self {
        match bits & 7 {
            0 => Self::Writable,
            1 => Self::L1,
            2 => Self::L2,
            3 => Self::L2Top,
            4 => Self::L3,
            5 => Self::L4,
            6 => Self::SegDesc,
            _ => Self::None,
        }
    }

    /// Whether frames of this kind hold page-table entries that hold references.
    #[must_use]
    pub const fn is_table(self) -> bool {
        matches!(self, Self::L1 | Self::L2 | Self::L2Top | Self::L3 | Self::L4)
    }

    /// Entries that a guest may fill; the rest are the hypervisor's.
    #[must_use]
    pub const fn guest_entries(self) -> usize {
        match self {
            Self::L1 | Self::L2 => 512,
            Self::L2Top => 480,
            Self::L3 => 4,
            _ => 0,
        }
    }
}

/// The type word, by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct TypeWord(pub u64);

impl TypeWord {
    const KIND_SHIFT: u32 = 17;
    const INDEX_SHIFT: u32 = 22;
    const STAMP_SHIFT: u32 = 32;
    /// Most typed uses; also the mask of the count.
    pub const MAX_COUNT: u64 = (1 << 17) - 1;
    /// Not every entry was checked.
    pub const NOT_VALID: u64 = 1 << 20;
    /// Nobody uses it, yet the entries below the index hold references, and the frame holds one on itself.
    pub const PARTIAL: u64 = 1 << 21;
    /// One typed use is the guest's pin.
    pub const PINNED: u64 = 1 << 56;
    /// A partial frame that failed to become what it is called; it will be nothing.
    pub const REFUSED: u64 = 1 << 57;
    const INDEX: u64 = 0x3FF << Self::INDEX_SHIFT;
    const STAMP: u64 = STAMP_MAX << Self::STAMP_SHIFT;

    /// Valid as `kind`, with `count` uses, not stamped.
    #[must_use]
    pub const fn valid(kind: Kind, count: u64) -> Self {
        Self(Self::base(kind) | count)
    }

    /// `kind` with `count` uses, not valid, with `flags`, not stamped.
    #[must_use]
    pub const fn not_valid(kind: Kind, count: u64, flags: u64) -> Self {
        Self(Self::base(kind) | Self::NOT_VALID | count | flags)
    }

    /// A frame that nothing uses, at flush-clock `stamp`, last known as `kind`.
    #[must_use]
    pub const fn unused(kind: Kind, stamp: u32) -> Self {
        match kind {
            Kind::Writable | Kind::SegDesc => Self::valid(kind, 0).with_stamp(stamp),
            _ => Self::not_valid(kind, 0, 0).with_stamp(stamp),
        }
    }

    const fn base(kind: Kind) -> u64 {
        (kind as u64) << Self::KIND_SHIFT
    }

    /// The low half with `kind` taken off: the count, if the frame is valid as that.
    #[inline(always)]
    const fn count_as(self, kind: Kind) -> u32 {
        (self.0 as u32).wrapping_sub(Self::base(kind) as u32)
    }

    /// The kind.
    #[must_use]
    pub const fn kind(self) -> Kind {
        Kind::from_bits(self.0 >> Self::KIND_SHIFT)
    }

    /// Typed uses.
    #[must_use]
    pub const fn count(self) -> u64 {
        self.0 & Self::MAX_COUNT
    }

    /// Whether every entry was checked and holds its references (or there is nothing to check).
    #[must_use]
    pub const fn is_validated(self) -> bool {
        self.0 & Self::NOT_VALID == 0
    }

    /// Whether the frame is valid as `kind`.
    #[inline(always)]
    #[must_use]
    pub const fn is_valid(self, kind: Kind) -> bool {
        (self.0 as u32) >> Self::KIND_SHIFT == kind as u32
    }

    /// The word with one more use, if the frame is valid as `kind` and has room for it.
    #[inline(always)]
    #[must_use]
    pub const fn one_more(self, kind: Kind) -> Option<Self> {
        const MAX: u32 = TypeWord::MAX_COUNT as u32;
        if cfg!(feature = "mutant-count-overflow") && self.count_as(kind) == MAX {
            return Some(self.with_count(0));
        }
        if self.count_as(kind) < MAX {
            Some(Self(self.0.wrapping_add(1)))
        } else {
            None
        }
    }

    /// The word with `n` more uses, if the frame is valid as `kind` and has room for them.
    #[inline(always)]
    #[must_use]
    pub const fn more(self, kind: Kind, n: u32) -> Option<Self> {
        const MAX: u32 = TypeWord::MAX_COUNT as u32;
        if self.count_as(kind) <= MAX - n {
            Some(Self(self.0.wrapping_add(n as u64)))
        } else {
            None
        }
    }

    /// The word of a writable page with `n` uses less, at flush-clock `now`; none where there are not so many.
    #[inline(always)]
    #[must_use]
    pub const fn less_writable(self, n: u32, now: FlushClock) -> Option<Self> {
        const MAX: u32 = TypeWord::MAX_COUNT as u32;
        let count = self.count_as(Kind::Writable);
        if count == n {
            Some(Self(now.high_half()))
        } else if n < count && count <= MAX {
            Some(Self(self.0.wrapping_sub(n as u64)))
        } else {
            None
        }
    }

    /// The word of a writable page with one use less, at flush-clock `now`; none where there is no such use.
    #[inline(always)]
    #[must_use]
    pub const fn one_less_writable(self, now: FlushClock) -> Option<Self> {
        const MAX: u32 = TypeWord::MAX_COUNT as u32;
        match self.count_as(Kind::Writable) {
            // A writable page has nothing but its count and its stamp.
            1 => Some(Self(now.high_half())),
            2..=MAX => Some(Self(self.0.wrapping_sub(1))),
            _ => None,
        }
    }

    /// The word with one use less, if that is not the last.
    #[inline(always)]
    #[must_use]
    pub const fn one_less_unless_last(self) -> Option<Self> {
        if self.count() <= 1 {
            None
        } else {
            Some(Self(self.0.wrapping_sub(1)))
        }
    }

    /// Whether all of `flags` are set.
    #[must_use]
    pub const fn has(self, flags: u64) -> bool {
        self.0 & flags == flags
    }

    /// Whether the kind may not change: it is in use, or entries still hold references.
    #[must_use]
    pub const fn is_held(self) -> bool {
        self.0 & (Self::MAX_COUNT | Self::PARTIAL) != 0
    }

    /// How many of its first entries hold references though nobody uses the table.
    #[must_use]
    pub const fn held_entries(self) -> usize {
        if self.has(Self::PARTIAL) { self.index() } else { 0 }
    }

    /// Entries below this index hold references (of a partial frame).
    #[must_use]
    pub const fn index(self) -> usize {
        ((self.0 & Self::INDEX) >> Self::INDEX_SHIFT) as usize
    }

    /// The flush clock when the last use went.
    #[must_use]
    pub const fn stamp(self) -> u32 {
        ((self.0 & Self::STAMP) >> Self::STAMP_SHIFT) as u32
    }

    /// The same word with another stamp.
    #[must_use]
    pub const fn with_stamp(self, stamp: u32) -> Self {
        Self((self.0 & !Self::STAMP) | ((stamp as u64) << Self::STAMP_SHIFT))
    }

    /// The same word with another index.
    #[must_use]
    pub const fn with_index(self, index: usize) -> Self {
        Self((self.0 & !Self::INDEX) | ((index as u64) << Self::INDEX_SHIFT))
    }

    /// The same word with another count.
    #[must_use]
    pub const fn with_count(self, count: u64) -> Self {
        Self((self.0 & !Self::MAX_COUNT) | count)
    }
}

/// Largest stamp of the flush clock.
pub const STAMP_MAX: u64 = (1 << 24) - 1;
