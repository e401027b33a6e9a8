//! Taking and giving back references to one frame: the steps that every page-table update runs.
//!
//! Each is one load, one or two comparisons and one compare-and-exchange when nothing special happens, and says `false`
//! where something special is the matter; the caller then goes the long way, which also finds out what it was.

use super::{
    frame::{FrameInfo, Kind, OwnerWord, TypeWord},
    tlb::FlushClock,
};
use crate::domain::DomId;

impl FrameInfo {
    /// Takes a reference if the frame is in use, owned by `owner`, and has room for one more.
    #[inline(always)]
    #[must_use]
    pub(super) fn get_page(&self, owner: DomId) -> bool {
        self.change_owner_word(|word| word.one_more(owner))
    }

    /// Gives a reference back, unless it is the last one: then nothing is done and the answer is `false`.
    #[inline(always)]
    #[must_use]
    pub(super) fn put_page_unless_last(&self) -> bool {
        self.change_owner_word(OwnerWord::one_less_unless_last)
    }

    /// Takes a typed use if the frame is already valid as `kind` and has room for one more.
    #[inline(always)]
    #[must_use]
    pub(super) fn get_valid(&self, kind: Kind) -> bool {
        self.change_type_word(|word| word.one_more(kind))
    }

    /// Gives a typed use back, unless it is the last one: then nothing is done and the answer is `false`.
    #[inline(always)]
    #[must_use]
    pub(super) fn put_type_unless_last(&self) -> bool {
        self.change_type_word(TypeWord::one_less_unless_last)
    }

    /// Gives a use as a writable page back, at flush-clock `now`.
    ///
    /// # Panics
    /// Where there was no such use: a fault of the hypervisor, after which no count can be believed.
    #[inline(always)]
    pub(super) fn put_writable(&self, now: FlushClock) {
        if !self.change_type_word(|word| word.one_less_writable(now)) {
            bad_put(self);
        }
    }

    /// Takes `references` and `uses` as a writable page, 1 or more of each, if the frame is valid as one, owned by `owner`,
    /// and has room for them. If not, nothing is taken.
    #[inline(always)]
    #[must_use]
    pub(super) fn get_writable_at_once(&self, owner: DomId, references: u64, uses: u32) -> bool {
        if !self.change_owner_word(|word| word.more(owner, references)) {
            return false;
        }
        if self.change_type_word(|word| word.more(Kind::Writable, uses)) {
            return true;
        }
        // They were just added, so others are left.
        let is_undone = self.change_owner_word(|word| word.less_unless_last(references));
        debug_assert!(is_undone, "references just taken");
        false
    }

    /// Gives `uses` as a writable page back, at flush-clock `now`, if there are so many.
    #[inline(always)]
    #[must_use]
    pub(super) fn put_writable_uses(&self, uses: u32, now: FlushClock) -> bool {
        self.change_type_word(|word| word.less_writable(uses, now))
    }

    /// Gives `references` back if others are left; if not, nothing is done.
    #[inline(always)]
    #[must_use]
    pub(super) fn put_pages_unless_last(&self, references: u64) -> bool {
        self.change_owner_word(|word| word.less_unless_last(references))
    }

    /// Gives a use as a page of descriptors back, at flush-clock `now`.
    ///
    /// # Panics
    /// Where there was no such use.
    pub(super) fn put_descriptors(&self, now: FlushClock) {
        let word = self.type_word();
        if word.kind() != Kind::SegDesc || word.count() == 0 {
            bad_put(self);
        }
        let new = TypeWord(word.0.wrapping_sub(1));
        self.set_type_word(if new.count() == 0 {
            new.with_stamp(now.now())
        } else {
            new
        });
    }

    /// Makes the reference that `flag` stands for an ordinary one, about to be given back.
    pub(super) fn clear_flag(&self, flag: u64) {
        self.set_owner_word(OwnerWord(self.owner_word().0 & !flag));
    }

    /// Sets and clears flag bits of the type word.
    #[inline(always)]
    pub(super) fn change_type_flags(&self, set: u64, clear: u64) {
        let word = self.type_word();
        self.set_type_word(TypeWord((word.0 & !clear) | set));
    }

    #[inline(always)]
    fn change_owner_word(&self, change: impl Fn(OwnerWord) -> Option<OwnerWord>) -> bool {
        let word = self.owner_word();
        let Some(new) = change(word) else { return false };
        self.swap_owner_word(word, new).is_ok() || self.change_owner_word_again(change)
    }

    /// Another CPU was quicker.
    #[cold]
    #[inline(never)]
    fn change_owner_word_again(&self, change: impl Fn(OwnerWord) -> Option<OwnerWord>) -> bool {
        loop {
            let word = self.owner_word();
            let Some(new) = change(word) else { return false };
            if self.swap_owner_word(word, new).is_ok() {
                return true;
            }
        }
    }

    #[inline(always)]
    fn change_type_word(&self, change: impl Fn(TypeWord) -> Option<TypeWord>) -> bool {
        let word = self.type_word();
        let Some(new) = change(word) else { return false };
        self.swap_type_word(word, new).is_ok() || self.change_type_word_again(change)
    }

    /// Another CPU was quicker.
    #[cold]
    #[inline(never)]
    fn change_type_word_again(&self, change: impl Fn(TypeWord) -> Option<TypeWord>) -> bool {
        loop {
            let word = self.type_word();
            let Some(new) = change(word) else { return false };
            if self.swap_type_word(word, new).is_ok() {
                return true;
            }
        }
    }
}

#[cold]
#[inline(never)]
fn bad_put(info: &FrameInfo) -> ! {
    panic!(
        "typed use given back that was never taken: {:x?}",
        info.type_word()
    );
}

#[cfg(test)]
impl FrameInfo {
    /// Breaks the links of a free block.
    pub fn break_links(&self) {
        self.set_links(7, 7);
    }

    /// Sets the counts to what no real sequence of calls would take the time to reach.
    pub fn force_counts(&self, references: Option<u64>, uses: Option<u64>) {
        let (owner, word) = (self.owner_word(), self.type_word());
        self.set_owner_word(owner.with_count(references.unwrap_or(owner.count())));
        self.set_type_word(word.with_count(uses.unwrap_or(word.count())));
    }
}
