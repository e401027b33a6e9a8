//! L1: entries that map pages.
//!
//! A present entry holds a reference to the page and, with RW, a typed use as writable. The page belongs to the
//! owner that the caller names. I/O memory is for domains with the right to it: frames of devices inside the
//! table's range are counted like others (their owner is `IO`), those beyond all RAM are not counted at all.

use super::{
    descriptors::descriptor_page_unmapped,
    error::{MmError, Preempted, Stop},
    frame::{FrameInfo, Kind},
    mmu::{Mmu, Owner, page_refusal},
    pte::{CACHE, EntryRules, FRAME, GRANTED, P, RW, frame_number, near_frame},
    table::FrameTable,
    tlb::FlushClock,
    types::Stopped,
};
use crate::{
    domain::DomId,
    hypervisor::Hypervisor,
    platform::{FrameWords, Platform},
};
use guest_abi::addr::Mfn;

/// Entries checked between two looks at the budget.
const CHUNK: usize = 64;

impl<P_: Platform> Mmu<'_, P_> {
    /// Replaces entry `index` of the valid L1 `table`. The new entry's page belongs to `owner`.
    ///
    /// # Errors
    /// The new entry is refused; nothing changed.
    #[inline(always)]
    pub fn update_l1(&mut self, table: Mfn, index: usize, new: u64, owner: Owner) -> Result<(), MmError> {
        let old = self.platform.read_entry(table, index);
        self.replace_l1(table, index, old, new, owner)
    }

    /// Like [`Mmu::update_l1`], where the entry was read already and must still be `old`.
    ///
    /// # Errors
    /// The new entry is refused, or the entry is not `old` any more; nothing changed.
    #[inline(always)]
    pub(super) fn replace_l1(
        &mut self,
        table: Mfn,
        index: usize,
        old: u64,
        new: u64,
        owner: Owner,
    ) -> Result<(), MmError> {
        if self.replace_l1_by_short_way(self.platform.words(table), index, old, new, owner.id) {
            return Ok(());
        }
        self.replace_l1_by_long_way(table, index, old, new, owner)
    }

    /// Replaces an entry, where the new one is 0 or names a page of `owner` that is in ordinary use. Otherwise
    /// nothing is done and the answer is `false`.
    #[inline(always)]
    #[must_use]
    pub(super) fn replace_l1_by_short_way(
        &mut self,
        table: P_::Words<'_>,
        index: usize,
        old: u64,
        new: u64,
        owner: DomId,
    ) -> bool {
        if new & P != 0 {
            let mm = &self.hv.mm;
            if !take_ordinary(mm.frames, mm.rules.l1_refused, new, owner) {
                return false;
            }
        } else if new != 0 {
            return false;
        }
        if table.compare_exchange(index, old, new).is_err() {
            return give_back_entry(self.hv, self.platform, new);
        }
        if old & P != 0 {
            self.put_l1(old);
        }
        true
    }

    #[cold]
    #[inline(never)]
    fn replace_l1_by_long_way(
        &mut self,
        table: Mfn,
        index: usize,
        old: u64,
        new: u64,
        owner: Owner,
    ) -> Result<(), MmError> {
        if new & P == 0 {
            if !self.hv.mm.rules.admits_non_present(new) {
                return Err(MmError::LeakyNonPresent { level: 1 });
            }
        } else if new & self.hv.mm.rules.l1_refused == 0 && (old ^ new) & (FRAME | P | RW) == 0 {
            // What it holds stays the same, whoever's that is; a grant's mark stays as well.
            return self.swap_entry(table, index, old, new | old & GRANTED);
        } else if is_granted_again(old, new, self.hv.mm.rules.l1_refused) {
            return self.swap_entry(table, index, old, new);
        } else {
            self.take_any(table, new, owner)?;
        }
        if let Err(raced) = self.swap_entry(table, index, old, new) {
            give_back_entry(self.hv, self.platform, new);
            return Err(raced);
        }
        if old & P != 0 {
            self.put_l1(old);
        }
        Ok(())
    }

    #[inline(always)]
    pub(super) fn swap_entry(&self, table: Mfn, index: usize, old: u64, new: u64) -> Result<(), MmError> {
        self.platform
            .compare_exchange_entry(table, index, old, new)
            .map_err(|_| MmError::Raced)
    }

    /// Takes the first writable use of a page whose reference is held; gives that back if it cannot.
    #[cold]
    #[inline(never)]
    fn take_first_writable(
        &mut self,
        mfn: Mfn,
        info: &'static FrameInfo,
        owner: Owner,
    ) -> Result<(), MmError> {
        let result = self.get_type((mfn, info), Kind::Writable, owner, None);
        if cfg!(feature = "mutant-pt-writable") && info.type_word().kind().is_table() {
            return Ok(());
        }
        match result {
            Ok(()) => Ok(()),
            Err(stop) => {
                self.put_page(mfn, info);
                Err(match stop {
                    Stop::Refused(why) => why,
                    Stop::Preempted => MmError::Raced,
                })
            }
        }
    }

    /// Takes what a present entry names, in every case: first uses, I/O memory, whatever is wrong.
    #[cold]
    #[inline(never)]
    fn take_any(&mut self, table: Mfn, entry: u64, owner: Owner) -> Result<(), MmError> {
        let rules = &self.hv.mm.rules;
        if entry & rules.l1_refused & !(CACHE | EntryRules::FAR_FRAME) != 0 {
            return Err(MmError::ForbiddenBits { level: 1 });
        }
        let n = frame_number(entry);
        // By the right of whom the frames are named of, and of whose table it is.
        let may_be_io = rules.admits_io(n)
            && (owner.may_map_io || self.has_io_right(owner.id, n))
            && self.may_reach_io(table, n);
        let Some((mfn, info)) = self.frames.lookup(n) else {
            let is_ram = n < rules.ram_end;
            return if is_ram {
                Err(MmError::NoSuchFrame)
            } else if may_be_io {
                Ok(())
            } else {
                Err(MmError::IoDenied)
            };
        };
        let word = info.owner_word();
        let from = if word.is_owned_by(DomId::IO) {
            if !may_be_io {
                return Err(MmError::IoDenied);
            }
            DomId::IO
        } else if entry & CACHE != 0 {
            return Err(MmError::ForbiddenBits { level: 1 });
        } else if cfg!(feature = "mutant-map-hypervisor-frame") && !word.is_free() {
            word.owner()
        } else {
            owner.id
        };
        if !info.get_page(from) {
            return Err(page_refusal(info, mfn, from));
        }
        if entry & RW == 0 {
            Ok(())
        } else {
            self.take_first_writable(mfn, info, owner)
        }
    }

    /// Whether domain `id` was given frame `n` of a device.
    #[cold]
    fn has_io_right(&self, id: DomId, n: u64) -> bool {
        let slot = if id == DomId::SELF {
            Some(self.hv.current)
        } else {
            self.hv.slot_of(id)
        };
        slot.and_then(|slot| self.hv.domains.get(slot)?.as_deref())
            .is_some_and(|domain| domain.io.may_map(n))
    }

    /// Gives back what a present entry of a valid table held.
    #[inline(always)]
    pub(super) fn put_l1(&mut self, entry: u64) {
        self.put_l1_at(self.hv.mm.frames, self.hv.mm.clock, entry);
    }

    /// [`Mmu::put_l1`] with what a loop can keep at hand.
    #[inline(always)]
    fn put_l1_at(&mut self, frames: FrameTable, now: FlushClock, entry: u64) {
        let n = near_frame(entry);
        let Some(info) = frames.near(n) else { return };
        if entry & RW != 0 {
            if !(cfg!(feature = "mutant-pt-writable") && info.type_word().kind() != Kind::Writable) {
                info.put_writable(now);
            }
        } else if info.type_word().kind() == Kind::SegDesc && !self.is_undoing {
            descriptor_page_unmapped(self.hv, self.platform, Mfn::new(n));
        }
        self.put_page(Mfn::new(n), info);
    }

    /// Takes what the entries from `start` on name.
    pub(super) fn validate_l1(&mut self, table: Mfn, start: usize, owner: Owner) -> Result<(), Stopped> {
        let (frames, refused) = (self.frames, self.hv.mm.rules.l1_refused);
        let words = self.platform.words(table);
        let mut chunk = start;
        while chunk < 512 {
            let end = (chunk / CHUNK + 1) * CHUNK;
            self.reserve((end - chunk) as u32)
                .map_err(|Preempted| (chunk, Stop::Preempted))?;
            for index in chunk..end {
                let entry = words.read(index);
                let is_ordinary = entry & P != 0 && take_ordinary(frames, refused, entry, owner.id);
                if !is_ordinary && entry != 0 {
                    self.check_l1(table, entry, owner)
                        .map_err(|why| (index, Stop::Refused(why)))?;
                }
            }
            chunk = end;
        }
        Ok(())
    }

    /// Takes what an entry of any sort names.
    #[cold]
    #[inline(never)]
    fn check_l1(&mut self, table: Mfn, entry: u64, owner: Owner) -> Result<(), MmError> {
        if entry & P != 0 {
            self.take_any(table, entry, owner)
        } else if self.hv.mm.rules.admits_non_present(entry) {
            Ok(())
        } else {
            Err(MmError::LeakyNonPresent { level: 1 })
        }
    }

    /// Gives back what the entries below `from` hold. On a pause, gives how many still hold references.
    pub(super) fn drop_l1_entries(&mut self, table: Mfn, from: usize) -> Result<(), usize> {
        // Nothing in here flushes, so the clock stands still.
        let (frames, now) = (self.frames, self.hv.mm.clock);
        let words = self.platform.words(table);
        let mut end = from.min(512);
        while end > 0 {
            let chunk = (end - 1) / CHUNK * CHUNK;
            self.reserve((end - chunk) as u32).map_err(|Preempted| end)?;
            for index in chunk..end {
                let entry = words.read(index);
                if entry & P != 0 {
                    self.put_l1_at(frames, now, entry);
                }
            }
            end = chunk;
        }
        Ok(())
    }
}

/// Takes what a present entry names, if that is a page of `owner` in ordinary use and no bit is refused. Otherwise
/// nothing is done and the answer is `false`.
#[inline(always)]
fn take_ordinary(frames: FrameTable, refused: u64, entry: u64, owner: DomId) -> bool {
    if entry & refused != 0 {
        return false;
    }
    let Some(info) = frames.near(near_frame(entry)) else {
        return false;
    };
    if !info.get_page(owner) {
        return false;
    }
    entry & RW == 0 || info.get_valid(Kind::Writable) || give_back(info)
}

/// Whether a guest that changes an entry of a grant in place has left the mark in it, as it read it.
const fn is_granted_again(old: u64, new: u64, refused: u64) -> bool {
    old & new & GRANTED != 0 && new & refused & !GRANTED == 0 && (old ^ new) & (FRAME | P | RW) == 0
}

/// Gives back a reference that was just taken beside others.
#[cold]
#[inline(never)]
pub(super) fn give_back(info: &FrameInfo) -> bool {
    let is_last = !info.put_page_unless_last();
    assert!(!is_last, "a reference was held besides");
    false
}

/// Gives back what an entry that could not be stored would have held.
#[cold]
#[inline(never)]
fn give_back_entry<P_: Platform>(hv: &mut Hypervisor, platform: &P_, entry: u64) -> bool {
    if entry & P != 0 {
        Mmu::new(hv, platform).put_l1(entry);
    }
    false
}
