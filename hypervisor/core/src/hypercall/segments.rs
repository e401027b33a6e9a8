//! Calls 2 and 10: the guest's descriptor tables. (The LDT is registered by call 1.)
//!
//! Source: Xen 2.0 interface: do_set_gdt, do_update_descriptor, with the machine address in two registers.

use super::{Args, CallResult};
use crate::{
    context::Context,
    error::HvError,
    guest_mem::GuestSlice,
    mm::{Kind, Mmu, Stop},
    outcome::Outcome,
    platform::Platform,
    segment::{check_descriptor, check_ordinary_descriptor, gdt},
};
use arrayvec::ArrayVec;
use guest_abi::{
    addr::MachAddr,
    segment::{DESCRIPTORS_PER_PAGE, Descriptor, MAX_GDT_ENTRIES, MAX_GDT_FRAMES},
};

/// Call 2, `set_gdt(frame list, entries)`.
///
/// # Errors
/// [`HvError::Invalid`] for a number of entries that is 0 or too large, and for a frame that cannot be one of
/// descriptors; [`HvError::Fault`].
pub fn set_gdt<P: Platform>(cx: &mut Context<'_, P>, args: Args) -> CallResult {
    let [list, entries, ..] = args;
    if entries == 0 || entries > MAX_GDT_ENTRIES {
        return Err(HvError::Invalid);
    }
    let list = GuestSlice::<u32>::new(list, entries.div_ceil(DESCRIPTORS_PER_PAGE))?;
    let mut frames = ArrayVec::<u32, MAX_GDT_FRAMES>::new();
    while let Some(entry) = list.get(frames.len() as u32) {
        frames.push(entry.read(cx.platform)?);
    }
    answer(gdt::replace(cx, &frames, entries), args)
}

/// Call 10, `update_descriptor(address low, address high, descriptor low, descriptor high)`: stores the descriptor,
/// its limit cut where it must be.
///
/// # Errors
/// [`HvError::Invalid`] for an address that is not one of a whole descriptor in a frame of the caller's which may
/// hold one, and for a descriptor that is not safe.
pub fn update_descriptor<P: Platform>(cx: &mut Context<'_, P>, args: Args) -> CallResult {
    let (address, descriptor) = unpack(args);
    if !address.raw().is_multiple_of(DESCRIPTOR_BYTES) {
        return Err(HvError::Invalid);
    }
    let judged = check_descriptor(descriptor.raw(), cx.hv.segment_limits)?;
    let index = address.page_offset() / DESCRIPTOR_BYTES as usize;
    let written = Mmu::new(cx.hv, cx.platform).write_descriptor(address.raw() >> 12, index, judged);
    answer(written, args)
}

/// The short way of [`update_descriptor`], into a page that is one of descriptors already: no use of it need be
/// taken for one store.
#[inline(always)]
pub fn update_descriptor_quickly<P: Platform>(cx: &mut Context<'_, P>, args: Args) -> Option<u32> {
    let (address, descriptor) = unpack(args);
    let (mfn, info) = cx.hv.mm.frames.lookup(address.raw() >> 12)?;
    let is_live =
        info.owner_word().is_owned_by(cx.hv.running().id) && info.type_word().is_valid(Kind::SegDesc);
    if !is_live || !address.raw().is_multiple_of(DESCRIPTOR_BYTES) {
        return None;
    }
    let judged = check_ordinary_descriptor(descriptor.raw(), cx.hv.segment_limits)?;
    cx.platform
        .write_entry(mfn, address.page_offset() / DESCRIPTOR_BYTES as usize, judged);
    Some(0)
}

const DESCRIPTOR_BYTES: u64 = size_of::<Descriptor>() as u64;

/// Where to write what.
#[inline(always)]
fn unpack([address_low, address_high, low, high, _]: Args) -> (MachAddr, Descriptor) {
    (
        MachAddr::from_low_high(address_low, address_high),
        Descriptor::from_low_high(low, high),
    )
}

fn answer(done: Result<(), Stop>, args: Args) -> CallResult {
    match done {
        Ok(()) => Ok(Outcome::Return(0)),
        Err(Stop::Preempted) => Ok(Outcome::Again(args)),
        Err(Stop::Refused(why)) => Err(HvError::Mm(why)),
    }
}

#[cfg(test)]
mod tests;
