//! #PF raised by a guest.
//!
//! In this order: a write to a page table that the assist emulates; a descriptor fetch from a page of the LDT or GDT
//! that is not mapped; everything else is the guest's own and bounced with CR2.

use super::TrapOutcome;
use crate::{
    bounce::deliver_exception,
    context::Context,
    platform::Platform,
    segment::{GDT_WINDOW, LDT_WINDOW, ldt, offset_in},
};
use guest_abi::trap::Vector;

/// #PF with the processor's error code and CR2.
///
/// # Errors
/// See [`super::handle_guest_trap`].
#[inline(always)]
pub fn page_fault<P: Platform>(cx: &mut Context<'_, P>, error: u32, cr2: u64) -> TrapOutcome {
    if cr2 > u64::from(u32::MAX) {
        return fault_above_guest(cx, error, cr2);
    }
    deliver_exception(cx, Vector::PAGE_FAULT.raw(), Some(error), Some(cr2 as u32))
}

/// A fault at an address that no 32-bit instruction forms: the processor read a descriptor for the guest.
///
/// An LDT page is mapped now if the guest has one there, else the guest is told of its own address. An entry beyond the
/// guest's GDT is what a shorter GDT limit would make it, #GP with the selector. (An emulator is known to carry an access across
/// 0xFFFFFFFF to 4 GiB, where the processor wraps to 0: that is the guest's fault at 0.)
#[cold]
fn fault_above_guest<P: Platform>(cx: &mut Context<'_, P>, error: u32, cr2: u64) -> TrapOutcome {
    if let Some(offset) = offset_in(LDT_WINDOW, cr2) {
        if ldt::map_page(cx, offset) {
            return Ok(());
        }
        let address = cx.current_vcpu().ldt_base.wrapping_add(offset);
        return deliver_exception(cx, Vector::PAGE_FAULT.raw(), Some(error), Some(address));
    }
    if let Some(offset) = offset_in(GDT_WINDOW, cr2) {
        let selector = offset & !7;
        return deliver_exception(cx, Vector::GENERAL_PROTECTION.raw(), Some(selector), None);
    }
    deliver_exception(cx, Vector::PAGE_FAULT.raw(), Some(error), Some(cr2 as u32))
}
