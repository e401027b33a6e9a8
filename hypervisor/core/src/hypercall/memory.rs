//! Call 12, `dom_mem_op`: frames to and from a domain's reservation.
//!
//! The call never fails once its arguments are good: it answers how many extents it completed. It pauses when
//! work waits; the first extent still to do travels in the command register's upper bits, and how far an extent
//! of several frames was given back in those of the order.
//!
//! Source: Xen 2.0 interface: do_dom_mem_op.

use super::{Args, CallResult};
use crate::{
    context::Context,
    domain::DomId,
    error::HvError,
    guest_mem::GuestPtr,
    mm::{MAX_ORDER, Mmu, Preempted, Stop},
    outcome::Outcome,
    platform::Platform,
};
use guest_abi::{
    addr::Mfn,
    memory::{MAX_EXTENTS, MemoryCmd, pack, unpack},
};

/// Where the order register says how many frames of the first extent are given back already.
const PROGRESS_SHIFT: u32 = 16;
/// Entry checks that giving one frame back counts for.
const FREE_COST: u32 = 6;
/// Frames whose owner is looked at for the price of one.
const LOOKED_AT_PER_CHECK: u32 = 4;

/// A list of extents and whose they are.
#[derive(Clone, Copy)]
struct Extents {
    list: u32,
    owner: DomId,
    order: u32,
}

impl Extents {
    /// Where extent `index` is listed.
    fn entry(self, index: u32) -> Result<GuestPtr<u32>, HvError> {
        let offset = index.checked_mul(4).ok_or(HvError::Fault)?;
        Ok(GuestPtr::new(
            self.list.checked_add(offset).ok_or(HvError::Fault)?,
        )?)
    }
}

/// Why no more extents are done.
enum Halt {
    Paused { progress: u32 },
    Over,
}

/// Call 12, `dom_mem_op(op, list, extents, order, domain)`.
///
/// # Errors
/// [`HvError::Invalid`] for a first extent beyond the list or too long a list, [`HvError::Denied`],
/// [`HvError::NoSuchDomain`], [`HvError::NotImplemented`]; all before anything is done.
pub fn dom_mem_op<P: Platform>(
    cx: &mut Context<'_, P>,
    [op, list, count, order, domain]: Args,
) -> CallResult {
    let (command, first) = unpack(op);
    if first > count || count > MAX_EXTENTS {
        return Err(HvError::Invalid);
    }
    let owner = subject(cx, domain)?;
    let progress = order >> PROGRESS_SHIFT;
    let order = order & ((1 << PROGRESS_SHIFT) - 1);
    let may_have_blocks = order == 0 || cx.current_domain().drives_devices();
    let is_increase = match command {
        MemoryCmd::INCREASE_RESERVATION => true,
        MemoryCmd::DECREASE_RESERVATION => false,
        _ => return Err(HvError::NotImplemented),
    };
    let mut mmu = Mmu::new(cx.hv, cx.platform);
    let again = |index, progress| {
        Ok(Outcome::Again([
            pack(command, index),
            list,
            count,
            order | progress << PROGRESS_SHIFT,
            domain,
        ]))
    };
    if mmu.finish().is_err() {
        return again(first, progress);
    }
    if order > MAX_ORDER || (is_increase && !may_have_blocks) {
        return Ok(Outcome::Return(first));
    }
    let extents = Extents { list, owner, order };
    let mut progress = progress;
    for index in first..count {
        let result = if is_increase {
            increase(&mut mmu, extents, index)
        } else {
            decrease(&mut mmu, extents, index, progress)
        };
        match result {
            Ok(()) => progress = 0,
            Err(Halt::Paused { progress }) => return again(index, progress),
            Err(Halt::Over) => return Ok(Outcome::Return(index)),
        }
    }
    Ok(Outcome::Return(count))
}

/// The domain that `register` names.
fn subject<P: Platform>(cx: &Context<'_, P>, register: u32) -> Result<DomId, HvError> {
    let caller = cx.current_domain();
    if register == u32::from(DomId::SELF.0) {
        return Ok(caller.id);
    }
    if !caller.is_privileged {
        return Err(HvError::Denied);
    }
    let id = u16::try_from(register)
        .map(DomId)
        .map_err(|_| HvError::NoSuchDomain)?;
    cx.hv.slot_of(id).map(|_| id).ok_or(HvError::NoSuchDomain)
}

/// Allocates extent `index` and lists it, if it can be listed.
fn increase<P: Platform>(mmu: &mut Mmu<'_, P>, extents: Extents, index: u32) -> Result<(), Halt> {
    mmu.reserve(2)?;
    let entry = extents.entry(index).map_err(|_| Halt::Over)?;
    // Whether the extent can be listed is found out first: to free a block again would take long.
    let old = entry.read(mmu.platform).map_err(|_| Halt::Over)?;
    entry.write(mmu.platform, &old).map_err(|_| Halt::Over)?;
    let mfn = mmu.allocate(extents.owner, extents.order)?;
    entry.write(mmu.platform, &mfn.raw()).map_err(|_| {
        // Nothing changed since, so this does not happen; the frames stay the domain's if it does.
        Halt::Over
    })
}

/// Gives extent `index` back, of which `done` frames are back already. All its frames must be the domain's
/// before the first one goes.
fn decrease<P: Platform>(mmu: &mut Mmu<'_, P>, extents: Extents, index: u32, done: u32) -> Result<(), Halt> {
    let frames: u32 = 1 << extents.order;
    mmu.reserve(2 + frames / LOOKED_AT_PER_CHECK)
        .map_err(|Preempted| Halt::Paused { progress: done })?;
    let entry = extents.entry(index).map_err(|_| Halt::Over)?;
    let first = entry.read(mmu.platform).map_err(|_| Halt::Over)?;
    // Frame numbers do not wrap, and neither does what a guest says of its progress.
    let (Some(start), Some(end)) = (first.checked_add(done), first.checked_add(frames)) else {
        return Err(Halt::Over);
    };
    if !(start..end).all(|n| mmu.is_allocated_to(n, extents.owner)) {
        return Err(Halt::Over);
    }
    for n in start..end {
        let freed = mmu.reserve(FREE_COST).map_err(Stop::from);
        freed
            .and_then(|()| mmu.free_allocation(Mfn::new(n), extents.owner))
            .map_err(|stop| match stop {
                Stop::Preempted => Halt::Paused { progress: n - first },
                Stop::Refused(_) => Halt::Over,
            })?;
    }
    Ok(())
}

impl From<Preempted> for Halt {
    fn from(_: Preempted) -> Self {
        Self::Paused { progress: 0 }
    }
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Preempted => Self::Paused { progress: 0 },
            Stop::Refused(_) => Self::Over,
        }
    }
}
