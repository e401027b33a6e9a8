//! Frames of devices: who has which.

use super::{MAX_RANGES, Ranges, RightHalt, given::clear_of_mappings, is_given};
use crate::{error::HvError, hypervisor::Hypervisor, platform::Platform};
use core::ops::Range;

/// Gives the domain in `slot` the I/O frames, or takes them.
///
/// # Errors
/// [`HvError::Invalid`] for frames that are no device's or that nobody may have, and for a range to be taken that was not
/// given like that; [`HvError::Denied`] for the console's screen, to anybody but the owner of the devices; [`HvError::Busy`] for frames that another domain has or maps, and for frames to be taken that it maps itself;
/// [`HvError::NoMemory`] for too many ranges. Or a pause.
pub fn allow_frames<P: Platform>(
    hv: &mut Hypervisor,
    platform: &P,
    slot: usize,
    frames: Range<u64>,
    is_allowed: bool,
) -> Result<(), RightHalt> {
    let (start, end) = (frames.start, frames.end);
    let range = u32::try_from(start).ok().zip(u32::try_from(end).ok());
    let range = range.filter(|_| start < end).ok_or(HvError::Invalid)?;
    if is_allowed && !hv.mm.is_device(frames) {
        return Err(HvError::Invalid.into());
    }
    let has_screen = on_screen(hv, &(start..end));
    let domain = hv.domain_in(slot).ok_or(HvError::NoSuchDomain)?;
    let is_given = is_given(domain);
    if is_allowed && is_given && has_screen {
        return Err(HvError::Denied.into());
    }
    let known = domain.io.frames.iter().position(|known| *known == range);
    let before = wanted(hv, slot);
    match known {
        Some(_) if is_allowed => return Ok(()),
        None if !is_allowed => return Err(HvError::Invalid.into()),
        None if domain.io.frames.len() == MAX_RANGES => return Err(HvError::NoMemory.into()),
        _ => {}
    }
    let changed = Ranges::from_iter([range]);
    if hv.given.is_taken(slot, &changed) {
        return Err(HvError::Busy.into());
    }
    if is_allowed && is_given && !hv.given.has_room(slot, &with(&before, range)) {
        return Err(HvError::NoMemory.into());
    }
    if is_given {
        clear_of_mappings(hv, platform, slot, &changed, !is_allowed)?;
    }
    let domain = hv.domain_at(slot).ok_or(HvError::NoSuchDomain)?;
    match known {
        Some(index) => drop(domain.io.frames.swap_remove(index)),
        None => domain.io.frames.push(range),
    }
    if is_given {
        settle_frames(hv, slot);
    }
    Ok(())
}

/// Whether the console's screen is among these frames.
pub(crate) fn on_screen(hv: &Hypervisor, frames: &Range<u64>) -> bool {
    hv.screen
        .as_ref()
        .is_some_and(|screen| screen.start < frames.end && frames.start < screen.end)
}

fn with(ranges: &Ranges, more: (u32, u32)) -> Ranges {
    let mut all = ranges.clone();
    let _ = all.try_push(more);
    all
}

/// All frames that the domain in `slot` has, those of functions on their way back included.
pub(crate) fn wanted(hv: &Hypervisor, slot: usize) -> Ranges {
    let mut all = Ranges::new();
    let Some(domain) = hv.domain_in(slot) else {
        return all;
    };
    let of_functions = domain.io.functions.iter().flat_map(|held| held.ranges());
    for range in domain.io.frames.iter().copied().chain(of_functions) {
        if !all.contains(&range) {
            let _ = all.try_push(range);
        }
    }
    all
}

/// Whether `ranges` could be all that the domain in `slot` has.
///
/// # Errors
/// [`HvError::Busy`]: another domain has some; [`HvError::NoMemory`].
pub(crate) fn room_for(hv: &Hypervisor, slot: usize, ranges: &Ranges) -> Result<(), HvError> {
    if hv.given.is_taken(slot, ranges) {
        Err(HvError::Busy)
    } else if hv.given.has_room(slot, ranges) {
        Ok(())
    } else {
        Err(HvError::NoMemory)
    }
}

/// Notes what the domain in `slot` has now.
pub(crate) fn settle_frames(hv: &mut Hypervisor, slot: usize) {
    let ranges = wanted(hv, slot);
    hv.given.set_frames(slot, &ranges);
}
