//! Functions that were given to domains: direct assignment.
//!
//! Who holds a function reaches its registers, its ports and frames, and its line; nobody else does, the owner of the devices included, who may
//! only look at its configuration. It is given to one domain at a time, and not while somebody else maps its registers.
//!
//! * Its holder cannot move it, nor have it ask by messages ([`registers`]).
//! * It is master of the bus only if it was given like that. One that is reaches all of memory, as nothing here translates its
//!   addresses: who gives such a function trusts the domain with the machine.
//! * A frame in which another function has registers too is its holder's when he holds all of them, and nobody's before.
//! * The screen that the console is on stays the hypervisor's: its function is given to nobody.
//! * It shares its line without being able to hold it ([`lines`]).
//!
//! ```text
//!   owner's ── give ──► held ── take, or its holder dies ──► leaving ── reset over ──► owner's
//!              stopped                                       stopped, reset
//! ```
//!
//! Stopped is before anything else: when a holder's memory is freed the device writes to none of it any more.
//!
//! Source: Xen 2.0 interface (direct device assignment), but: no privilege comes with a device, and it can be taken back;
//! PCI Local Bus Specification 3.0, chapter 6.2.

mod caps;
mod held;
mod lines;
mod registers;

pub(crate) use self::lines::{mute, mute_asking, others_on_line, owner_is_on_line};
pub use self::{
    held::{Assigned, MAX_REGIONS},
    lines::can_be_muted,
};
use super::{Function, Register, exists};
use crate::{
    error::HvError,
    event,
    hypervisor::Hypervisor,
    io_rights::{self, Ranges, RightHalt, given::clear_of_mappings},
    platform::Platform,
};
use arrayvec::ArrayVec;
use core::ops::Range;

/// Functions that one domain can be given.
pub const MAX_FUNCTIONS: usize = 4;
const CLASS: Register = Register { offset: 0x0B, len: 1 };
const CLASS_BRIDGE: u32 = 6;
/// Class and subclass.
const KIND: Register = Register { offset: 0x0A, len: 2 };
/// An adapter that answers at the places of VGA.
const KIND_VGA: u32 = 0x0300;
/// These places.
const VGA_FRAMES: Range<u64> = 0xA0..0xC0;

/// Gives `function` to the domain in `slot`, with its ports, frames and line; with `has_dma` it may be master of the bus.
///
/// # Errors
/// [`HvError::NoDevice`]; [`HvError::Denied`] for a bridge, and for the screen that the console is on; [`HvError::Busy`] for a function that a domain holds, whose ports or frames
/// another has or maps, or whose line is the hypervisor's, another's alone, or shared though it cannot be silenced;
/// [`HvError::Invalid`] where its ports or frames are such as nobody is given, and for a domain that owns the devices anyway;
/// [`HvError::NoMemory`]. Nothing is given then. Or a pause.
pub fn give<P: Platform>(
    hv: &mut Hypervisor,
    platform: &P,
    slot: usize,
    function: Function,
    has_dma: bool,
) -> Result<(), RightHalt> {
    if !exists(platform, function) {
        return Err(HvError::NoDevice.into());
    }
    let domain = hv.domain_in(slot).ok_or(HvError::NoSuchDomain)?;
    if domain.has_devices {
        return Err(HvError::Invalid.into());
    }
    let is_plain = platform.read_pci(function, Register::HEADER_TYPE) & 0x7F == 0;
    if !is_plain || platform.read_pci(function, CLASS) == CLASS_BRIDGE {
        return Err(HvError::Denied.into());
    }
    if hv.given.holder(function).is_some() {
        return Err(HvError::Busy.into());
    }
    if hv.given.is_full() || domain.io.functions.is_full() {
        return Err(HvError::NoMemory.into());
    }
    let assigned = Assigned::examine(platform, function, has_dma);
    if has_screen(hv, platform, &assigned) {
        return Err(HvError::Denied.into());
    }
    check_places(hv, platform, slot, &assigned)?;
    check_line(hv, platform, slot, &assigned)?;
    // The frames that the domain will have, and those of them that are new to it.
    let before = io_rights::wanted(hv, slot);
    push(hv, platform, slot, assigned.clone());
    let after = io_rights::wanted(hv, slot);
    let new: Ranges = after
        .iter()
        .filter(|range| !before.contains(range))
        .copied()
        .collect();
    let is_clear = io_rights::room_for(hv, slot, &after)
        .map_err(RightHalt::from)
        .and_then(|()| clear_of_mappings(hv, platform, slot, &new, false))
        .and_then(|()| {
            Ok(io_rights::prepare_ports_if(
                hv,
                platform,
                slot,
                assigned.ports().next().is_some(),
            )?)
        });
    if let Err(why) = is_clear {
        remove(hv, platform, slot, function);
        return Err(why);
    }
    // Nothing fails from here on.
    if let Some(held) = held_at(hv, slot, function) {
        held.quiet(platform);
        held.prepare(platform);
    }
    for ports in assigned.ports() {
        let _ = io_rights::allow_ports(hv, platform, slot, ports, true);
    }
    io_rights::settle_frames(hv, slot);
    if let Some(line) = assigned.line {
        io_rights::settle_line(hv, platform, line.into());
        let is_bound = hv.lines.sharers(line).any(|(sharer, _)| sharer == slot);
        if is_bound {
            mute(hv, platform, slot, line, false);
        }
    }
    Ok(())
}

/// Whether the console is on a screen that the function shows.
fn has_screen<P: Platform>(hv: &Hypervisor, platform: &P, assigned: &Assigned) -> bool {
    let is_vga = platform.read_pci(assigned.function, KIND) == KIND_VGA;
    let legacy = is_vga.then_some(VGA_FRAMES);
    assigned
        .all_frames()
        .chain(legacy)
        .any(|frames| io_rights::on_screen(hv, &frames))
}

/// Whether the ports and frames can be a domain's, and are nobody else's.
fn check_places<P: Platform>(
    hv: &Hypervisor,
    platform: &P,
    slot: usize,
    assigned: &Assigned,
) -> Result<(), HvError> {
    let is_device = |frames: Range<u64>| u32::try_from(frames.end).is_ok() && hv.mm.is_device(frames);
    let may_be = assigned.all_frames().all(is_device)
        && assigned.ports().all(|ports| io_rights::may_be_given(hv, &ports));
    if !may_be {
        return Err(HvError::Invalid);
    }
    let are_free = assigned
        .ports()
        .all(|ports| io_rights::ports_are_free(hv, platform, slot, &ports));
    if are_free { Ok(()) } else { Err(HvError::Busy) }
}

/// Whether the domain in `slot` can have the line.
fn check_line<P: Platform>(
    hv: &Hypervisor,
    platform: &P,
    slot: usize,
    assigned: &Assigned,
) -> Result<(), HvError> {
    let Some(line) = assigned.line else { return Ok(()) };
    if hv.lines.is_own(line) {
        return Err(HvError::Busy);
    }
    let others = || io_rights::has_line(hv, line.into()).filter(|&other| other != slot);
    let is_shared = others().next().is_some()
        || others_on_line(hv, platform, slot, line.into()).any(|other| other != assigned.function);
    let can_share = assigned.can_be_muted && others().all(|other| can_be_muted(hv, other, line));
    if is_shared && !can_share {
        return Err(HvError::Busy);
    }
    Ok(())
}

/// Takes `function` from the domain in `slot`, which may hold it or not, and what came with it. What else it holds keeps its
/// own.
///
/// # Errors
/// [`HvError::Busy`]: the domain still maps frames that would go; nothing is taken. Or a pause: the device needs time.
pub fn take<P: Platform>(
    hv: &mut Hypervisor,
    platform: &P,
    slot: usize,
    function: Function,
) -> Result<(), RightHalt> {
    let Some(held) = held_at(hv, slot, function).map(|held| held.clone()) else {
        return Ok(());
    };
    if held.is_here() {
        let before = io_rights::wanted(hv, slot);
        remove(hv, platform, slot, function);
        let after = io_rights::wanted(hv, slot);
        push(hv, platform, slot, held);
        let gone: Ranges = before
            .iter()
            .filter(|range| !after.contains(range))
            .copied()
            .collect();
        clear_of_mappings(hv, platform, slot, &gone, true)?;
        begin_leaving(hv, platform, slot, function);
    }
    finish_leaving(hv, platform, slot, function)
}

/// Stops every device that the domain in `slot`, which dies, holds.
pub fn begin_taking_all<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize) {
    let functions = functions_of(hv, slot);
    for function in functions {
        begin_leaving(hv, platform, slot, function);
    }
}

/// Gives what [`begin_taking_all`] has stopped back to the owner of the devices.
///
/// # Errors
/// A pause: a device needs time.
pub fn finish_taking_all<P: Platform>(
    hv: &mut Hypervisor,
    platform: &P,
    slot: usize,
) -> Result<(), RightHalt> {
    for function in functions_of(hv, slot) {
        finish_leaving(hv, platform, slot, function)?;
    }
    Ok(())
}

fn functions_of(hv: &Hypervisor, slot: usize) -> ArrayVec<Function, MAX_FUNCTIONS> {
    let domain = hv.domain_in(slot);
    domain
        .into_iter()
        .flat_map(|domain| &domain.io.functions)
        .map(Assigned::function)
        .collect()
}

fn held_at(hv: &mut Hypervisor, slot: usize, function: Function) -> Option<&mut Assigned> {
    let held = &mut hv.domain_at(slot)?.io.functions;
    held.iter_mut().find(|one| one.function == function)
}

/// Adds a function to what the domain in `slot` holds.
fn push<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize, assigned: Assigned) {
    hv.given.note(assigned.function, Some(slot));
    if let Some(domain) = hv.domain_at(slot) {
        let held = &mut domain.io.functions;
        let at = held.partition_point(|one| one.function < assigned.function);
        held.insert(at, assigned);
    }
    settle(hv, platform, slot);
}

fn remove<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize, function: Function) {
    hv.given.note(function, None);
    if let Some(domain) = hv.domain_at(slot) {
        domain.io.functions.retain(|one| one.function != function);
    }
    settle(hv, platform, slot);
}

/// Says anew which frames the domain in `slot` does not get because others have registers there.
fn settle<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize) {
    let buses = hv.pci_buses;
    let Some(domain) = hv.domain_at(slot) else { return };
    let held = &mut domain.io.functions;
    let ours: ArrayVec<Function, MAX_FUNCTIONS> = held
        .iter()
        .filter(|one| one.is_here())
        .map(Assigned::function)
        .collect();
    for one in held.iter_mut().filter(|one| one.is_here()) {
        one.settle(platform, &buses, |other| ours.contains(&other));
    }
}

/// The function is its holder's no more: stopped, without ports or line.
fn begin_leaving<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize, function: Function) {
    let now_ns = platform.now_ns();
    let Some(held) = held_at(hv, slot, function).filter(|held| held.is_here()) else {
        return;
    };
    held.quiet(platform);
    let ready_at = now_ns.saturating_add(held.begin_reset(platform));
    let held = held.clone();
    if let Some(domain) = hv.domain_at(slot) {
        domain.io.ready_at = domain.io.ready_at.max(ready_at);
    }
    settle(hv, platform, slot);
    for ports in held.ports() {
        let _ = io_rights::allow_ports(hv, platform, slot, ports, false);
    }
    let is_still = |line: u8| {
        hv.domain_in(slot)
            .is_some_and(|domain| domain.io.may_bind(line.into()))
    };
    if let Some(line) = held.line.filter(|&line| !is_still(line)) {
        event::close_line(hv, platform, slot, line);
    }
}

/// The function is the owner's again.
///
/// # Errors
/// A pause: it is not ready yet.
fn finish_leaving<P: Platform>(
    hv: &mut Hypervisor,
    platform: &P,
    slot: usize,
    function: Function,
) -> Result<(), RightHalt> {
    let ready_at = hv.domain_in(slot).map(|domain| domain.io.ready_at);
    if ready_at.is_some_and(|time| platform.now_ns() < time) {
        return Err(RightHalt::Preempted);
    }
    let Some(held) = held_at(hv, slot, function) else {
        return Ok(());
    };
    held.end_reset(platform);
    let line = held.line;
    remove(hv, platform, slot, function);
    io_rights::settle_frames(hv, slot);
    if let Some(line) = line {
        io_rights::settle_line(hv, platform, line.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
