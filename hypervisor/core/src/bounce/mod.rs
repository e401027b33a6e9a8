//! Bounce frames: how an exception or event enters the guest's kernel.
//!
//! A guest has no interrupt gates of its own. What the processor would have done with one is done here: choose the
//! ring-1 stack, write the frame an `iret` takes (with what precedes it), and change the saved registers so that
//! the way back leads to the registered handler. A frame is one write of 3 to 9 words
//! ([`guest_abi::trap`] has the layouts):
//!
//! ```text
//!   lower    [CR2] [error code]  or  [DS ES FS GS]      what precedes
//!            EIP  CS  EFLAGS                            always
//!   higher   ESP  SS                                    interrupted code in ring 2 or 3
//! ```
//!
//! Invariants kept here, whatever a guest registered: a frame lies wholly in the guest's range and inside the
//! stack segment ([`crate::segment::stack`]); the registers to resume with have RPL ≥ 1, IF = 1, IOPL = NT = VM = 0;
//! when a frame cannot be written, no register has changed. A refusal kills the domain, for it comes when the
//! guest has no other place to be told of it.
//!
//! Source: Xen 2.0 interface, exceptions and events; Intel SDM vol. 3A 6.12.1 (what a gate does).

use crate::{
    context::Context,
    outcome::CrashReason,
    platform::Platform,
    regs::{UserRegs, eflags},
    segment::stack::frame_slot,
    shared_info::SharedInfo,
    vcpu::{CodePointer, DataSegments},
};
use guest_abi::{addr::GuestVirt, trap::Vector};

/// EFLAGS bits that a handler starts without.
const CLEARED_AT_ENTRY: u32 = eflags::TF | eflags::NT | eflags::RF | eflags::VM | eflags::IOPL;

/// Delivers exception `vector`, with its error code and faulting address where the frame has them.
///
/// # Errors
/// The guest has no handler, or no stack that can take the frame. Nothing has changed.
#[inline(always)]
pub fn deliver_exception<P: Platform>(
    cx: &mut Context<'_, P>,
    vector: u8,
    error: Option<u32>,
    cr2: Option<u32>,
) -> Result<(), CrashReason> {
    let gate = cx.current_vcpu().gates[usize::from(vector)];
    if gate.eip == 0 && !cfg!(feature = "mutant-null-handler") {
        return Err(CrashReason::NoHandler { vector });
    }
    let handler = CodePointer {
        cs: gate.cs,
        eip: gate.eip,
    };
    match (cr2, error) {
        (Some(cr2), Some(error)) => enter::<P, 2, 5, 7>(cx, handler, [cr2, error])?,
        (None, Some(error)) => enter::<P, 1, 4, 6>(cx, handler, [error])?,
        (_, None) => enter::<P, 0, 3, 5>(cx, handler, [])?,
    }
    if gate.masks_events && honours_event_mask(vector) {
        SharedInfo::of(cx.platform, cx.current_domain()).mask_upcalls();
    }
    Ok(())
}

/// Whether a gate's "mask events" flag counts: not for #DB and #NM.
const fn honours_event_mask(vector: u8) -> bool {
    vector != Vector::DEBUG.raw() && vector != Vector::DEVICE_NOT_AVAILABLE.raw()
}

/// Enters the event callback and masks events. The caller has seen that an event is due
/// ([`SharedInfo::upcall_is_due`]).
///
/// # Errors
/// The guest has no callback, or no stack that can take the frame. Nothing has changed.
#[inline(always)]
pub fn deliver_event<P: Platform>(cx: &mut Context<'_, P>) -> Result<(), CrashReason> {
    let callback = cx.current_vcpu().event_callback;
    if callback.eip == 0 && !cfg!(feature = "mutant-null-handler") {
        return Err(CrashReason::NoEventCallback);
    }
    enter::<P, 0, 3, 5>(cx, callback, [])?;
    SharedInfo::of(cx.platform, cx.current_domain()).mask_upcalls();
    Ok(())
}

/// Enters the failsafe callback: the data segments `segments`, or the frame in the registers, could not be loaded
/// to go on with the guest. The caller has put null into the data segment registers.
///
/// # Errors
/// The guest has no callback or no stack, or it is the callback's own first instruction that could not be
/// entered. Nothing has changed.
#[cold]
pub fn deliver_failsafe<P: Platform>(
    cx: &mut Context<'_, P>,
    segments: DataSegments,
) -> Result<(), CrashReason> {
    let callback = cx.current_vcpu().failsafe_callback;
    let already_there = cx.regs.rip as u32 == callback.eip && cx.regs.cs as u16 == callback.cs;
    if callback.eip == 0 || already_there {
        return Err(CrashReason::FailsafeFailed);
    }
    let words = [segments.ds, segments.es, segments.fs, segments.gs].map(u32::from);
    enter::<P, 4, 7, 9>(cx, callback, words)
}

/// Writes the frame that `head` begins and turns the registers to `handler`. `INNER` and `OUTER` are the frame's words
/// without and with ESP and SS.
#[inline(always)]
fn enter<P: Platform, const HEAD: usize, const INNER: usize, const OUTER: usize>(
    cx: &mut Context<'_, P>,
    handler: CodePointer,
    head: [u32; HEAD],
) -> Result<(), CrashReason> {
    const { assert!(INNER == HEAD + 3 && OUTER == HEAD + 5) };
    let regs = &*cx.regs;
    let (ss, esp) = if regs.in_guest_kernel() {
        let (ss, esp) = (regs.ss as u16, regs.rsp as u32);
        (ss, push(cx, ss, esp, &frame::<HEAD, INNER>(regs, head))?)
    } else {
        let (ss, esp) = (cx.current_vcpu().kernel_ss, cx.current_vcpu().kernel_esp);
        (ss, push(cx, ss, esp, &frame::<HEAD, OUTER>(regs, head))?)
    };
    let regs = &mut *cx.regs;
    regs.ss = u64::from(ss);
    regs.rsp = u64::from(esp);
    // Registered selectors have RPL 1; the OR makes it so for the way back whatever happened to them since.
    regs.cs = u64::from(handler.cs | 1);
    regs.rip = u64::from(handler.eip);
    regs.rflags = u64::from(regs.rflags as u32 & !CLEARED_AT_ENTRY | eflags::IF);
    Ok(())
}

/// The words of a frame: `head`, then EIP, CS, EFLAGS, and ESP, SS where `N` leaves room for them.
#[inline(always)]
fn frame<const HEAD: usize, const N: usize>(regs: &UserRegs, head: [u32; HEAD]) -> [u32; N] {
    let mut words = [0; N];
    words[..HEAD].copy_from_slice(&head);
    words[HEAD] = regs.rip as u32;
    words[HEAD + 1] = regs.cs as u32 & 0xFFFF;
    words[HEAD + 2] = regs.rflags as u32;
    if N > HEAD + 3 {
        words[HEAD + 3] = regs.rsp as u32;
        words[HEAD + 4] = regs.ss as u32 & 0xFFFF;
    }
    words
}

/// Pushes `words` on stack `ss:esp` and gives the new ESP.
#[inline(always)]
fn push<P: Platform, const N: usize>(
    cx: &Context<'_, P>,
    ss: u16,
    esp: u32,
    words: &[u32; N],
) -> Result<u32, CrashReason> {
    let bad_stack = CrashReason::BadKernelStack { ss, esp };
    let slot = frame_slot(cx, ss, esp, (N * 4) as u32).ok_or(bad_stack)?;
    let written = cx.platform.write(GuestVirt::new(slot.linear), words);
    if !cfg!(feature = "mutant-frame-fault") {
        written.map_err(|_| bad_stack)?;
    }
    Ok(slot.esp)
}

#[cfg(test)]
mod tests;
