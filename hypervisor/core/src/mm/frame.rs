//! What is kept about one machine frame: two words, 16 bytes.
//!
//! The [type word](TypeWord) says what the frame is used as and how often, the [owner word](OwnerWord) whose it is and how many
//! references there are. Each typed use also holds one reference, so a frame whose count is about to end has no typed
//! use left. Both counts refuse to pass their limits. A free block's head keeps the links of its list in the type
//! word, and the owner word of a free frame is a [`FreeWord`].

pub use super::{
    kind::{Kind, STAMP_MAX, TypeWord},
    owner::{FreeWord, OwnerWord},
};
use crate::domain::DomId;
use core::sync::atomic::{AtomicU64, Ordering};

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
