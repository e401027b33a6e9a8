//! The state, the machine and the work budget of one operation on memory.

use super::{
    error::{MmError, Preempted},
    frame::{FrameInfo, OwnerWord},
    table::FrameTable,
    tlb::CpuSet,
};
use crate::{
    domain::{DomId, Domain},
    hypervisor::Hypervisor,
    platform::Platform,
};
use guest_abi::addr::Mfn;

/// Entry checks between two looks at whether work waits. The dearest of them takes some 45 instructions, so that this is
/// well below 20,000; and it is no less than what one attempt must have to get through ([`Mmu::reserve`]).
pub const STRETCH: u32 = 320;

/// Entry checks that zeroing one frame counts for.
pub(super) const ZERO_COST: u32 = 16;

/// Whose frames entries may name, and whether they may name I/O memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The owner.
    pub id: DomId,
    /// Whether I/O frames may be named as well.
    pub may_map_io: bool,
}

impl Owner {
    /// Frames of `domain`, with its own right to I/O memory.
    #[inline(always)]
    #[must_use]
    pub const fn of(domain: &Domain) -> Self {
        Self {
            id: domain.id,
            may_map_io: domain.is_privileged,
        }
    }
}

/// What memory operations work with: every operation is a method of this.
///
/// Long ones look at [`crate::platform::Clock::work_pending`] at least every [`STRETCH`] entry checks and stop
/// with [`Preempted`] in a state from which the same operation goes on. The first stretch is always granted, so
/// that each attempt gets further.
pub struct Mmu<'a, P: Platform> {
    /// All state.
    pub hv: &'a mut Hypervisor,
    /// The machine.
    pub platform: &'a P,
    pub(super) frames: FrameTable,
    left: u32,
    pub(super) is_unfinished: bool,
    /// References are given back because what took them is refused: as if they had never been taken.
    pub(super) is_undoing: bool,
}

impl<'a, P: Platform> Mmu<'a, P> {
    /// A working state with a fresh budget.
    #[inline(always)]
    pub fn new(hv: &'a mut Hypervisor, platform: &'a P) -> Self {
        let frames = hv.mm.frames;
        Self {
            hv,
            platform,
            frames,
            left: STRETCH,
            is_unfinished: false,
            is_undoing: false,
        }
    }

    /// Accounts for `checks` entry checks about to be made (at most [`STRETCH`]).
    ///
    /// # Errors
    /// [`Preempted`] where the stretch is used up and work waits.
    #[inline(always)]
    pub fn reserve(&mut self, checks: u32) -> Result<(), Preempted> {
        if self.left < checks {
            return self.next_stretch(checks);
        }
        self.left = self.left.wrapping_sub(checks);
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn next_stretch(&mut self, checks: u32) -> Result<(), Preempted> {
        if self.platform.work_pending() && !cfg!(feature = "mutant-preempt") {
            self.left = 0;
            return Err(Preempted);
        }
        self.left = STRETCH.saturating_sub(checks);
        Ok(())
    }

    /// Drops every translation of the running guest.
    pub fn flush(&mut self) {
        self.platform.flush();
        self.hv.mm.clock.tick();
    }

    /// Drops every translation on `cpus`.
    pub(super) fn flush_cpus(&mut self, cpus: CpuSet) {
        if !cpus.is_empty() {
            self.flush();
        }
    }

    /// The present of the flush clock.
    #[inline(always)]
    pub(super) fn now(&self) -> u32 {
        self.hv.mm.clock.now()
    }

    /// Domain `id`, unless it is being destroyed.
    pub(crate) fn domain(&mut self, id: DomId) -> Option<&mut Domain> {
        let slot = self.hv.slot_of(id)?;
        self.hv.domain_at(slot)
    }

    /// The calling domain.
    ///
    /// # Panics
    /// Where no domain runs, which no guest can bring about.
    #[inline(always)]
    pub(crate) fn caller_domain(&mut self) -> &mut Domain {
        self.hv.running_mut()
    }

    /// The calling domain as owner of frames.
    #[inline(always)]
    pub fn caller(&mut self) -> Owner {
        Owner::of(self.caller_domain())
    }

    /// Takes a reference to frame number `n`, which must be `owner`'s.
    ///
    /// # Errors
    /// No such frame, another owner, or a count at its limit.
    #[inline(always)]
    pub(super) fn get_page_number(&self, n: u64, owner: DomId) -> Result<(Mfn, &'static FrameInfo), MmError> {
        let Some((mfn, info)) = self.frames.lookup(n) else {
            return Err(MmError::NoSuchFrame);
        };
        if info.get_page(owner) {
            Ok((mfn, info))
        } else {
            Err(page_refusal(info, mfn, owner))
        }
    }

    /// Gives a reference back; the frame is freed with the last one.
    #[inline(always)]
    pub fn put_page(&mut self, mfn: Mfn, info: &'static FrameInfo) {
        if !info.put_page_unless_last() {
            release_last(self.hv, mfn, info);
        }
    }
}

/// Gives the last reference to a frame back: it is free from here on. (What is rare on the common paths takes no [`Mmu`], so
/// that theirs need not exist in memory.)
#[cold]
#[inline(never)]
fn release_last(hv: &mut Hypervisor, mfn: Mfn, info: &'static FrameInfo) {
    let word = info.owner_word();
    assert!(word.count() == 1, "reference to frame {mfn:?} given back twice");
    let kind = info.type_word().kind();
    assert!(
        !info.type_word().is_held(),
        "frame {mfn:?} freed in use as {kind:?}"
    );
    assert!(
        !word.has(OwnerWord::KEPT),
        "frame {mfn:?} of the hypervisor freed by a guest"
    );
    let owner = word.owner();
    if let Some(slot) = hv.slot_of_any(owner)
        && let Some(domain) = hv.domain_at(slot)
    {
        domain.total_pages -= 1;
    }
    let (frames, now) = (hv.mm.frames, hv.mm.clock.now());
    hv.mm.allocator.release(frames, mfn, owner, now);
}

/// What kept a reference from being taken.
#[cold]
#[inline(never)]
pub(super) fn page_refusal(info: &FrameInfo, mfn: Mfn, owner: DomId) -> MmError {
    if info.owner_word().is_owned_by(owner) {
        MmError::CountLimit(mfn)
    } else {
        MmError::NotOwned(mfn)
    }
}
