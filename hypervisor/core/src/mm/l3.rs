//! L3: the root of a 32-bit guest.
//!
//! The processor walks an L3 as a 512-entry table of a four-level walk, and the guest means four entries. So entries
//! 4 to 511 are zeroed when the table becomes valid, and present entries gain RW and US, which the four-level walk
//! looks at and the guest's format does not have; both are taken off again when the table stops being one.
//!
//! Slot 3 is always present: the hypervisor's window lies in the L2 that it names, a *top* L2, which belongs
//! to this L3 alone. It does not change while the L3 is valid.

use super::{
    error::{MmError, Stop},
    frame::Kind,
    mmu::{Mmu, Owner},
    pte::{A, FRAME, P, RW, US, frame_number},
    types::Stopped,
};
use crate::platform::Platform;
use guest_abi::addr::Mfn;

/// Slots that mean something.
const SLOTS: usize = 4;
/// The slot of the top L2.
const TOP: usize = SLOTS - 1;

impl<P_: Platform> Mmu<'_, P_> {
    /// Replaces entry `slot` of the valid L3 `table`. New L2s belong to `owner`.
    ///
    /// # Errors
    /// The new entry is refused and nothing changed, or a pause.
    pub fn update_l3(&mut self, table: Mfn, slot: usize, new: u64, owner: Owner) -> Result<(), Stop> {
        if slot >= TOP {
            return Err(MmError::ReservedSlot {
                level: 3,
                slot: slot as u16,
            }
            .into());
        }
        self.judge_l3(new)?;
        let new = if new & P == 0 { new } else { new | RW | US };
        let old = self.platform.read_entry(table, slot);
        if (old ^ new) & (FRAME | P) == 0 {
            return Ok(self.swap_entry(table, slot, old, new)?);
        }
        if new & P != 0 {
            self.take_l3(new, slot, table, owner)?;
        }
        self.commit_directory_entry(table, slot, old, new)
    }

    fn judge_l3(&self, entry: u64) -> Result<(), MmError> {
        let rules = &self.hv.mm.rules;
        if entry & P == 0 {
            if rules.admits_non_present_directory(entry) {
                Ok(())
            } else {
                Err(MmError::LeakyNonPresent { level: 3 })
            }
        } else if entry & rules.l3_refused != 0 {
            Err(MmError::ForbiddenBits { level: 3 })
        } else {
            Ok(())
        }
    }

    fn take_l3(&mut self, entry: u64, slot: usize, table: Mfn, owner: Owner) -> Result<(), Stop> {
        let (mfn, info) = self.get_page_number(frame_number(entry), owner.id)?;
        let kind = if slot == TOP { Kind::L2Top } else { Kind::L2 };
        let taken = self.get_type((mfn, info), kind, owner, Some(table));
        if taken.is_err() {
            self.put_page(mfn, info);
        }
        taken
    }

    /// Takes what the entries from `start` on name, then makes the table fit for the four-level walk.
    pub(super) fn validate_l3(&mut self, table: Mfn, start: usize, owner: Owner) -> Result<(), Stopped> {
        let entries: [u64; SLOTS] = core::array::from_fn(|slot| self.platform.read_entry(table, slot));
        for entry in entries {
            self.judge_l3(entry).map_err(|why| (start, why.into()))?;
        }
        if entries[TOP] & P == 0 {
            return Err((start, MmError::NoTopDirectory.into()));
        }
        // The top L2 comes last: once its window is filled in, nothing can be refused any more.
        for (slot, &entry) in entries.iter().enumerate().skip(start) {
            if entry & P != 0 {
                self.take_l3(entry, slot, table, owner)
                    .map_err(|stop| (slot, stop))?;
            }
        }
        for (slot, &entry) in entries.iter().enumerate().filter(|(_, entry)| *entry & P != 0) {
            self.platform.write_entry(table, slot, entry | RW | US);
        }
        for slot in SLOTS..512 {
            self.platform.write_entry(table, slot, 0);
        }
        Ok(())
    }

    /// Takes the hypervisor's flags off the entries of an L3.
    pub(super) fn strip_l3(&mut self, table: Mfn) {
        for slot in 0..SLOTS {
            let entry = self.platform.read_entry(table, slot);
            if entry & P != 0 {
                self.platform.write_entry(table, slot, entry & !(RW | US | A));
            }
        }
    }
}
