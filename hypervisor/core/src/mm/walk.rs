//! Finding the entry that maps a guest address, by the guest's own tables.
//!
//! The tables are valid, so what their entries name needs no further judgement, but for one thing: through a
//! linear map the place of an L1 may be taken by an L2.

use super::{
    frame::Kind,
    mmu::Mmu,
    pte::{P, near_frame},
};
use crate::platform::{FrameWords, Platform};
use guest_abi::addr::{GuestVirt, Mfn};

impl<P_: Platform> Mmu<'_, P_> {
    /// The root of the calling vCPU.
    #[inline(always)]
    pub(super) fn root(&self) -> Option<Mfn> {
        self.hv.running().vcpus[0].roots[0]
    }

    /// The L1 and the index in it of the entry that maps `at`, if there is an L1.
    #[inline(always)]
    #[must_use]
    pub fn find_l1(&self, at: GuestVirt) -> Option<(Mfn, usize)> {
        let l3e = self.platform.words(self.root()?).read(at.table_index(3));
        if l3e & P == 0 {
            return None;
        }
        let l2e = self
            .platform
            .words(Mfn::new(near_frame(l3e)))
            .read(at.table_index(2));
        if l2e & P == 0 {
            return None;
        }
        let l1 = near_frame(l2e);
        let is_l1 = self.hv.mm.frames.near(l1)?.type_word().is_valid(Kind::L1);
        is_l1.then(|| (Mfn::new(l1), at.table_index(1)))
    }

    /// The present L1 entry that maps `at`, if there is one.
    #[must_use]
    pub fn mapping(&self, at: GuestVirt) -> Option<u64> {
        let (l1, index) = self.find_l1(at)?;
        Some(self.platform.read_entry(l1, index)).filter(|entry| entry & P != 0)
    }
}
