//! Calls 1, 14 and 22: page tables.
//!
//! Nearly every request of a batch (call 1) replaces an L1 entry by another one for a page in ordinary use. Those are done in
//! a loop of their own, which leaves everything else to [`batch`].
//!
//! Source: Xen 2.0 interface: do_mmu_update, do_update_va_mapping, do_update_va_mapping_otherdomain.

mod batch;
mod extended;

use self::extended::Simple;
use super::{Args, CallResult};
use crate::{
    context::Context,
    domain::DomId,
    error::HvError,
    guest_mem::{GuestPtr, in_guest_range},
    mm::{MmError, Mmu, Owner},
    outcome::Outcome,
    platform::Platform,
};
use guest_abi::{
    addr::GuestVirt,
    mmu::{COMMAND_MASK, Command, MAX_BATCH, MmuUpdate, Pte, UVM_PAGE_LIMIT, UvmFlags},
};

/// Entry checks that one request counts for beside those of its own.
const REQUEST_COST: u32 = 3;
/// Requests that are accounted for at a time.
const GROUP: u32 = 64;
const REQUEST_BYTES: u32 = size_of::<MmuUpdate>() as u32;

/// Call 1, `mmu_update(requests, count, done)`.
///
/// # Errors
/// [`HvError::Invalid`] for too large a count or a refused request; [`HvError::Fault`]. The requests before a bad one
/// are done.
#[inline(always)]
pub fn mmu_update<P: Platform>(cx: &mut Context<'_, P>, args: Args) -> CallResult {
    let [at, count, done, ..] = args;
    if count != 1 {
        return several(cx, args);
    }
    if !in_guest_range(at, REQUEST_BYTES) || (done != 0 && !in_guest_range(done, 4)) {
        return Err(HvError::Fault);
    }
    let mut mmu = Mmu::new(cx.hv, cx.platform);
    let caller = mmu.caller().id;
    let Ok(request) = mmu.platform.read::<MmuUpdate>(GuestVirt::new(at)) else {
        return Err(HvError::Fault);
    };
    if mmu.has_unfinished() {
        return one_by_long_way(cx, args);
    }
    if request.command() == Command::NORMAL_PT_UPDATE {
        // No closure: a function of its own would cost a call.
        let is_done = match mmu.own_l1(request.ptr >> 12, caller) {
            Some(words) => mmu.write_l1(words, index_in_table(request), request.val, caller),
            None => false,
        };
        if !is_done {
            return one_by_long_way(cx, args);
        }
        read_again(cx.platform, at, request);
    } else {
        match extended::simple(&mut mmu, request) {
            Simple::Done | Simple::Flushed => {}
            Simple::Flush => mmu.flush(),
            Simple::Other => return one_by_long_way(cx, args),
        }
    }
    if done != 0 {
        GuestPtr::new(done)?.write(cx.platform, &count)?;
    }
    Ok(Outcome::Return(0))
}

/// A batch of one request that the short way has not done. It has a working state of its own: that of the short way need
/// not lie in memory.
#[cold]
#[inline(never)]
fn one_by_long_way<P: Platform>(cx: &mut Context<'_, P>, args: Args) -> CallResult {
    batch::start(Mmu::new(cx.hv, cx.platform), args, 0, false)
}

/// A batch of another length than one.
#[inline(never)]
fn several<P: Platform>(cx: &mut Context<'_, P>, args: Args) -> CallResult {
    let [mut at, count, done, ..] = args;
    if count > MAX_BATCH {
        return batch::resume(cx, args);
    }
    if !in_guest_range(at, count * REQUEST_BYTES) || (done != 0 && !in_guest_range(done, 4)) {
        return Err(HvError::Fault);
    }
    let mut mmu = Mmu::new(cx.hv, cx.platform);
    let caller = mmu.caller().id;
    if mmu.has_unfinished() {
        return batch::start(mmu, args, 0, false);
    }
    let mut must_flush = false;
    // The table of the last request, known to be an L1 of the caller's: its frame's number, its words.
    let mut table = None;
    let end = at.wrapping_add(count * REQUEST_BYTES);
    while at != end {
        if mmu.reserve(GROUP * REQUEST_COST).is_err() {
            return batch::start(mmu, args, requests_before(at, args), must_flush);
        }
        let group_end = at.wrapping_add(end.wrapping_sub(at).min(GROUP * REQUEST_BYTES));
        while at != group_end {
            let Ok(request) = mmu.platform.read::<MmuUpdate>(GuestVirt::new(at)) else {
                return batch::start(mmu, args, requests_before(at, args), must_flush);
            };
            let is_done = if request.command() == Command::NORMAL_PT_UPDATE {
                let n = request.ptr >> 12;
                if !matches!(table, Some((known, _)) if known == n) {
                    table = mmu.own_l1(n, caller).map(|words| (n, words));
                }
                let index = index_in_table(request);
                table.is_some_and(|(_, words)| mmu.write_l1(words, index, request.val, caller))
            } else {
                // A new root may let go of any table.
                table = None;
                match extended::simple(&mut mmu, request) {
                    Simple::Done => true,
                    Simple::Other => false,
                    other => {
                        must_flush = matches!(other, Simple::Flush);
                        true
                    }
                }
            };
            if !is_done {
                return batch::start(mmu, args, requests_before(at, args), must_flush);
            }
            read_again(mmu.platform, at, request);
            at = at.wrapping_add(REQUEST_BYTES);
        }
    }
    if must_flush {
        mmu.flush();
    }
    if done != 0 {
        GuestPtr::new(done)?.write(mmu.platform, &count)?;
    }
    Ok(Outcome::Return(0))
}

/// How many requests of a batch lie before `at`.
const fn requests_before(at: u32, args: Args) -> u32 {
    at.wrapping_sub(args[0]) / REQUEST_BYTES
}

/// Which word of its frame the request names.
#[inline(always)]
const fn index_in_table(request: MmuUpdate) -> usize {
    (request.ptr >> 3 & 511) as usize
}

/// The mistake of reading a request twice: what was checked is not what is stored.
#[inline(always)]
fn read_again<P: Platform>(platform: &P, at: u32, checked: MmuUpdate) {
    if cfg!(feature = "mutant-double-fetch")
        && checked.ptr & COMMAND_MASK == 0
        && let Ok(again) = platform.read::<MmuUpdate>(GuestVirt::new(at))
        && again != checked
        && let Some(table) = Pte::from_raw(checked.ptr).mfn()
    {
        platform.write_entry(table, index_in_table(checked), again.val);
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
    let entry = Pte::from_low_high(low, high);
    if page >= UVM_PAGE_LIMIT || flags > UvmFlags::all().bits() {
        return Err(HvError::Invalid);
    }
    let at = GuestVirt::new(page << 12);
    let mut mmu = Mmu::new(cx.hv, cx.platform);
    let caller = mmu.caller().id;
    let is_done = match mmu.find_l1(at) {
        Some((table, index)) => mmu.write_l1(mmu.platform.words(table), index, entry.raw(), caller),
        None => false,
    };
    if !is_done {
        let mut mmu = Mmu::new(cx.hv, cx.platform);
        let owner = mmu.caller();
        return update_by_long_way(mmu, at, entry, flags, owner);
    }
    if flags == UvmFlags::INVLPG.bits() {
        mmu.platform.flush_page(at);
    } else if flags != 0 {
        mmu.flush();
    }
    Ok(Outcome::Return(0))
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
    if page >= UVM_PAGE_LIMIT || flags > UvmFlags::all().bits() {
        return Err(HvError::Invalid);
    }
    update_by_long_way(
        mmu,
        GuestVirt::new(page << 12),
        Pte::from_low_high(low, high),
        flags,
        owner,
    )
}

/// Changes the entry that maps `at`, and flushes what `flags` ask for even where that is refused.
#[cold]
#[inline(never)]
fn update_by_long_way<P: Platform>(
    mut mmu: Mmu<'_, P>,
    at: GuestVirt,
    entry: Pte,
    flags: u32,
    owner: Owner,
) -> CallResult {
    let result = match mmu.find_l1(at) {
        Some((table, index)) => mmu.update_l1(table, index, entry.raw(), owner),
        None => Err(MmError::NotMapped),
    };
    let flags = UvmFlags::from_bits_retain(flags);
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
