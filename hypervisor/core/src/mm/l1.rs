//! L1: entries that map pages.
//!
//! A present entry holds a reference to the page and, with RW, a typed use as writable. The page belongs to the
//! owner that the caller names. I/O memory is for domains with the right to it: frames of devices inside the
//! table's range are counted like others (their owner is `IO`), those beyond all RAM are not counted at all.

use super::{
    error::{MmError, Preempted, Stop},
    frame::{FrameInfo, Kind},
    mmu::{Mmu, Owner, page_refusal},
    pte::{CACHE, FRAME, P, RW, frame_number},
    types::Stopped,
};
use crate::{domain::DomId, platform::Platform};
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
        if new & P == 0 {
            if !self.hv.mm.rules.admits_non_present(new) {
                return Err(MmError::LeakyNonPresent { level: 1 });
            }
        } else if new & self.hv.mm.rules.l1_refused != 0 {
            self.take_special(new, owner)?;
        } else if (old ^ new) & (FRAME | P | RW) == 0 {
            return self.swap_entry(table, index, old, new);
        } else {
            self.take_l1(new, owner)?;
        }
        if let Err(raced) = self.swap_entry(table, index, old, new) {
            if new & P != 0 {
                self.put_l1(new);
            }
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

    /// Takes what a present entry names; none of its bits is refused.
    #[inline(always)]
    fn take_l1(&mut self, entry: u64, owner: Owner) -> Result<(), MmError> {
        let Some((mfn, info)) = self.frames.lookup(frame_number(entry)) else {
            return self.take_special(entry, owner);
        };
        if !info.get_page(owner.id) {
            return self.take_special(entry, owner);
        }
        if entry & RW == 0 || info.get_valid(Kind::Writable) {
            return Ok(());
        }
        self.take_first_writable(mfn, info, owner)
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

    /// Takes what a present entry names in every case that the short way does not know: refused bits, I/O
    /// memory, and whatever is wrong.
    #[cold]
    #[inline(never)]
    fn take_special(&mut self, entry: u64, owner: Owner) -> Result<(), MmError> {
        let rules = &self.hv.mm.rules;
        if entry & rules.l1_refused & !CACHE != 0 {
            return Err(MmError::ForbiddenBits { level: 1 });
        }
        let n = frame_number(entry);
        let may_be_io = owner.may_map_io && rules.admits_io(n);
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

    /// Gives back what a present entry of a valid table held.
    #[inline(always)]
    pub(super) fn put_l1(&mut self, entry: u64) {
        let Some((mfn, info)) = self.frames.lookup(frame_number(entry)) else {
            return;
        };
        if entry & RW != 0 {
            if !(cfg!(feature = "mutant-pt-writable") && info.type_word().kind() != Kind::Writable) {
                info.put_plain_type(self.now());
            }
        } else if info.type_word().kind() == Kind::SegDesc {
            self.unmapped_descriptor_page(mfn);
        }
        self.put_page(mfn, info);
    }

    /// Takes what the entries from `start` on name.
    pub(super) fn validate_l1(&mut self, table: Mfn, start: usize, owner: Owner) -> Result<(), Stopped> {
        let mut chunk = start;
        while chunk < 512 {
            let end = (chunk / CHUNK + 1) * CHUNK;
            self.reserve((end - chunk) as u32)
                .map_err(|Preempted| (chunk, Stop::Preempted))?;
            for index in chunk..end {
                let entry = self.platform.read_entry(table, index);
                self.check_l1(entry, owner)
                    .map_err(|why| (index, Stop::Refused(why)))?;
            }
            chunk = end;
        }
        Ok(())
    }

    /// Takes what an entry of any sort names.
    #[inline(always)]
    fn check_l1(&mut self, entry: u64, owner: Owner) -> Result<(), MmError> {
        if entry & P == 0 {
            if self.hv.mm.rules.admits_non_present(entry) {
                return Ok(());
            }
            return Err(MmError::LeakyNonPresent { level: 1 });
        }
        if entry & self.hv.mm.rules.l1_refused != 0 {
            return self.take_special(entry, owner);
        }
        self.take_l1(entry, owner)
    }

    /// Gives back what the entries below `from` hold. On a pause, gives how many still hold references.
    pub(super) fn drop_l1_entries(&mut self, table: Mfn, from: usize) -> Result<(), usize> {
        let mut end = from;
        while end > 0 {
            let chunk = (end - 1) / CHUNK * CHUNK;
            self.reserve((end - chunk) as u32).map_err(|Preempted| end)?;
            for index in chunk..end {
                let entry = self.platform.read_entry(table, index);
                if entry & P != 0 {
                    self.put_l1(entry);
                }
            }
            end = chunk;
        }
        Ok(())
    }
}
