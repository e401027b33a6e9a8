//! Calls 1, 14 and 22: page tables.
//!
//! A batch (call 1) is read one request at a time and stops at the first that is refused; what was done before stays.
//! It pauses when work waits. What it has to remember then travels in its own argument registers: the rest of the
//! array, and in the count register a mark, the foreign domain in force, and how many are left. A guest that
//! forges these gets what it could have asked for by requests.
//!
//! A refused request may first have to give back much that it had taken. That pauses as well; the batch
//! then remembers by a foreign domain that cannot exist that it has failed.
//!
//! Source: Xen 2.0 interface: do_mmu_update, do_update_va_mapping, do_update_va_mapping_otherdomain.

use super::{Args, CallResult};
use crate::{
    context::Context,
    domain::DomId,
    error::HvError,
    guest_mem::{GuestPtr, in_guest_range},
    mm::{MmError, Mmu, Owner, Stop},
    outcome::Outcome,
    platform::Platform,
};
use guest_abi::{
    addr::GuestVirt,
    mmu::{
        COMMAND_MASK, COUNT_FOREIGN_MASK, COUNT_FOREIGN_SHIFT, COUNT_RESUMED, Command, ExtendedCommand,
        MAX_BATCH, MmuUpdate, Pte, UVM_PAGE_LIMIT, UvmFlags,
    },
};

mod extended;

/// Entry checks that one request counts for beside those of its own.
const REQUEST_COST: u32 = 3;
const REQUEST_BYTES: u32 = size_of::<MmuUpdate>() as u32;
/// In place of the foreign domain of a paused batch: it has failed.
const FAILED: u16 = DomId::NONE.0;

/// A batch under way.
struct Batch<'a, P: Platform> {
    mmu: Mmu<'a, P>,
    /// Owner of the tables that are edited.
    caller: Owner,
    /// Owner of the frames that are named: the foreign domain, or the caller.
    target: Owner,
    /// The foreign domain; [`DomId::SELF`]: none.
    foreign: DomId,
    /// What is to be done once at the end.
    deferred: Deferred,
}

#[derive(Default)]
struct Deferred {
    flush: bool,
    map_ldt: bool,
}

/// How a batch stopped.
enum End {
    Done,
    Paused,
    Failed(HvError),
}

/// Call 1, `mmu_update(requests, count, done)`.
///
/// # Errors
/// [`HvError::Invalid`] for too large a count or a refused request; [`HvError::Fault`]. The requests before a bad one
/// are done.
#[inline(always)]
pub fn mmu_update<P: Platform>(cx: &mut Context<'_, P>, [at, count, done, esi, edi]: Args) -> CallResult {
    let is_resumed = count & COUNT_RESUMED != 0;
    if !is_resumed && count > MAX_BATCH {
        return Err(HvError::Invalid);
    }
    let total = count & MAX_BATCH;
    if !in_guest_range(at, total * REQUEST_BYTES) {
        return Err(HvError::Fault);
    }
    let done = if done == 0 {
        None
    } else {
        Some(GuestPtr::<u32>::new(done)?)
    };
    let mut mmu = Mmu::new(cx.hv, cx.platform);
    let caller = mmu.caller();
    let mut batch = Batch {
        mmu,
        caller,
        target: caller,
        foreign: DomId::SELF,
        deferred: Deferred::default(),
    };
    let mut left = total;
    let end = match batch.begin(count) {
        Some(end) => end,
        None => batch.run(at, &mut left),
    };
    batch.run_deferred();
    let foreign = if matches!(end, End::Failed(_)) {
        FAILED
    } else {
        batch.foreign.0
    };
    let must_finish = batch.mmu.is_unfinished();
    let done_now = total.wrapping_sub(left);
    let reported = match done {
        Some(done) => report_done(cx, done, done_now, is_resumed),
        None => Ok(()),
    };
    match end {
        End::Failed(why) if !must_finish => Err(why),
        End::Done if !must_finish => reported.map(|()| Outcome::Return(0)),
        _ => {
            reported?;
            let next = at.wrapping_add(done_now * REQUEST_BYTES);
            let state = COUNT_RESUMED | u32::from(foreign) << COUNT_FOREIGN_SHIFT | left;
            Ok(Outcome::Again([
                next,
                state,
                done.map_or(0, |done| done.addr().raw()),
                esi,
                edi,
            ]))
        }
    }
}

/// Adds what this stretch did to the guest's counter of requests done.
#[inline(always)]
fn report_done<P: Platform>(
    cx: &Context<'_, P>,
    counter: GuestPtr<u32>,
    done: u32,
    is_resumed: bool,
) -> Result<(), HvError> {
    let before = if is_resumed { counter.read(cx.platform)? } else { 0 };
    counter.write(cx.platform, &before.wrapping_add(done))?;
    Ok(())
}

impl<P: Platform> Batch<'_, P> {
    /// Takes up what a pause left: work to finish, the foreign domain, the failure. Gives the end, where it has come.
    #[inline(always)]
    fn begin(&mut self, count: u32) -> Option<End> {
        let is_paused = self.mmu.finish().is_err();
        if count & COUNT_RESUMED != 0
            && let Some(end) = self.resume(count)
        {
            return Some(end);
        }
        is_paused.then_some(End::Paused)
    }

    #[cold]
    #[inline(never)]
    fn resume(&mut self, count: u32) -> Option<End> {
        let foreign = (count >> COUNT_FOREIGN_SHIFT & COUNT_FOREIGN_MASK) as u16;
        let is_good = match DomId(foreign) {
            DomId::SELF => true,
            DomId(FAILED) => false,
            id => self.set_foreign(id).is_ok(),
        };
        if is_good {
            None
        } else {
            Some(End::Failed(HvError::Invalid))
        }
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
            self.reread(at, request);
            at = at.wrapping_add(REQUEST_BYTES);
            *left = left.wrapping_sub(1);
            if self.mmu.is_unfinished() {
                return End::Paused;
            }
        }
        End::Done
    }

    #[cold]
    #[inline(never)]
    fn refuse(&self, request: MmuUpdate, why: MmError) -> End {
        log::debug!(target: crate::GUEST_LOG, "{}: {request:x?} refused: {why:?}", self.caller.id);
        End::Failed(HvError::Mm(why))
    }

    #[inline(always)]
    fn request(&mut self, request: MmuUpdate) -> Result<(), Stop> {
        match request.command() {
            Command::NORMAL_PT_UPDATE => {
                let index = (request.ptr >> 3 & 511) as usize;
                self.mmu
                    .write_word(request.ptr >> 12, index, request.val, self.caller, self.target)
            }
            Command::MACHPHYS_UPDATE => Ok(self.machphys(request)?),
            // The one command that guests issue all the time: no bit of `val` but the number.
            Command::EXTENDED if request.val == u64::from(ExtendedCommand::NEW_BASEPTR.raw()) => {
                self.new_base(request.ptr >> 12)
            }
            _ => self.extended(request),
        }
    }

    /// The frame becomes the guest's frame `val`, in the table that all may read.
    fn machphys(&mut self, request: MmuUpdate) -> Result<(), MmError> {
        let pfn = u32::try_from(request.val).map_err(|_| MmError::BadRequest)?;
        let owner = self.target_domain()?;
        self.mmu.set_machine_to_phys(request.ptr >> 12, pfn, owner)
    }

    /// The mistake of reading a request twice: what was checked is not what is stored.
    #[inline(always)]
    fn reread(&self, at: u32, checked: MmuUpdate) {
        if cfg!(feature = "mutant-double-fetch")
            && checked.ptr & COMMAND_MASK == 0
            && let Ok(again) = self.mmu.platform.read::<MmuUpdate>(GuestVirt::new(at))
            && again != checked
            && let Some(table) = Pte::from_raw(checked.ptr).mfn()
        {
            self.mmu
                .platform
                .write_entry(table, (checked.ptr >> 3 & 511) as usize, again.val);
        }
    }

    #[inline(always)]
    fn run_deferred(&mut self) {
        if self.deferred.flush {
            self.mmu.flush();
        }
        if self.deferred.map_ldt {
            // The first page is mapped at once. Should it not be fit, the guest learns by its first use.
            self.mmu.map_ldt_page(0);
        }
    }
}

/// Call 14, `update_va_mapping(page, entry low, entry high, flags)`: the entry that maps a page of the running address
/// space.
///
/// # Errors
/// [`HvError::Invalid`] for a page of the hypervisor's, unknown flags, no L1 there, or an entry that is refused. But for
/// the first two, what `flags` ask for is flushed all the same.
#[inline(always)]
pub fn update_va_mapping<P: Platform>(
    cx: &mut Context<'_, P>,
    [page, low, high, flags, _]: Args,
) -> CallResult {
    let mut mmu = Mmu::new(cx.hv, cx.platform);
    let owner = mmu.caller();
    update_mapping(mmu, page, Pte::from_low_high(low, high), flags, owner)
}

/// Call 22, `update_va_mapping_otherdomain(page, entry low, entry high, flags, domain)`: the same, with a page of another
/// domain.
///
/// # Errors
/// [`HvError::Denied`] to unprivileged callers; [`HvError::NoSuchDomain`]; those of call 14.
pub fn update_va_mapping_otherdomain<P: Platform>(
    cx: &mut Context<'_, P>,
    [page, low, high, flags, domain]: Args,
) -> CallResult {
    if !cx.current_domain().is_privileged {
        return Err(HvError::Denied);
    }
    let mut mmu = Mmu::new(cx.hv, cx.platform);
    let id = u16::try_from(domain).map_err(|_| HvError::NoSuchDomain)?;
    let owner = mmu
        .domain(DomId(id))
        .map(|domain| Owner::of(domain))
        .ok_or(HvError::NoSuchDomain)?;
    update_mapping(mmu, page, Pte::from_low_high(low, high), flags, owner)
}

#[inline(always)]
fn update_mapping<P: Platform>(
    mut mmu: Mmu<'_, P>,
    page: u32,
    entry: Pte,
    flags: u32,
    owner: Owner,
) -> CallResult {
    let flags = UvmFlags::from_bits(flags).ok_or(HvError::Invalid)?;
    if page >= UVM_PAGE_LIMIT {
        return Err(HvError::Invalid);
    }
    let at = GuestVirt::new(page << 12);
    let result = match mmu.find_l1(at) {
        Some((table, index)) => mmu.update_l1(table, index, entry.raw(), owner),
        None => Err(MmError::NotMapped),
    };
    if flags.contains(UvmFlags::FLUSH_TLB) {
        mmu.flush();
    } else if flags.contains(UvmFlags::INVLPG) {
        mmu.platform.flush_page(at);
    }
    match result {
        Ok(()) => Ok(Outcome::Return(0)),
        Err(why) => Err(HvError::Mm(why)),
    }
}
