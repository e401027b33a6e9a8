//! L2: entries that name L1s, and linear maps.
//!
//! A present entry holds a reference and a typed use as L1 of a frame of the table's owner. Two kinds of *linear map*,
//! through which a guest reads its own page tables, are let through besides; both are read-only:
//!
//! * an L2 that names itself, which holds nothing;
//! * a top L2 that names another L2 of the same L3, which holds a reference and a typed use as L2. The
//!   other must be valid already. Since only a top L2 can do so and nobody can name a top L2, such maps are one
//!   deep and never form chains or rings.
//!
//! An L2 entry in a linear map is at the same time a page's entry, so its RW bit counts.

use super::{
    error::{MmError, Preempted, Stop},
    frame::{FrameInfo, Kind},
    mmu::{Mmu, Owner},
    pte::{FRAME, P, RW, frame_number},
    types::Stopped,
};
use crate::platform::Platform;
use guest_abi::addr::Mfn;

/// First slot of a top L2 that is the hypervisor's.
const FIRST_WINDOW_SLOT: usize = 512 - super::WINDOW_SLOTS;

/// An L2 as the rules for its entries see it.
#[derive(Clone, Copy)]
pub(super) struct Directory {
    pub table: Mfn,
    pub kind: Kind,
    pub owner: Owner,
    /// The L3 in whose address space it is looked at.
    pub root: Option<Mfn>,
}

impl<P_: Platform> Mmu<'_, P_> {
    /// Replaces entry `index` of the valid L2 `table`. New L1s belong to `owner`. A linear map is possible in the
    /// address space of `root`.
    ///
    /// # Errors
    /// The new entry is refused and nothing changed, or a pause.
    pub fn update_l2(
        &mut self,
        table: Mfn,
        index: usize,
        new: u64,
        owner: Owner,
        root: Option<Mfn>,
    ) -> Result<(), Stop> {
        let kind = self.frames.at(table).type_word().kind();
        if index >= kind.guest_entries() {
            return Err(MmError::ReservedSlot {
                level: 2,
                slot: index as u16,
            }
            .into());
        }
        let directory = Directory {
            table,
            kind,
            owner,
            root,
        };
        let old = self.platform.read_entry(table, index);
        self.judge_l2(new)?;
        if (old ^ new) & (FRAME | P | RW) == 0 {
            return Ok(self.swap_entry(table, index, old, new)?);
        }
        if new & P != 0 {
            self.take_l2(new, directory)?;
        }
        self.commit_directory_entry(table, index, old, new)
    }

    /// Stores an entry of an L2 or L3 whose references are held, and gives back those of the old one.
    pub(super) fn commit_directory_entry(
        &mut self,
        table: Mfn,
        index: usize,
        old: u64,
        new: u64,
    ) -> Result<(), Stop> {
        let swapped = self.swap_entry(table, index, old, new);
        let gone = if swapped.is_ok() { old } else { new };
        if gone & P != 0 && self.put_directory_entry(table, gone).is_err() {
            self.leave_unfinished(Mfn::new(frame_number(gone) as u32));
        }
        Ok(swapped?)
    }

    /// What can be said of an entry without looking at the frame that it names.
    #[inline(always)]
    fn judge_l2(&self, entry: u64) -> Result<(), MmError> {
        let rules = &self.hv.mm.rules;
        if entry & P == 0 {
            if rules.admits_non_present_directory(entry) {
                Ok(())
            } else {
                Err(MmError::LeakyNonPresent { level: 2 })
            }
        } else if entry & rules.l2_refused != 0 {
            Err(MmError::ForbiddenBits { level: 2 })
        } else {
            Ok(())
        }
    }

    /// Takes what a present entry names.
    fn take_l2(&mut self, entry: u64, directory: Directory) -> Result<(), Stop> {
        let n = frame_number(entry);
        if n == u64::from(directory.table.raw()) {
            let is_read_only = entry & RW == 0 || cfg!(feature = "mutant-l2-self-writable");
            return if is_read_only {
                Ok(())
            } else {
                Err(MmError::LinearMap(directory.table).into())
            };
        }
        let owner = directory.owner;
        let (mfn, info) = self.get_page_number(n, owner.id)?;
        let taken = match self.get_type((mfn, info), Kind::L1, owner, None) {
            Err(Stop::Refused(why)) => self
                .take_linear(entry, (mfn, info), directory, why)
                .map_err(Stop::from),
            other => other,
        };
        if taken.is_err() {
            self.put_page(mfn, info);
        }
        taken
    }

    /// Takes the typed use for a linear map; `why` is what is wrong with the frame as an L1.
    #[cold]
    fn take_linear(
        &self,
        entry: u64,
        (mfn, info): (Mfn, &'static FrameInfo),
        directory: Directory,
        why: MmError,
    ) -> Result<(), MmError> {
        if cfg!(feature = "mutant-segdesc-type-confusion") && info.get_valid(Kind::SegDesc) {
            return Ok(());
        }
        if info.type_word().kind() != Kind::L2 {
            return Err(why);
        }
        let is_sibling = directory.root.is_some_and(|l3| {
            let names = |slot, what: Mfn| {
                let entry = self.platform.read_entry(l3, slot);
                entry & P != 0 && frame_number(entry) == u64::from(what.raw())
            };
            names(3, directory.table) && (0..3).any(|slot| names(slot, mfn))
        });
        if directory.kind == Kind::L2Top && is_sibling && entry & RW == 0 && info.get_valid(Kind::L2) {
            Ok(())
        } else {
            Err(MmError::LinearMap(mfn))
        }
    }

    /// Gives back what a present entry of a valid L2 or L3 held.
    ///
    /// # Errors
    /// A pause; see [`Mmu::put_typed`].
    pub(super) fn put_directory_entry(&mut self, table: Mfn, entry: u64) -> Result<(), Preempted> {
        match self.frames.lookup(frame_number(entry)) {
            Some((mfn, info)) if mfn != table => self.put_typed(mfn, info),
            _ => Ok(()),
        }
    }

    /// Takes what the entries from `start` on name, then fills the slots that are the hypervisor's.
    pub(super) fn validate_l2(
        &mut self,
        table: Mfn,
        kind: Kind,
        start: usize,
        owner: Owner,
        root: Option<Mfn>,
    ) -> Result<(), Stopped> {
        let directory = Directory {
            table,
            kind,
            owner,
            root,
        };
        for index in start..kind.guest_entries() {
            self.reserve(1).map_err(|stop| (index, stop.into()))?;
            let entry = self.platform.read_entry(table, index);
            self.judge_l2(entry).map_err(|why| (index, why.into()))?;
            if entry & P != 0 {
                self.take_l2(entry, directory).map_err(|stop| (index, stop))?;
            }
        }
        if kind == Kind::L2Top {
            for (slot, &entry) in (FIRST_WINDOW_SLOT..).zip(&self.hv.mm.window) {
                self.platform.write_entry(table, slot, entry);
            }
        }
        Ok(())
    }

    /// Takes the hypervisor's slots out of a top L2.
    pub(super) fn clear_window(&mut self, table: Mfn) {
        for slot in FIRST_WINDOW_SLOT..512 {
            self.platform.write_entry(table, slot, 0);
        }
    }
}
