//! Writing one word of one's own memory by machine address: into a table if the frame is one.

use super::{
    error::{MmError, Stop},
    frame::{FrameInfo, Kind},
    mmu::{Mmu, Owner},
};
use crate::{
    domain::DomId,
    platform::{FrameWords, Platform},
};
use guest_abi::addr::Mfn;

impl<'a, P: Platform> Mmu<'a, P> {
    /// Writes `value` to word `index` of frame number `n`, a frame of `caller`. In a page table it is an entry, and what it
    /// maps belongs to `target` (L1) or the caller. A frame that was last used as an L1 or L2 counts as one
    /// even if nothing uses it now. In other frames the word means nothing, but the frame must be one that may be
    /// mapped writable.
    ///
    /// # Errors
    /// Not the caller's; an entry that is refused; a frame in use as descriptors. Or a pause.
    #[inline(always)]
    pub fn write_word(
        &mut self,
        n: u64,
        index: usize,
        value: u64,
        caller: Owner,
        target: Owner,
    ) -> Result<(), Stop> {
        if let Some(table) = self.own_l1(n, caller.id) {
            let old = table.read(index);
            if self.replace_l1_by_short_way(table, index, old, value, target.id) {
                return Ok(());
            }
        }
        self.write_any_word(n, index, value, caller, target)
    }

    /// Writes entry `index` of a table that [`Mmu::own_l1`] has given, by the short way: where the new entry is 0 or names a
    /// page of `target` that is in ordinary use. Otherwise nothing is done and the answer is `false`.
    #[inline(always)]
    #[must_use]
    pub fn write_l1(&mut self, table: P::Words<'_>, index: usize, value: u64, target: DomId) -> bool {
        let old = table.read(index);
        self.replace_l1_by_short_way(table, index, old, value, target)
    }

    /// The words of frame number `n`, if it is a valid L1 of `owner`. Replacing entries of L1s does not change that.
    #[inline(always)]
    #[must_use]
    pub fn own_l1(&self, n: u64, owner: DomId) -> Option<P::Words<'a>> {
        let (mfn, info) = self.hv.mm.frames.lookup(n)?;
        let is_own_l1 = info.owner_word().is_owned_by(owner) && info.type_word().is_valid(Kind::L1);
        is_own_l1.then(|| self.platform.words(mfn))
    }

    /// [`Mmu::write_word`] in every case.
    ///
    /// # Errors
    /// See there.
    #[inline(never)]
    pub fn write_any_word(
        &mut self,
        n: u64,
        index: usize,
        value: u64,
        caller: Owner,
        target: Owner,
    ) -> Result<(), Stop> {
        let Some((mfn, info)) = self.frames.lookup(n) else {
            return Err(MmError::NoSuchFrame.into());
        };
        if !info.owner_word().is_owned_by(caller.id) {
            return Err(MmError::NotOwned(mfn).into());
        }
        let word = info.type_word();
        match word.kind() {
            Kind::L1 if word.is_validated() => Ok(self.update_l1(mfn, index, value, target)?),
            Kind::L2 | Kind::L2Top if word.is_validated() => {
                let root = self.root();
                self.update_l2(mfn, index, value, caller, root)
            }
            Kind::L3 if word.is_validated() => self.update_l3(mfn, index, value, caller),
            kind @ (Kind::L1 | Kind::L2) => {
                self.write_unused_table((mfn, info), kind, index, value, caller, target)
            }
            _ => {
                self.get_page_number(u64::from(mfn.raw()), caller.id)?;
                let taken = self.get_type((mfn, info), Kind::Writable, caller, None);
                if taken.is_ok() {
                    self.platform.write_entry(mfn, index, value);
                    info.put_writable(self.hv.mm.clock);
                }
                self.put_page(mfn, info);
                taken
            }
        }
    }

    /// Makes the frame valid, writes, and lets it go again.
    #[cold]
    fn write_unused_table(
        &mut self,
        (mfn, info): (Mfn, &'static FrameInfo),
        kind: Kind,
        index: usize,
        value: u64,
        caller: Owner,
        target: Owner,
    ) -> Result<(), Stop> {
        self.get_page_number(u64::from(mfn.raw()), caller.id)?;
        if let Err(stop) = self.get_type((mfn, info), kind, caller, None) {
            self.put_page(mfn, info);
            return Err(stop);
        }
        let written = match kind {
            Kind::L1 => self.update_l1(mfn, index, value, target).map_err(Stop::from),
            _ => self.update_l2(mfn, index, value, caller, None),
        };
        if written == Err(Stop::Preempted) {
            // Checking it all again each time would let the request get nowhere.
            self.keep_checked(info, kind);
        } else if self.put_typed(mfn, info).is_err() {
            self.leave_unfinished(mfn);
        }
        written
    }

    /// Sets the machine-to-phys entry of frame number `n`, a frame of `owner`.
    ///
    /// # Errors
    /// Not the owner's.
    #[inline(always)]
    pub fn set_machine_to_phys(&mut self, n: u64, pfn: u32, owner: Owner) -> Result<(), MmError> {
        let Some((mfn, info)) = self.frames.lookup(n) else {
            return Err(MmError::NoSuchFrame);
        };
        if !info.owner_word().is_owned_by(owner.id) {
            return Err(MmError::NotOwned(mfn));
        }
        self.platform.set_m2p(mfn, pfn);
        Ok(())
    }
}
