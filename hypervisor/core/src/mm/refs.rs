//! Taking and giving back references to one frame: the steps that every page-table update runs.
//!
//! Each is one load, one comparison and one compare-and-exchange when nothing special happens, and says `false`
//! where something special is the matter; the caller then goes the long way, which also finds out what it was.

use super::frame::{FrameInfo, Kind, OwnerWord, TypeWord};
use crate::domain::DomId;

impl FrameInfo {
    /// Takes a reference if the frame is in use, owned by `owner`, and has room for one more.
    #[inline(always)]
    #[must_use]
    pub(super) fn get_page(&self, owner: DomId) -> bool {
        let mut word = self.owner_word();
        loop {
            if !word.is_owned_by(owner) || is_full(word.0, OwnerWord::COUNT) {
                return false;
            }
            match self.swap_owner_word(word, OwnerWord(one_more(word.0, OwnerWord::COUNT))) {
                Ok(()) => return true,
                Err(now) => word = now,
            }
        }
    }

    /// Gives a reference back, unless it is the last one: then nothing is done and the answer is `false`.
    #[inline(always)]
    #[must_use]
    pub(super) fn put_page_unless_last(&self) -> bool {
        let mut word = self.owner_word();
        loop {
            if word.count() <= 1 {
                return false;
            }
            match self.swap_owner_word(word, OwnerWord(word.0.wrapping_sub(1))) {
                Ok(()) => return true,
                Err(now) => word = now,
            }
        }
    }

    /// Takes a typed use if the frame is already valid as `kind` and has room for one more.
    #[inline(always)]
    #[must_use]
    pub(super) fn get_valid(&self, kind: Kind) -> bool {
        let mut word = self.type_word();
        loop {
            if !word.is_valid(kind) || is_full(word.0, TypeWord::COUNT) {
                return false;
            }
            match self.swap_type_word(word, TypeWord(one_more(word.0, TypeWord::COUNT))) {
                Ok(()) => return true,
                Err(now) => word = now,
            }
        }
    }

    /// Gives a typed use back, unless it is the last one: then nothing is done and the answer is `false`.
    #[inline(always)]
    #[must_use]
    pub(super) fn put_type_unless_last(&self) -> bool {
        let mut word = self.type_word();
        loop {
            if word.count() <= 1 {
                return false;
            }
            match self.swap_type_word(word, TypeWord(word.0.wrapping_sub(1))) {
                Ok(()) => return true,
                Err(now) => word = now,
            }
        }
    }

    /// Gives a typed use back of a kind that stays valid without uses (writable, descriptors), at flush-clock
    /// `now`.
    ///
    /// # Panics
    /// Where there was no use: a fault of the hypervisor, after which no count can be believed.
    #[inline(always)]
    pub(super) fn put_plain_type(&self, now: u32) {
        let mut word = self.type_word();
        loop {
            assert!(word.count() != 0, "typed use given back twice");
            let mut new = TypeWord(word.0.wrapping_sub(1));
            if new.count() == 0 {
                new = new.with_stamp(now);
            }
            match self.swap_type_word(word, new) {
                Ok(()) => return,
                Err(other) => word = other,
            }
        }
    }

    /// Makes the reference that `flag` stands for an ordinary one, about to be given back.
    pub(super) fn clear_flag(&self, flag: u64) {
        self.set_owner_word(OwnerWord(self.owner_word().0 & !flag));
    }

    /// Sets and clears flag bits of the type word.
    pub(super) fn change_type_flags(&self, set: u64, clear: u64) {
        let word = self.type_word();
        self.set_type_word(TypeWord((word.0 & !clear) | set));
    }
}

#[cfg(any(test, feature = "testing"))]
impl FrameInfo {
    /// Breaks the links of a free block.
    pub fn break_links(&self) {
        self.set_links(7, 7);
    }

    /// Sets the counts to what no real sequence of calls would take the time to reach.
    pub fn force_counts(&self, references: Option<u64>, uses: Option<u64>) {
        let (owner, word) = (self.owner_word().0, self.type_word().0);
        self.set_owner_word(OwnerWord(
            (owner & !OwnerWord::COUNT) | references.unwrap_or(owner & OwnerWord::COUNT),
        ));
        self.set_type_word(TypeWord(
            (word & !TypeWord::COUNT) | uses.unwrap_or(word & TypeWord::COUNT),
        ));
    }
}

impl TypeWord {
    /// Whether the frame is valid as `kind`.
    #[inline(always)]
    #[must_use]
    pub const fn is_valid(self, kind: Kind) -> bool {
        self.0 & (Self::KIND | Self::VALIDATED) == Self::of(kind, Self::VALIDATED).0
    }
}

/// Whether the counter in the low bits of `word` is at its limit.
#[inline(always)]
const fn is_full(word: u64, mask: u64) -> bool {
    // The next value is needed anyway: that its counter is 0 costs one instruction to see.
    word.wrapping_add(1) & mask == 0 && !cfg!(feature = "mutant-count-overflow")
}

/// `word` with its counter one up.
#[inline(always)]
const fn one_more(word: u64, mask: u64) -> u64 {
    if cfg!(feature = "mutant-count-overflow") {
        return (word & !mask) | (word.wrapping_add(1) & mask);
    }
    word.wrapping_add(1)
}
