//! Pins, which keep a table valid while nothing uses it, and roots of address spaces.

use super::{
    error::{MmError, Stop},
    frame::{FrameInfo, Kind, TypeWord},
    l1::give_back,
    mmu::{Mmu, Owner},
};
use crate::platform::Platform;
use guest_abi::addr::Mfn;

impl<P: Platform> Mmu<'_, P> {
    /// Pins frame number `n`, a frame of `owner`, as a table of `kind`.
    ///
    /// # Errors
    /// Not an L1, L2 or L3; not the owner's; pinned already; in use as something else; not fit. Or a pause.
    pub fn pin(&mut self, n: u64, kind: Kind, owner: Owner) -> Result<(), Stop> {
        if !matches!(kind, Kind::L1 | Kind::L2 | Kind::L3) {
            return Err(MmError::NotPinnable(kind).into());
        }
        let (mfn, info) = self.get_page_number(n, owner.id)?;
        let taken = if info.type_word().has(TypeWord::PINNED) {
            Err(MmError::AlreadyPinned(mfn).into())
        } else {
            self.get_type((mfn, info), kind, owner, None)
        };
        match taken {
            Ok(()) => info.change_type_flags(TypeWord::PINNED, 0),
            Err(_) => self.put_page(mfn, info),
        }
        taken
    }

    /// Drops the pin of frame number `n`, a frame of `owner`. A frame that such a call left half torn down is
    /// torn down further.
    ///
    /// # Errors
    /// Not the owner's; not pinned. Or a pause.
    pub fn unpin(&mut self, n: u64, owner: Owner) -> Result<(), Stop> {
        let Some((mfn, info)) = self.frames.lookup(n) else {
            return Err(MmError::NoSuchFrame.into());
        };
        if !info.owner_word().is_owned_by(owner.id) {
            return Err(MmError::NotOwned(mfn).into());
        }
        self.drop_pin(mfn, info)
    }

    pub(super) fn drop_pin(&mut self, mfn: Mfn, info: &'static FrameInfo) -> Result<(), Stop> {
        let word = info.type_word();
        if word.has(TypeWord::PINNED) {
            info.change_type_flags(0, TypeWord::PINNED);
            return Ok(self.put_typed(mfn, info)?);
        }
        if word.has(TypeWord::PARTIAL) {
            return Ok(self.resume_tear_down(mfn)?);
        }
        Err(MmError::NotPinned(mfn).into())
    }

    /// Makes frame number `n`, a frame of `owner`, the root of the calling vCPU's address space.
    ///
    /// # Errors
    /// Not the owner's; not fit to be an L3. Or a pause.
    pub fn load_root(&mut self, n: u64, owner: Owner) -> Result<(), Stop> {
        let mfn = self.take_root(n, owner)?;
        self.drop_ldt_pages();
        self.activate(mfn);
        Ok(())
    }

    /// Gives back what [`Mmu::take_root`] took. Where that pauses, the caller finishes it in its next operation.
    pub fn put_root(&mut self, mfn: Mfn) {
        if self.put_typed(mfn, self.frames.at(mfn)).is_err() {
            self.leave_unfinished(mfn);
        }
    }

    /// Changes the root to `mfn`, which is taken, and gives the old one back.
    fn activate(&mut self, mfn: Mfn) {
        self.platform.activate_root(mfn);
        self.hv.mm.clock.tick();
        if let Some(old) = self.caller_domain().vcpus[0].roots[0].replace(mfn)
            && self.put_typed(old, self.frames.at(old)).is_err()
        {
            self.leave_unfinished(old);
        }
    }

    /// [`Mmu::load_root`] where the new root is valid already, the old one stays valid, and no LDT is registered. Otherwise
    /// nothing is done and the answer is `false`.
    #[inline(always)]
    #[must_use]
    pub fn exchange_roots(&mut self, n: u64) -> bool {
        let frames = self.frames;
        let domain = self.caller_domain();
        let vcpu = &mut domain.vcpus[0];
        let (Some((new, new_info)), Some(old)) = (frames.lookup(n), vcpu.roots[0]) else {
            return false;
        };
        let Some(old_info) = frames.get(old) else {
            return false;
        };
        if vcpu.ldt_entries != 0 || old_info.type_word().count() <= 1 || !new_info.get_page(domain.id) {
            return false;
        }
        if !new_info.get_valid(Kind::L3) {
            return give_back(new_info);
        }
        vcpu.roots[0] = Some(new);
        self.platform.activate_root(new);
        self.hv.mm.clock.tick();
        let is_kept = old_info.put_type_unless_last() && old_info.put_page_unless_last();
        assert!(is_kept, "the old root has uses besides");
        true
    }

    /// Takes a typed use of frame number `n` as a root, for whoever keeps it.
    ///
    /// # Errors
    /// Not the owner's; not fit to be an L3. Or a pause.
    #[inline(always)]
    pub fn take_root(&mut self, n: u64, owner: Owner) -> Result<Mfn, Stop> {
        let (mfn, info) = self.get_page_number(n, owner.id)?;
        match self.get_type((mfn, info), Kind::L3, owner, None) {
            Ok(()) => Ok(mfn),
            Err(stop) => {
                self.put_page(mfn, info);
                Err(stop)
            }
        }
    }
}
