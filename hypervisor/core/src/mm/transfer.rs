//! Frames that change their owner without being freed.
//!
//! The frame's content goes along: that is the purpose. What must not go along is any way to it that the
//! giver still has, so it may have no use but its allocation, and translations are flushed before a guest runs again.

use super::{
    error::MmError,
    frame::{FrameInfo, OwnerWord},
    mmu::Mmu,
};
use crate::{
    domain::{DomId, Domain},
    platform::Platform,
    sched::Held,
};

impl<P: Platform> Mmu<'_, P> {
    /// Makes frame number `n` of the calling domain one of domain `to`'s. The caller flushes translations before
    /// the guest runs again.
    ///
    /// # Errors
    /// No such domain, or one being destroyed, or one that may not own more; no frame of the caller's, or one in
    /// use.
    pub fn reassign(&mut self, n: u64, to: DomId) -> Result<(), MmError> {
        let info = self.judge_move(n, to)?;
        if to == self.caller().id {
            return Ok(());
        }
        self.receiver(to)?.gain(n as u32..n as u32 + 1);
        self.caller_domain().total_pages -= 1;
        info.set_owner_word(OwnerWord::of(to, OwnerWord::ALLOCATED));
        Ok(())
    }

    /// Whether [`Mmu::reassign`] would do what it is asked.
    ///
    /// # Errors
    /// Those of it.
    pub fn may_reassign(&mut self, n: u64, to: DomId) -> Result<(), MmError> {
        self.judge_move(n, to).map(|_| ())
    }

    /// The frame, if it may go to `to`.
    fn judge_move(&mut self, n: u64, to: DomId) -> Result<&'static FrameInfo, MmError> {
        let info = self.movable(n)?;
        let from = self.caller().id;
        let receiver = self.receiver(to)?;
        let total = receiver.total_pages.checked_add(1);
        if to == from || total.is_some_and(|total| receiver.may_own(total)) {
            Ok(info)
        } else {
            Err(MmError::OverQuota)
        }
    }

    /// Frame number `n`, if it is the calling domain's and nothing but its allocation refers to it.
    fn movable(&mut self, n: u64) -> Result<&'static FrameInfo, MmError> {
        let owner = self.caller().id;
        let Some((mfn, info)) = self.frames.lookup(n) else {
            return Err(MmError::NoSuchFrame);
        };
        let word = info.owner_word();
        if !word.is_owned_by(owner) || !word.has(OwnerWord::ALLOCATED) {
            return Err(MmError::NotOwned(mfn));
        }
        if word.count() != 1 {
            return Err(MmError::InUse(mfn));
        }
        Ok(info)
    }

    /// Domain `id`, unless it is being destroyed.
    fn receiver(&mut self, id: DomId) -> Result<&mut Domain, MmError> {
        self.domain(id)
            .filter(|domain| !domain.run.held.contains(Held::DYING))
            .ok_or(MmError::NoSuchDomain)
    }
}
