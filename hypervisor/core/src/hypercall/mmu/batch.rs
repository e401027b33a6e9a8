//! A batch of call 1 with whatever may be in it.
//!
//! Requests are read one at a time; the first that is refused ends the batch, and what was done before stays. A batch
//! pauses when work waits. What it has to remember then travels in its own argument registers: the rest of the
//! array, and in the count register a mark, the foreign domain in force, and how many are left. A guest that
//! forges these gets what it could have asked for by requests.
//!
//! A refused request may first have to give back much that it had taken. That pauses as well; the batch
//! then remembers by a foreign domain that cannot exist that it has failed.

use super::{REQUEST_BYTES, REQUEST_COST, index_in_table, read_again};
use crate::{
    context::Context,
    domain::DomId,
    error::HvError,
    guest_mem::{GuestPtr, in_guest_range},
    hypercall::{Args, CallResult},
    mm::{MmError, Mmu, Owner, Stop},
    outcome::Outcome,
    platform::Platform,
};
use guest_abi::{
    addr::GuestVirt,
    mmu::{COUNT_FOREIGN_MASK, COUNT_FOREIGN_SHIFT, COUNT_RESUMED, Command, MAX_BATCH, MmuUpdate},
};

/// In place of the foreign domain of a paused batch: it has failed.
const FAILED: u16 = DomId::NONE.0;

/// A batch under way.
pub(super) struct Batch<'a, P: Platform> {
    pub mmu: Mmu<'a, P>,
    /// Owner of the tables that are edited.
    pub caller: Owner,
    /// Owner of the frames that are named: the foreign domain, or the caller.
    pub target: Owner,
    /// The foreign domain; [`DomId::SELF`]: none.
    pub foreign: DomId,
    /// Flush everything at the end.
    pub flush: bool,
    /// Map the first page of the LDT at the end.
    pub map_ldt: bool,
}

/// How a batch stopped.
enum End {
    Done,
    Paused,
    Failed(HvError),
}

/// Goes on with a batch whose arguments are good, of which `done` requests are done and may have asked for a flush.
#[inline(never)]
pub(super) fn start<P: Platform>(mmu: Mmu<'_, P>, args: Args, done: u32, flush: bool) -> CallResult {
    let mut batch = Batch::new(mmu);
    batch.flush = flush;
    if batch.mmu.finish().is_err() {
        return batch.conclude(&End::Paused, args, args[1].wrapping_sub(done));
    }
    batch.run_and_conclude(args, done)
}

/// A count that is too large, or that of a batch that paused.
#[cold]
#[inline(never)]
pub(super) fn resume<P: Platform>(cx: &mut Context<'_, P>, args: Args) -> CallResult {
    let [at, count, done, ..] = args;
    let left = count & MAX_BATCH;
    if count & COUNT_RESUMED == 0 {
        return Err(HvError::Invalid);
    }
    if !in_guest_range(at, left * REQUEST_BYTES) || (done != 0 && !in_guest_range(done, 4)) {
        return Err(HvError::Fault);
    }
    let mut batch = Batch::new(Mmu::new(cx.hv, cx.platform));
    let is_paused = batch.mmu.finish().is_err();
    let is_good = match DomId((count >> COUNT_FOREIGN_SHIFT & COUNT_FOREIGN_MASK) as u16) {
        DomId::SELF => true,
        DomId(FAILED) => false,
        id => batch.set_foreign(id).is_ok(),
    };
    if !is_good {
        return batch.conclude(&End::Failed(HvError::Invalid), args, left);
    }
    if is_paused {
        return batch.conclude(&End::Paused, args, left);
    }
    batch.run_and_conclude(args, 0)
}

impl<'a, P: Platform> Batch<'a, P> {
    #[inline(always)]
    fn new(mut mmu: Mmu<'a, P>) -> Self {
        let caller = mmu.caller();
        Self {
            mmu,
            caller,
            target: caller,
            foreign: DomId::SELF,
            flush: false,
            map_ldt: false,
        }
    }

    #[inline(always)]
    fn run_and_conclude(&mut self, args: Args, done: u32) -> CallResult {
        let [at, count, counter, ..] = args;
        let mut left = (count & MAX_BATCH).wrapping_sub(done);
        let end = self.run(at.wrapping_add(done * REQUEST_BYTES), &mut left);
        if self.flush {
            self.mmu.flush();
        }
        if self.map_ldt {
            // Should the page not be fit, the guest learns by its first use.
            self.mmu.map_ldt_page(0);
        }
        if matches!(end, End::Done) && counter == 0 && !self.mmu.is_unfinished() {
            return Ok(Outcome::Return(0));
        }
        self.conclude(&end, args, left)
    }

    /// Does requests from `at` on until `left` is 0.
    #[inline(always)]
    fn run(&mut self, mut at: u32, left: &mut u32) -> End {
        while *left != 0 {
            if self.mmu.reserve(REQUEST_COST).is_err() {
                return End::Paused;
            }
            let Ok(request) = self.mmu.platform.read::<MmuUpdate>(GuestVirt::new(at)) else {
                return End::Failed(HvError::Fault);
            };
            match self.request(request) {
                Ok(()) => {}
                Err(Stop::Preempted) => return End::Paused,
                Err(Stop::Refused(why)) => return self.refuse(request, why),
            }
            read_again(self.mmu.platform, at, request);
            at = at.wrapping_add(REQUEST_BYTES);
            *left = left.wrapping_sub(1);
            if self.mmu.is_unfinished() {
                return End::Paused;
            }
        }
        End::Done
    }

    #[inline(always)]
    fn request(&mut self, request: MmuUpdate) -> Result<(), Stop> {
        match request.command() {
            Command::NORMAL_PT_UPDATE => {
                let index = index_in_table(request);
                self.mmu
                    .write_word(request.ptr >> 12, index, request.val, self.caller, self.target)
            }
            Command::MACHPHYS_UPDATE => Ok(self.machphys(request)?),
            _ => self.extended(request),
        }
    }

    #[cold]
    #[inline(never)]
    fn refuse(&self, request: MmuUpdate, why: MmError) -> End {
        log::debug!(target: crate::GUEST_LOG, "{}: {request:x?} refused: {why:?}", self.caller.id);
        End::Failed(HvError::Mm(why))
    }

    /// Everything but the plainest end: reports what was done, and says how it goes on.
    #[inline(never)]
    fn conclude(&mut self, end: &End, [at, count, done, esi, edi]: Args, left: u32) -> CallResult {
        let done_now = (count & MAX_BATCH).wrapping_sub(left);
        let reported = self.report_done(done, done_now, count & COUNT_RESUMED != 0);
        let must_finish = self.mmu.is_unfinished();
        match *end {
            End::Failed(why) if !must_finish => return Err(why),
            End::Done if !must_finish => return reported.map(|()| Outcome::Return(0)),
            _ => reported?,
        }
        let foreign = if let End::Failed(_) = end {
            FAILED
        } else {
            self.foreign.0
        };
        let next = at.wrapping_add(done_now * REQUEST_BYTES);
        let state = COUNT_RESUMED | u32::from(foreign) << COUNT_FOREIGN_SHIFT | left;
        Ok(Outcome::Again([next, state, done, esi, edi]))
    }

    /// Adds what this stretch did to the guest's counter of requests done.
    fn report_done(&self, counter: u32, done: u32, is_resumed: bool) -> Result<(), HvError> {
        if counter != 0 {
            let counter = GuestPtr::<u32>::new(counter)?;
            let before = if is_resumed {
                counter.read(self.mmu.platform)?
            } else {
                0
            };
            counter.write(self.mmu.platform, &before.wrapping_add(done))?;
        }
        Ok(())
    }

    /// The frame becomes the guest's frame `val`, in the table that all may read.
    fn machphys(&mut self, request: MmuUpdate) -> Result<(), MmError> {
        let pfn = u32::try_from(request.val).map_err(|_| MmError::BadRequest)?;
        let owner = self.target_domain()?;
        self.mmu.set_machine_to_phys(request.ptr >> 12, pfn, owner)
    }
}
