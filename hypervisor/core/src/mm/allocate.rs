//! Giving free frames to an owner: quota, stale translations, content.
//!
//! A frame that is given out shows its new owner nothing of anybody else: it holds zeroes, or what the same
//! domain left in it. Zeroing happens while the frame is still free and is remembered there, so a large
//! block can be prepared in several attempts, and idle time can prepare blocks nobody has asked for.
//! Stale translations go *before* the zeroing: a former owner could otherwise still write into clean frames.

use super::{
    allocator::MAX_ORDER,
    error::{MmError, Preempted, Stop},
    frame::{FrameInfo, FreeWord, Kind, OwnerWord, TypeWord},
    mmu::{Mmu, ZERO_COST},
    tlb::FlushClock,
};
use crate::{domain::DomId, platform::Platform};
use core::ops::Range;
use guest_abi::addr::Mfn;

/// A frame that nobody else has any way to: fit to be a domain's record. There is one of these per frame.
#[derive(Debug, PartialEq, Eq)]
pub struct RecordFrame(Mfn);

impl RecordFrame {
    /// Which frame it is.
    #[must_use]
    pub const fn mfn(&self) -> Mfn {
        self.0
    }

    /// The frame of a record that is none any more. For [`crate::platform::Records::unplace_record`] alone, which knows what
    /// it had been given.
    #[must_use]
    pub const fn returned(mfn: Mfn) -> Self {
        Self(mfn)
    }
}

/// Who gets frames.
#[derive(Clone, Copy)]
struct Claimant {
    id: DomId,
    /// Domains that had died when it was made.
    born: u16,
    /// What the one reference of each frame is.
    hold: u64,
}

impl Claimant {
    /// Whether what the frame holds may be seen by the claimant. What was nobody's may have been anything.
    fn may_see(self, word: FreeWord) -> bool {
        let is_own = word.last_owner() == self.id
            && self.id != DomId::NONE
            && word.deaths() >= self.born
            && word.deaths() != u16::MAX;
        word.is_clean() || is_own
    }
}

impl<P: Platform> Mmu<'_, P> {
    /// Gives domain `id` a block of 2^`order` frames, charged to it, and says which comes first.
    ///
    /// # Errors
    /// No such domain, over its quota, no block of that size; or a pause, after which to ask again.
    pub fn allocate(&mut self, id: DomId, order: u32) -> Result<Mfn, Stop> {
        let domain = self.domain(id).ok_or(MmError::NoSuchDomain)?;
        let pages = 1u32.checked_shl(order).unwrap_or(u32::MAX);
        domain
            .total_pages
            .checked_add(pages)
            .filter(|&total| domain.may_own(total))
            .ok_or(MmError::OverQuota)?;
        let claimant = Claimant {
            id,
            born: domain.born,
            hold: OwnerWord::ALLOCATED,
        };
        let mfn = self.claim(claimant, order)?;
        if let Some(domain) = self.domain(id) {
            domain.gain(mfn.raw()..mfn.raw() + pages);
        }
        Ok(mfn)
    }

    /// Takes one zeroed frame that the hypervisor keeps for a domain: a record, or a table that grows. The
    /// [audit](super::audit) wants it found where [`crate::life::own_frames`] looks.
    ///
    /// # Errors
    /// No frame is free.
    pub fn take_own_frame(&mut self) -> Result<Mfn, MmError> {
        let claimant = Claimant {
            id: DomId::HYPERVISOR,
            // It may see nothing that is left in the frame, not even its own.
            born: u16::MAX,
            hold: OwnerWord::KEPT,
        };
        let mut fresh = Mmu::new(self.hv, self.platform);
        fresh.claim(claimant, 0).map_err(|stop| match stop {
            Stop::Refused(why) => why,
            // One frame is less than the stretch that is always granted.
            Stop::Preempted => MmError::NoFrames,
        })
    }

    /// Gives back what [`Mmu::take_own_frame`] has given.
    ///
    /// # Panics
    /// For any other frame.
    pub fn free_own_frame(&mut self, mfn: Mfn) {
        let info = self.frames.at(mfn);
        let word = info.owner_word();
        assert!(
            word.is_owned_by(DomId::HYPERVISOR) && word.count() == 1,
            "frame {mfn:?} is not one that is kept for a domain"
        );
        info.clear_flag(OwnerWord::KEPT);
        self.put_page(mfn, info);
    }

    /// Takes the page that domain `id`, about to be made, is to share with the hypervisor. It goes with the domain's memory.
    ///
    /// # Errors
    /// No frame is free.
    pub fn take_shared_page(&mut self, id: DomId) -> Result<Mfn, MmError> {
        let mfn = self.take_own_frame()?;
        self.frames.share(mfn, id);
        Ok(mfn)
    }

    /// Takes the frame for a domain's record.
    ///
    /// # Errors
    /// No frame is free.
    pub fn take_record_frame(&mut self) -> Result<RecordFrame, MmError> {
        self.take_own_frame().map(RecordFrame)
    }

    /// Gives a record's frame back.
    pub fn free_record_frame(&mut self, frame: RecordFrame) {
        self.free_own_frame(frame.0);
    }

    /// Hands frames of a boot module to domain `id`, as they are, charged to it. For boot: each must be
    /// [`super::FrameInfo::new`].
    pub fn adopt(&mut self, range: Range<Mfn>, id: DomId) {
        for n in range.start.raw()..range.end.raw() {
            let info = self.frames.index(n);
            info.set_type_word(TypeWord::unused(Kind::Writable, FlushClock::NEVER));
            info.set_owner_word(OwnerWord::of(id, OwnerWord::ALLOCATED));
        }
        if let Some(domain) = self.domain(id) {
            domain.gain(range.start.raw()..range.end.raw());
        }
    }

    fn claim(&mut self, claimant: Claimant, order: u32) -> Result<Mfn, Stop> {
        if order > MAX_ORDER {
            return Err(MmError::NoFrames.into());
        }
        let (head, have) = self.hv.mm.allocator.find(order).ok_or(MmError::NoFrames)?;
        let block = head.raw()..head.raw() + (1 << order);
        // Looking at and handing over a frame takes about a quarter of an entry check.
        self.reserve((block.len() as u32).div_ceil(4))?;
        self.prepare(block.clone(), claimant)?;
        self.hv.mm.allocator.take(self.frames, head, have, order);
        for info in self.frames.block(block) {
            info.set_type_word(TypeWord::unused(Kind::Writable, FlushClock::NEVER));
            info.set_owner_word(OwnerWord::of(claimant.id, claimant.hold));
        }
        Ok(head)
    }

    /// Makes free frames fit to be seen by `claimant`.
    fn prepare(&mut self, block: Range<u32>, claimant: Claimant) -> Result<(), Preempted> {
        for (info, n) in self.frames.block(block.clone()).iter().zip(block) {
            let word = info.free_word();
            self.flush_cpus(self.hv.mm.clock.stale_cpus(word.stamp()));
            if !claimant.may_see(word) {
                self.clean(Mfn::new(n))?;
            }
        }
        Ok(())
    }

    /// Zeroes a free frame.
    #[cold]
    #[inline(never)]
    fn clean(&mut self, mfn: Mfn) -> Result<(), Preempted> {
        self.reserve(ZERO_COST)?;
        self.hv.mm.allocator.clean(self.frames, self.platform, mfn);
        Ok(())
    }

    /// Whether frame `n` is allocated to domain `id`.
    #[must_use]
    pub fn is_allocated_to(&self, n: u32, id: DomId) -> bool {
        self.frames
            .get(Mfn::new(n))
            .is_some_and(|info| is_allocated(info, id))
    }

    /// Whether `mfn` is domain `id`'s.
    #[must_use]
    pub fn is_owned(&self, mfn: Mfn, id: DomId) -> bool {
        self.frames
            .get(mfn)
            .is_some_and(|info| info.owner_word().is_owned_by(id))
    }

    /// Whether `mfn` is allocated to domain `id` and nothing else refers to it.
    #[must_use]
    pub fn is_idle(&self, mfn: Mfn, id: DomId) -> bool {
        self.is_allocated_to(mfn.raw(), id) && self.frames.at(mfn).owner_word().count() == 1
    }

    /// Takes domain `id`'s allocation of a frame, and its pin. The frame is free once nothing else refers to it.
    ///
    /// # Errors
    /// Not allocated to the domain. Or a pause in dropping its pin.
    pub fn free_allocation(&mut self, mfn: Mfn, id: DomId) -> Result<(), Stop> {
        let info = self
            .frames
            .get(mfn)
            .filter(|info| is_allocated(info, id))
            .ok_or(MmError::NotOwned(mfn))?;
        let word = info.type_word();
        if word.has(TypeWord::PINNED) || word.has(TypeWord::PARTIAL) {
            self.drop_pin(mfn, info)?;
        }
        info.clear_flag(OwnerWord::ALLOCATED);
        self.put_page(mfn, info);
        Ok(())
    }

    /// Zeroes up to `limit` dirty free frames; for idle time. Whether there may be more to do.
    pub fn scrub_some(&mut self, limit: u32) -> bool {
        for _ in 0..limit {
            let Some(mfn) = self.hv.mm.allocator.next_dirty(self.frames, 64) else {
                break;
            };
            let word = self.frames.free_word(mfn.raw());
            self.flush_cpus(self.hv.mm.clock.stale_cpus(word.stamp()));
            self.hv.mm.allocator.clean(self.frames, self.platform, mfn);
        }
        self.hv.mm.allocator.dirty_frames() > 0
    }
}

/// Whether the frame is allocated to domain `id`.
fn is_allocated(info: &FrameInfo, id: DomId) -> bool {
    let word = info.owner_word();
    word.is_owned_by(id) && word.has(OwnerWord::ALLOCATED)
}
