//! Mapping what was granted, and undoing it.

use super::{
    Halt, Refusal,
    active::{Active, Uses},
    books::{self, Grant},
    entry::{claim, settle},
    handles::{self, Handle},
    partner,
};
use crate::{
    domain::DomId,
    mm::{Granted, MmError, Mmu, Place, granted_entry},
    platform::{Fault, Platform},
};
use guest_abi::addr::Mfn;

/// Entry checks that mapping or unmapping counts for.
const COST: u32 = 8;

/// Where a host is to have a mapping, as a guest names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The page at a linear address of the running address space.
    Linear(u64),
    /// The L1 entry at a machine address.
    Entry(u64),
}

/// "Let me use that."
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Whose.
    pub granter: DomId,
    /// Which.
    pub reference: u32,
    /// How.
    pub uses: Uses,
    /// Where, for a host.
    pub target: Target,
    /// Further bits of the entry, from those that are a guest's to choose.
    pub flags: u64,
}

/// What the guest is told of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// Names it.
    pub handle: u32,
    /// The frame.
    pub frame: Mfn,
}

/// Maps a frame for the calling domain. Whether translations must be flushed: something else was mapped there.
///
/// # Errors
/// A refusal; or the answer could not be written; nothing has changed. Or a pause.
#[inline(always)]
pub fn map<P: Platform>(
    mmu: &mut Mmu<'_, P>,
    request: Request,
    answer: impl FnOnce(Mapped) -> Result<(), Fault>,
) -> Result<bool, Halt> {
    let caller = mmu.hv.current;
    map_for(mmu, caller, request, answer).inspect_err(|why| {
        // A frame of handles was made for nothing. (After a pause the same call goes on with it.)
        if *why != Halt::Preempted {
            books::drop_fresh_handles(mmu, caller);
        }
    })
}

#[inline(always)]
fn map_for<P: Platform>(
    mmu: &mut Mmu<'_, P>,
    caller: usize,
    request: Request,
    answer: impl FnOnce(Mapped) -> Result<(), Fault>,
) -> Result<bool, Halt> {
    mmu.reserve(COST)?;
    let platform = mmu.platform;
    let caller_id = mmu.caller().id;
    if !request.uses.intersects(Uses::HOST.union(Uses::DEVICE)) {
        return Err(Refusal::NoSuchReference.into());
    }
    let slot = partner(mmu.hv, request.granter)?;
    let place = if request.uses.contains(Uses::HOST) {
        Some(find(mmu, request.target, caller_id).ok_or(Refusal::BadAddress)?)
    } else {
        None
    };
    let number = handles::free(mmu, caller)?;
    let granter = books::domain(mmu, slot);
    let owner = granter.id;
    let grant = granter
        .grants
        .get(platform, request.reference)
        .ok_or(Refusal::NoSuchReference)?;
    let before = grant.active(platform);
    let is_write = !request.uses.contains(Uses::READ_ONLY);
    let in_use = before.is_used().then(|| before.frame());
    let frame = claim(&grant.entry(platform), caller_id, is_write, in_use)?;
    let Some(after) = before.with(frame, request.uses) else {
        return Err(give_up(mmu, grant, before, Refusal::TooManyUses.into()));
    };
    // Mostly all can be taken at once.
    let is_first_writer = request.uses.contains(Uses::HOST) && is_write && !before.is_used();
    if !is_first_writer || !mmu.hold_for_first_writer(frame, owner) {
        if let Err(why) = take(mmu, owner, before, after) {
            return Err(give_up(mmu, grant, before, Refusal::BadFrame(why).into()));
        }
        if place.is_some()
            && let Err(why) = take_entry(mmu, owner, frame, is_write)
        {
            release(mmu, after, before);
            return Err(give_up(mmu, grant, before, Refusal::BadFrame(why).into()));
        }
    }
    let mapped = Mapped {
        handle: number,
        frame: Mfn::new(frame),
    };
    if let Err(fault) = answer(mapped) {
        if place.is_some() {
            release_entry(mmu, frame, is_write);
        }
        release(mmu, after, before);
        return Err(give_up(mmu, grant, before, fault.into()));
    }
    grant.set_active(platform, after);
    let handle = Handle {
        slot,
        reference: request.reference,
        uses: request.uses,
        place: place.unwrap_or(Place {
            table: Mfn::new(0),
            index: 0,
        }),
        is_by_address: matches!(request.target, Target::Entry(_)),
    };
    books::of(mmu, caller).take(platform, number, handle);
    Ok(match place {
        Some(place) => mmu.set_granted(place, granted_entry(frame, is_write, request.flags)),
        None => false,
    })
}

/// Undoes mapping `number` of the calling domain: that of the host, if `target` names its place, and that of devices, if
/// `device` is the address of the frame. 0 leaves either as it is. Whether translations must be flushed.
///
/// # Errors
/// No such mapping, another place, another frame; or the answer could not be written; nothing has changed. Or a pause.
#[inline(always)]
pub fn unmap<P: Platform>(
    mmu: &mut Mmu<'_, P>,
    number: u32,
    target: u64,
    device: u64,
    answer: impl FnOnce() -> Result<(), Fault>,
) -> Result<bool, Halt> {
    mmu.reserve(COST)?;
    let platform = mmu.platform;
    let caller = mmu.hv.running();
    let (slot, id) = (mmu.hv.current, caller.id);
    let handle = caller
        .grants
        .handle(platform, number)
        .ok_or(Refusal::NoSuchHandle)?;
    let mut over = Uses::empty();
    let grant = grant_of(mmu, handle);
    let before = grant.active(platform);
    let frame = before.frame();
    if device != 0 && handle.uses.contains(Uses::DEVICE) {
        if device != Mfn::new(frame).addr().raw() {
            return Err(Refusal::BadDeviceAddress.into());
        }
        over |= Uses::DEVICE;
    }
    let mut left = Granted::Gone;
    if target != 0 && handle.uses.contains(Uses::HOST) {
        left = mmu.look_for_granted(handle.place, frame, id);
        // What is in reach of nobody has no address.
        if left == Granted::Mapped && !is_at(mmu, handle, target) {
            return Err(Refusal::BadAddress.into());
        }
        over |= Uses::HOST;
    }
    answer()?;
    let is_last_writer =
        over.contains(Uses::HOST) && handle.uses == over && before.without(over) == Active::NONE;
    let mut is_released = false;
    if left != Granted::Gone {
        if is_last_writer {
            is_released = mmu.clear_last_granted(handle.place, frame);
        } else {
            mmu.clear_granted(handle.place);
        }
    }
    give_back_uses(mmu, (slot, number, handle), grant, before, over, is_released);
    // What the guest itself dropped may be cached as well.
    Ok(over.contains(Uses::HOST))
}

/// The grant that a handle names.
#[inline(always)]
pub(super) fn grant_of<P: Platform>(mmu: &mut Mmu<'_, P>, handle: Handle) -> Grant {
    let platform = mmu.platform;
    books::of(mmu, handle.slot)
        .get(platform, handle.reference)
        .expect("a grant in use is in a table")
}

/// Gives back the uses `over` of mapping `number` of the domain in `slot`, whose entry is gone, and the handle with the
/// last.
pub(super) fn forget<P: Platform>(
    mmu: &mut Mmu<'_, P>,
    slot: usize,
    number: u32,
    handle: Handle,
    over: Uses,
) {
    let grant = grant_of(mmu, handle);
    let before = grant.active(mmu.platform);
    give_back_uses(mmu, (slot, number, handle), grant, before, over, false);
}

/// [`forget`], where grant and word were looked up already, and what the grant held perhaps given back.
#[inline(always)]
fn give_back_uses<P: Platform>(
    mmu: &mut Mmu<'_, P>,
    (slot, number, handle): (usize, u32, Handle),
    grant: Grant,
    before: Active,
    over: Uses,
    is_released: bool,
) {
    if over.is_empty() {
        return;
    }
    let platform = mmu.platform;
    let after = before.without(over | handle.uses & Uses::READ_ONLY);
    grant.set_active(platform, after);
    if !is_released {
        release(mmu, before, after);
    }
    settle(&grant.entry(platform), after.is_used(), after.is_written());
    let left = handle.uses.difference(over);
    if left.intersects(Uses::HOST | Uses::DEVICE) {
        books::of(mmu, slot).change(platform, number, Handle { uses: left, ..handle });
    } else {
        books::of(mmu, slot).give_back(platform, number);
    }
}

/// The entry that `target` names.
#[inline(always)]
fn find<P: Platform>(mmu: &Mmu<'_, P>, target: Target, owner: DomId) -> Option<Place> {
    match target {
        Target::Linear(at) => mmu.place_at(at),
        Target::Entry(at) => mmu.place_in_table(at, owner),
    }
}

/// Whether `target` names the place of the mapping, as the guest named it at first.
#[inline(always)]
fn is_at<P: Platform>(mmu: &Mmu<'_, P>, handle: Handle, target: u64) -> bool {
    if handle.is_by_address {
        target == handle.place.address()
    } else {
        mmu.place_at(target) == Some(handle.place)
    }
}

/// Takes what a grant must hold of a frame of `owner` so that its word may go from `before` to `after`.
#[inline(always)]
pub(super) fn take<P: Platform>(
    mmu: &mut Mmu<'_, P>,
    owner: DomId,
    before: Active,
    after: Active,
) -> Result<(), MmError> {
    let frame = after.frame();
    if !before.is_used() {
        mmu.hold(frame, owner)?;
    }
    if after.is_written()
        && !before.is_written()
        && let Err(why) = mmu.hold_writable(frame, owner)
    {
        if !before.is_used() {
            mmu.let_go(frame);
        }
        return Err(why);
    }
    Ok(())
}

/// Gives back what a grant held as `more` and not as `less`.
#[inline(always)]
pub(super) fn release<P: Platform>(mmu: &mut Mmu<'_, P>, more: Active, less: Active) {
    let frame = more.frame();
    if more.is_written() && !less.is_written() {
        mmu.let_go_writable(frame);
    }
    if more.is_used() && !less.is_used() {
        mmu.let_go(frame);
    }
}

/// Takes what an entry holds.
#[inline(always)]
fn take_entry<P: Platform>(
    mmu: &mut Mmu<'_, P>,
    owner: DomId,
    frame: u32,
    is_write: bool,
) -> Result<(), MmError> {
    if is_write {
        mmu.hold_writable(frame, owner)
    } else {
        mmu.hold(frame, owner)
    }
}

fn release_entry<P: Platform>(mmu: &mut Mmu<'_, P>, frame: u32, is_write: bool) {
    if is_write {
        mmu.let_go_writable(frame);
    } else {
        mmu.let_go(frame);
    }
}

/// Makes the flags of a claimed entry those of its word again.
#[cold]
#[inline(never)]
pub(super) fn give_up<P: Platform>(mmu: &Mmu<'_, P>, grant: Grant, word: Active, why: Halt) -> Halt {
    settle(&grant.entry(mmu.platform), word.is_used(), word.is_written());
    why
}
