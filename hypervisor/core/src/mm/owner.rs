//! Whose a frame is, and how many references there are to it: the owner word.
//!
//! ```text
//!        in use                                    free
//!  1:0   allocated to its owner / the hypervisor's  15:0  deaths of domains so far
//!  30:2  references of all sorts                    31:16 last owner
//!  47:32 owner                                      55:32 flush-clock stamp
//!  63:48 0                                          60:57 order of the block
//!                                                   61    head of a free block
//!                                                   62    holds zeroes only
//!                                                   63    1: free
//! ```
//!
//! "Is it this owner's, with room for one more reference?" is one subtraction and one comparison.

use super::kind::STAMP_MAX;
use crate::domain::DomId;

/// The owner word of a frame in use, by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct OwnerWord(pub u64);

impl OwnerWord {
    /// One reference is its owner's allocation; the frame is charged to it.
    pub const ALLOCATED: u64 = 1 << 0;
    /// One reference is the hypervisor's own; the frame is charged to nobody.
    pub const KEPT: u64 = 1 << 1;
    const COUNT_SHIFT: u32 = 2;
    /// One reference.
    pub const ONE: u64 = 1 << Self::COUNT_SHIFT;
    /// Most references.
    pub const MAX_COUNT: u64 = (1 << 29) - 1;
    const COUNT: u64 = Self::MAX_COUNT << Self::COUNT_SHIFT;
    /// The frame is free and the word means something else.
    pub const FREE: u64 = 1 << 63;

    /// One reference by `flag`, owned by `owner`.
    #[must_use]
    pub const fn of(owner: DomId, flag: u64) -> Self {
        Self(Self::base(owner) | flag | Self::ONE)
    }

    const fn base(owner: DomId) -> u64 {
        (owner.0 as u64) << 32
    }

    /// Whether the frame is free.
    #[must_use]
    pub const fn is_free(self) -> bool {
        self.0 & Self::FREE != 0
    }

    /// Whether the frame is in use and owned by `owner`.
    #[inline(always)]
    #[must_use]
    pub const fn is_owned_by(self, owner: DomId) -> bool {
        (self.0 >> 32) as u32 == owner.0 as u32
    }

    /// The owner of a frame in use.
    #[must_use]
    pub const fn owner(self) -> DomId {
        DomId((self.0 >> 32) as u16)
    }

    /// References of a frame in use.
    #[must_use]
    pub const fn count(self) -> u64 {
        (self.0 & Self::COUNT) >> Self::COUNT_SHIFT
    }

    /// The word with one more reference, if the frame is in use, owned by `owner`, and has room for it.
    #[inline(always)]
    #[must_use]
    pub const fn one_more(self, owner: DomId) -> Option<Self> {
        if cfg!(feature = "mutant-count-overflow")
            && self.is_owned_by(owner)
            && self.count() == Self::MAX_COUNT
        {
            return Some(Self(self.0 & !Self::COUNT));
        }
        if self.0.wrapping_sub(Self::base(owner)) < Self::COUNT {
            Some(Self(self.0.wrapping_add(Self::ONE)))
        } else {
            None
        }
    }

    /// The word with one reference less, if that is not the last.
    #[inline(always)]
    #[must_use]
    pub const fn one_less_unless_last(self) -> Option<Self> {
        if self.0 & (Self::COUNT & !Self::ONE) == 0 {
            None
        } else {
            Some(Self(self.0.wrapping_sub(Self::ONE)))
        }
    }

    /// The word with `n` more references (1 or more), if the frame is in use, owned by `owner`, and has room for them.
    #[inline(always)]
    #[must_use]
    pub const fn more(self, owner: DomId, n: u64) -> Option<Self> {
        if self.0.wrapping_sub(Self::base(owner)) < Self::COUNT - (n - 1) * Self::ONE {
            Some(Self(self.0.wrapping_add(n * Self::ONE)))
        } else {
            None
        }
    }

    /// The word with `n` references less, if others are left.
    #[inline(always)]
    #[must_use]
    pub const fn less_unless_last(self, n: u64) -> Option<Self> {
        if self.0 & Self::COUNT > n * Self::ONE {
            Some(Self(self.0.wrapping_sub(n * Self::ONE)))
        } else {
            None
        }
    }

    /// Whether `flag` is set.
    #[must_use]
    pub const fn has(self, flag: u64) -> bool {
        self.0 & flag != 0
    }

    /// The same word with another count.
    #[must_use]
    pub const fn with_count(self, count: u64) -> Self {
        Self((self.0 & !Self::COUNT) | (count << Self::COUNT_SHIFT))
    }
}

/// The owner word of a free frame, by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct FreeWord(pub u64);

impl FreeWord {
    const HEAD: u64 = 1 << 61;
    const CLEAN: u64 = 1 << 62;
    const ORDER_SHIFT: u32 = 57;
    const ORDER: u64 = 15 << Self::ORDER_SHIFT;
    const BLOCK: u64 = Self::HEAD | Self::ORDER;

    /// A frame freed by `owner` after `deaths` domains had died, at flush-clock `stamp`; head of no block.
    #[must_use]
    pub const fn of(owner: DomId, deaths: u16, stamp: u32) -> Self {
        Self(OwnerWord::FREE | ((stamp as u64) << 32) | ((owner.0 as u64) << 16) | deaths as u64)
    }

    /// The same frame as head of a free block.
    #[must_use]
    pub const fn as_head(self, order: u32) -> Self {
        Self((self.0 & !Self::BLOCK) | Self::HEAD | ((order as u64) << Self::ORDER_SHIFT))
    }

    /// The same frame inside a block.
    #[must_use]
    pub const fn as_member(self) -> Self {
        Self(self.0 & !Self::BLOCK)
    }

    /// The same frame, filled with zeroes.
    #[must_use]
    pub const fn as_clean(self) -> Self {
        Self(self.0 | Self::CLEAN)
    }

    /// Whether the frame is free at all.
    #[must_use]
    pub const fn is_free(self) -> bool {
        self.0 & OwnerWord::FREE != 0
    }

    /// Whether it is known to hold zeroes only.
    #[must_use]
    pub const fn is_clean(self) -> bool {
        self.0 & Self::CLEAN != 0
    }

    /// Whether it heads a free block of `order`.
    #[must_use]
    pub const fn is_head_of(self, order: u32) -> bool {
        self.0 & (OwnerWord::FREE | Self::BLOCK)
            == (OwnerWord::FREE | Self::HEAD | ((order as u64) << Self::ORDER_SHIFT))
    }

    /// The order of the block that it heads.
    #[must_use]
    pub const fn head_order(self) -> Option<u32> {
        if self.0 & (OwnerWord::FREE | Self::HEAD) != (OwnerWord::FREE | Self::HEAD) {
            return None;
        }
        Some(((self.0 & Self::ORDER) >> Self::ORDER_SHIFT) as u32)
    }

    /// The flush clock when it was freed.
    #[must_use]
    pub const fn stamp(self) -> u32 {
        ((self.0 >> 32) & STAMP_MAX) as u32
    }

    /// Who owned it last.
    #[must_use]
    pub const fn last_owner(self) -> DomId {
        DomId((self.0 >> 16) as u16)
    }

    /// How many domains had died when it was freed.
    #[must_use]
    pub const fn deaths(self) -> u16 {
        self.0 as u16
    }
}
