//! What is kept about one machine frame: two words, 16 bytes.
//!
//! ```text
//! type word                                  owner word, frame in use        owner word, frame free
//!  16:0  uses in the present kind             29:0  references of all sorts    15:0  deaths of domains so far
//!  19:17 kind                                 30    kept by the hypervisor     31:16 last owner
//!  20    validated                            31    allocated to its owner     55:32 flush-clock stamp
//!  21    pinned                               47:32 owner                      60:57 order of the block
//!  22    partial                              63:48 0                          61    head of a free block
//!  32:23 entries that hold references                                          62    holds zeroes only
//!  56:33 flush-clock stamp
//!  57    partial and refused                                                     63    1: free
//! ```
//!
//! A free block's head keeps its list links in the type word. Each typed use also holds one reference in the
//! owner word, so a frame whose count is about to end has no typed use left. The counts have the limits of
//! Xen 2.0 (17 bits for typed uses) and nearly so (30 bits for references); both refuse to pass them.

use crate::domain::DomId;
use core::sync::atomic::{AtomicU64, Ordering};

/// What a frame is used as. A frame has one kind at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Nothing that matters.
    None = 0,
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
    /// Mapped writable.
    Writable = 7,
}

impl Kind {
    const fn from_bits(bits: u64) -> Self {
        match bits & 7 {
            1 => Self::L1,
            2 => Self::L2,
            3 => Self::L2Top,
            4 => Self::L3,
            5 => Self::L4,
            6 => Self::SegDesc,
            7 => Self::Writable,
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
    /// Mask and largest value of the count of typed uses.
    pub const COUNT: u64 = (1 << 17) - 1;
    const KIND_SHIFT: u32 = 17;
    /// Mask of the kind.
    pub const KIND: u64 = 7 << Self::KIND_SHIFT;
    /// Every entry was checked and holds its references.
    pub const VALIDATED: u64 = 1 << 20;
    /// One typed use is the guest's pin.
    pub const PINNED: u64 = 1 << 21;
    /// Nobody uses it, yet the entries below the index hold references, and the frame holds one on itself.
    pub const PARTIAL: u64 = 1 << 22;
    /// A partial frame that failed to become what it is called; it will be nothing.
    pub const REFUSED: u64 = 1 << 57;
    const INDEX_SHIFT: u32 = 23;
    const INDEX: u64 = 0x3FF << Self::INDEX_SHIFT;
    const STAMP_SHIFT: u32 = 33;
    const STAMP: u64 = STAMP_MAX << Self::STAMP_SHIFT;

    /// `kind` with flags, no uses, not stamped.
    #[must_use]
    pub const fn of(kind: Kind, flags: u64) -> Self {
        Self(((kind as u64) << Self::KIND_SHIFT) | flags)
    }

    /// The kind.
    #[must_use]
    pub const fn kind(self) -> Kind {
        Kind::from_bits(self.0 >> Self::KIND_SHIFT)
    }

    /// Typed uses.
    #[must_use]
    pub const fn count(self) -> u64 {
        self.0 & Self::COUNT
    }

    /// Whether all of `flags` are set.
    #[must_use]
    pub const fn has(self, flags: u64) -> bool {
        self.0 & flags == flags
    }

    /// Whether the kind may not change: it is in use, or entries still hold references.
    #[must_use]
    pub const fn is_held(self) -> bool {
        self.0 & (Self::COUNT | Self::PARTIAL) != 0
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
}

/// Largest stamp of the flush clock.
pub const STAMP_MAX: u64 = (1 << 24) - 1;

/// The owner word of a frame in use, by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct OwnerWord(pub u64);

impl OwnerWord {
    /// Mask and largest value of the reference count.
    pub const COUNT: u64 = (1 << 30) - 1;
    /// One reference is the hypervisor's own; the frame is charged to nobody.
    pub const KEPT: u64 = 1 << 30;
    /// One reference is its owner's allocation; the frame is charged to it.
    pub const ALLOCATED: u64 = 1 << 31;
    /// The frame is free and the word means something else.
    pub const FREE: u64 = 1 << 63;

    /// One reference by `flag`, owned by `owner`.
    #[must_use]
    pub const fn of(owner: DomId, flag: u64) -> Self {
        Self(((owner.0 as u64) << 32) | flag | 1)
    }

    /// Whether the frame is free.
    #[must_use]
    pub const fn is_free(self) -> bool {
        self.0 & Self::FREE != 0
    }

    /// Whether the frame is in use and owned by `owner`.
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
        self.0 & Self::COUNT
    }

    /// Whether `flag` is set.
    #[must_use]
    pub const fn has(self, flag: u64) -> bool {
        self.0 & flag != 0
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

/// Everything kept about one frame.
#[derive(Debug)]
#[repr(C)]
pub struct FrameInfo {
    type_word: AtomicU64,
    owner_word: AtomicU64,
}

const _: () = assert!(size_of::<FrameInfo>() == 16);

impl FrameInfo {
    /// A frame nobody knows yet: neither free for allocation nor usable. What the boot loader left in it counts
    /// as Domain0's.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            type_word: AtomicU64::new(0),
            owner_word: AtomicU64::new(FreeWord::of(DomId(0), 0, 0).0),
        }
    }

    /// The type word.
    #[inline(always)]
    #[must_use]
    pub fn type_word(&self) -> TypeWord {
        TypeWord(self.type_word.load(Ordering::Acquire))
    }

    /// The owner word, read as that of a frame in use.
    #[inline(always)]
    #[must_use]
    pub fn owner_word(&self) -> OwnerWord {
        OwnerWord(self.owner_word.load(Ordering::Acquire))
    }

    /// The owner word, read as that of a free frame.
    #[inline(always)]
    #[must_use]
    pub fn free_word(&self) -> FreeWord {
        FreeWord(self.owner_word.load(Ordering::Acquire))
    }

    /// The type word of a free frame, as list links `(next, previous)`.
    pub(super) fn links(&self) -> (u32, u32) {
        let word = self.type_word.load(Ordering::Relaxed);
        (word as u32, (word >> 32) as u32)
    }

    pub(super) fn set_links(&self, next: u32, previous: u32) {
        self.type_word
            .store(u64::from(next) | (u64::from(previous) << 32), Ordering::Relaxed);
    }

    /// Sets the type word of a frame that nobody else can be changing.
    #[inline(always)]
    pub(super) fn set_type_word(&self, word: TypeWord) {
        self.type_word.store(word.0, Ordering::Release);
    }

    /// Sets the owner word of a frame that nobody else can be changing.
    #[inline(always)]
    pub(super) fn set_owner_word(&self, word: OwnerWord) {
        self.owner_word.store(word.0, Ordering::Release);
    }

    pub(super) fn set_free_word(&self, word: FreeWord) {
        self.owner_word.store(word.0, Ordering::Release);
    }

    #[inline(always)]
    pub(super) fn swap_type_word(&self, old: TypeWord, new: TypeWord) -> Result<(), TypeWord> {
        match self
            .type_word
            .compare_exchange(old.0, new.0, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => Ok(()),
            Err(now) => Err(TypeWord(now)),
        }
    }

    #[inline(always)]
    pub(super) fn swap_owner_word(&self, old: OwnerWord, new: OwnerWord) -> Result<(), OwnerWord> {
        match self
            .owner_word
            .compare_exchange(old.0, new.0, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => Ok(()),
            Err(now) => Err(OwnerWord(now)),
        }
    }
}

impl Default for FrameInfo {
    fn default() -> Self {
        Self::new()
    }
}
