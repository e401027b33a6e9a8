//! Taking everything from a domain that dies.
//!
//! In an order in which nothing is freed while something still leads to it: first what the vCPU holds, then pins and tables half torn
//! down, and once no table of the domain is valid any more, the frames. A frame that another domain still maps stays the
//! dead domain's, and charged to it, until that mapping goes; the domain's record must live as long.

use super::{
    error::Preempted,
    frame::{OwnerWord, TypeWord},
    mmu::Mmu,
};
use crate::{domain::Domain, platform::Platform};
use guest_abi::addr::Mfn;

/// How far a domain's memory is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relinquish {
    stage: Stage,
    /// Next frame to look at.
    at: u32,
}

impl Relinquish {
    /// Nothing is taken yet.
    pub const START: Self = Self {
        stage: Stage::Vcpus,
        at: 0,
    };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Vcpus,
    Tables,
    Frames,
    Done,
}

/// Frames looked at for the price of one entry check.
const FRAMES_PER_CHECK: u32 = 8;

impl<P: Platform> Mmu<'_, P> {
    /// Takes all memory from the domain in `slot`, which does not run any more. Its shared page goes too.
    ///
    /// # Errors
    /// A pause: ask again.
    ///
    /// # Panics
    /// Where no domain is there.
    pub fn relinquish(&mut self, slot: usize) -> Result<(), Preempted> {
        loop {
            let state = self.dying(slot).relinquish;
            let next = match state.stage {
                Stage::Vcpus => {
                    self.relinquish_vcpus(slot)?;
                    Stage::Tables
                }
                Stage::Tables => {
                    self.relinquish_frames(slot, Self::relinquish_table)?;
                    Stage::Frames
                }
                Stage::Frames => {
                    self.relinquish_frames(slot, Self::relinquish_frame)?;
                    self.relinquish_shared_info(slot);
                    Stage::Done
                }
                Stage::Done => return Ok(()),
            };
            self.dying(slot).relinquish = Relinquish { stage: next, at: 0 };
        }
    }

    fn dying(&mut self, slot: usize) -> &mut Domain {
        self.hv.domain_at(slot).expect("a domain that dies")
    }

    fn relinquish_vcpus(&mut self, slot: usize) -> Result<(), Preempted> {
        let vcpu = &mut self.dying(slot).vcpus[0];
        vcpu.ldt_entries = 0;
        vcpu.gdt_entries = 0;
        let pages = core::mem::take(&mut vcpu.ldt_frames);
        let gdt = core::mem::take(&mut vcpu.gdt_frames);
        for mfn in pages.into_iter().chain(gdt).flatten() {
            self.put_descriptor_page(mfn);
        }
        // A root that stays half torn down is found among the tables.
        while let Some(root) = self.dying(slot).vcpus[0].roots.iter_mut().find_map(Option::take) {
            self.put_typed(root, self.frames.at(root))?;
        }
        self.dying(slot).unfinished.clear();
        Ok(())
    }

    /// Has `each` look at every frame of the domain.
    fn relinquish_frames(
        &mut self,
        slot: usize,
        each: fn(&mut Self, Mfn) -> Result<(), Preempted>,
    ) -> Result<(), Preempted> {
        let domain = self.dying(slot);
        let (id, span) = (domain.id, domain.span.clone());
        let mut at = domain.relinquish.at.max(span.start);
        while at < span.end {
            let mfn = Mfn::new(at);
            let result = if at.is_multiple_of(FRAMES_PER_CHECK) {
                self.reserve(1)
            } else {
                Ok(())
            };
            let result = result.and_then(|()| {
                if self.frames.at(mfn).owner_word().is_owned_by(id) {
                    each(self, mfn)
                } else {
                    Ok(())
                }
            });
            if result.is_err() {
                self.dying(slot).relinquish.at = at;
                return result;
            }
            at += 1;
        }
        Ok(())
    }

    fn relinquish_table(&mut self, mfn: Mfn) -> Result<(), Preempted> {
        let info = self.frames.at(mfn);
        let word = info.type_word();
        if word.has(TypeWord::PINNED) {
            info.change_type_flags(0, TypeWord::PINNED);
            return self.put_typed(mfn, info);
        }
        self.resume_tear_down(mfn)
    }

    fn relinquish_frame(&mut self, mfn: Mfn) -> Result<(), Preempted> {
        self.reserve(2)?;
        let info = self.frames.at(mfn);
        if info.owner_word().has(OwnerWord::ALLOCATED) {
            info.clear_flag(OwnerWord::ALLOCATED);
            self.put_page(mfn, info);
        }
        Ok(())
    }

    /// The shared page becomes an ordinary frame of the domain, and goes like one.
    fn relinquish_shared_info(&mut self, slot: usize) {
        let domain = self.dying(slot);
        let (mfn, id) = (domain.shared_info, domain.id);
        let info = self.frames.at(mfn);
        if info.owner_word().is_owned_by(id) && info.owner_word().has(OwnerWord::KEPT) {
            self.dying(slot).gain(mfn.raw()..mfn.raw() + 1);
            info.clear_flag(OwnerWord::KEPT);
            info.put_writable(self.hv.mm.clock);
            self.put_page(mfn, info);
        }
    }
}
