//! #PF raised by a guest.
//!
//! In this order: a write to a page table that the assist emulates; a descriptor fetch from a page of the LDT or GDT
//! that is not mapped; everything else is the guest's own and bounced with CR2.

use super::{TrapOutcome, debug_exception};
use crate::{
    bounce::{deliver_exception, deliver_page_fault_quickly},
    context::Context,
    mm::emulate::{Emulation, try_emulate},
    platform::Platform,
    regs::eflags,
    segment::{GDT_WINDOW, LDT_WINDOW, ldt, offset_in},
};
use guest_abi::{debugreg::dr6, trap::Vector, vm_assist::AssistType};

/// Error code: the page was present.
const PRESENT: u32 = 1 << 0;
/// Error code: it was a write.
const WRITE: u32 = 1 << 1;
/// Error code: it came from ring 3.
const USER: u32 = 1 << 2;
const WRITE_TO_PRESENT: u32 = PRESENT | WRITE;
const WRITE_BY_KERNEL: u32 = PRESENT | WRITE | USER;
/// Bit of the assist in a domain's set.
const WRITABLE_TABLES: u32 = 1 << AssistType::WRITABLE_PAGETABLES.raw();

/// #PF with the processor's error code and CR2.
///
/// # Errors
/// See [`super::handle_guest_trap`].
#[inline(always)]
pub fn page_fault<P: Platform>(cx: &mut Context<'_, P>, error: u32, cr2: u64) -> TrapOutcome {
    if cr2 > u64::from(u32::MAX) {
        return cx.out_of_line(move |cx| fault_above_guest(cx, error, cr2));
    }
    if error & WRITE_BY_KERNEL == WRITE_TO_PRESENT && cx.current_domain().vm_assist & WRITABLE_TABLES != 0 {
        return write_protection(cx, error, cr2 as u32);
    }
    deliver_exception(cx, Vector::PAGE_FAULT.raw(), Some(error), Some(cr2 as u32))
}

/// The short way of [`page_fault`] where the fault is simply the guest's own: says whether it could be gone, and
/// has changed nothing where not.
#[inline(always)]
#[must_use]
pub fn page_fault_quickly<P: Platform>(cx: &mut Context<'_, P>, error: u32, cr2: u64) -> bool {
    // The windows lie in the upper half of the address space: its sign says enough.
    let may_be_ours = (cr2 as i64) < 0
        || error & WRITE_BY_KERNEL == WRITE_TO_PRESENT
            && cx
                .hv
                .running_if_any()
                .is_none_or(|domain| domain.vm_assist & WRITABLE_TABLES != 0);
    !may_be_ours && deliver_page_fault_quickly(cx, error, cr2 as u32)
}

/// A write by the kernel to a present, read-only page: it may be to a page table.
#[inline(always)]
fn write_protection<P: Platform>(cx: &mut Context<'_, P>, error: u32, at: u32) -> TrapOutcome {
    if cx.regs.ring() != 1 || try_emulate(cx, at) == Emulation::NotOurs {
        return cx
            .out_of_line(move |cx| deliver_exception(cx, Vector::PAGE_FAULT.raw(), Some(error), Some(at)));
    }
    if cx.regs.rflags as u32 & eflags::TF != 0 {
        return cx.out_of_line(|cx| debug_exception(cx, dr6::STEP));
    }
    Ok(())
}

/// A fault at an address that no 32-bit instruction forms: the processor read a descriptor for the guest.
///
/// An LDT page is mapped now if the guest has one there, else the guest is told of its own address. An entry beyond
/// the guest's GDT is what a shorter GDT limit would make it, #GP with the selector. (An emulator is known to carry
/// an access across 0xFFFFFFFF to 4 GiB, where the processor wraps to 0: that is the guest's fault at 0.)
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
