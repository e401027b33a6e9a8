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
    domain::Domain,
    outcome::CrashReason,
    platform::Platform,
    regs::{UserRegs, eflags},
    segment::stack::{flat_slot, frame_slot},
    shared_info::SharedInfo,
    vcpu::{CodePointer, DataSegments, Vcpu},
};
use guest_abi::{
    addr::GuestVirt,
    segment::Selector,
    trap::{TrapFlags, Vector},
};

/// EFLAGS bits that a handler starts without.
const CLEARED_AT_ENTRY: u32 = eflags::TF | eflags::NT | eflags::RF | eflags::VM | eflags::IOPL;

/// Delivers exception `vector`, with its error code and faulting address where the frame has them.
///
/// The stack is nearly always the flat segment and can be written: then all of this is straight-line code without a
/// call. Anything else is found out, from the start, out of line.
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
    let to = Entry::Gate(vector);
    match (cr2, error) {
        (Some(cr2), Some(error)) => enter::<P, _, 5, 7>(cx, to, (cr2, error)),
        (None, Some(error)) => enter::<P, _, 4, 6>(cx, to, (error,)),
        (_, None) => enter::<P, _, 3, 5>(cx, to, ()),
    }
}

/// The short way of [`deliver_exception`] for an exception without error code other than #DB and #NM: says whether it
/// could be gone, and has changed nothing where not. Whoever has this as its only other case needs no stack frame.
#[inline(always)]
#[must_use]
pub fn deliver_quickly<P: Platform>(cx: &mut Context<'_, P>, vector: u8) -> bool {
    enter_flat::<P, _, 3, 5>(cx, Entry::PlainGate(vector), ())
}

/// The same for a page fault.
#[inline(always)]
#[must_use]
pub fn deliver_page_fault_quickly<P: Platform>(cx: &mut Context<'_, P>, error: u32, cr2: u32) -> bool {
    enter_flat::<P, _, 5, 7>(cx, Entry::PlainGate(Vector::PAGE_FAULT.raw()), (cr2, error))
}

/// Enters the event callback and masks events. The caller has seen that an event is due
/// ([`SharedInfo::upcall_is_due`]).
///
/// # Errors
/// The guest has no callback, or no stack that can take the frame. Nothing has changed.
#[inline(always)]
pub fn deliver_event<P: Platform>(cx: &mut Context<'_, P>) -> Result<(), CrashReason> {
    enter::<P, _, 3, 5>(cx, Entry::Event, ())
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
    if cx.regs.rip as u32 == callback.eip && cx.regs.cs as u16 == callback.cs {
        return Err(CrashReason::FailsafeFailed);
    }
    let DataSegments { ds, es, fs, gs } = segments;
    enter::<P, _, 7, 9>(cx, Entry::Failsafe, [ds, es, fs, gs].map(u32::from))
}

/// A place where the guest registered a handler.
#[derive(Clone, Copy)]
enum Entry {
    Gate(u8),
    /// A gate that is neither #DB's nor #NM's.
    PlainGate(u8),
    Event,
    Failsafe,
}

impl Entry {
    /// The handler. Offset 0: there is none.
    #[inline(always)]
    fn handler(self, vcpu: &Vcpu) -> CodePointer {
        match self {
            Self::Gate(vector) | Self::PlainGate(vector) => {
                let gate = &vcpu.gates[usize::from(vector)];
                CodePointer {
                    cs: gate.cs.raw(),
                    eip: gate.address,
                }
            }
            Self::Event => vcpu.event_callback,
            Self::Failsafe => vcpu.failsafe_callback,
        }
    }

    /// Whether events are masked when it is entered. The flag of a gate does not count for #DB and #NM.
    #[inline(always)]
    fn masks_events(self, vcpu: &Vcpu) -> bool {
        const DEBUG: u8 = Vector::DEBUG.raw();
        const DEVICE_NOT_AVAILABLE: u8 = Vector::DEVICE_NOT_AVAILABLE.raw();
        match self {
            Self::Gate(DEBUG | DEVICE_NOT_AVAILABLE) | Self::Failsafe => false,
            Self::Gate(vector) | Self::PlainGate(vector) => vcpu.gates[usize::from(vector)]
                .flags
                .contains(TrapFlags::MASK_EVENTS),
            Self::Event => true,
        }
    }

    /// What it means that there is no handler.
    const fn missing(self) -> CrashReason {
        match self {
            Self::Gate(vector) | Self::PlainGate(vector) => CrashReason::NoHandler { vector },
            Self::Event => CrashReason::NoEventCallback,
            Self::Failsafe => CrashReason::FailsafeFailed,
        }
    }
}

/// The words of a frame before EIP. (Tuples, not arrays: their parts stay in registers.)
trait Head: Copy {
    /// How many.
    const WORDS: usize;
    /// Writes them to the start of `words`.
    fn put(self, words: &mut [u32]);
}

impl Head for () {
    const WORDS: usize = 0;
    #[inline(always)]
    fn put(self, _: &mut [u32]) {}
}

impl Head for (u32,) {
    const WORDS: usize = 1;
    #[inline(always)]
    fn put(self, words: &mut [u32]) {
        words[0] = self.0;
    }
}

impl Head for (u32, u32) {
    const WORDS: usize = 2;
    #[inline(always)]
    fn put(self, words: &mut [u32]) {
        (words[0], words[1]) = self;
    }
}

impl Head for [u32; 4] {
    const WORDS: usize = 4;
    fn put(self, words: &mut [u32]) {
        words[..4].copy_from_slice(&self);
    }
}

/// Writes the frame that `head` begins and turns the registers to the handler of `to`. `INNER` and `OUTER` are the
/// frame's words without and with ESP and SS.
#[inline(always)]
fn enter<P: Platform, H: Head, const INNER: usize, const OUTER: usize>(
    cx: &mut Context<'_, P>,
    to: Entry,
    head: H,
) -> Result<(), CrashReason> {
    if enter_flat::<P, H, INNER, OUTER>(cx, to, head) {
        Ok(())
    } else {
        cx.out_of_line(move |cx| enter_rarely::<P, H, INNER, OUTER>(cx, to, head))
    }
}

/// [`enter`] on the flat stack. Says whether that is there and could be written; where not, nothing has changed.
///
/// The handler is looked at before the frame is written, and read after it: so few values are alive in between that
/// they all have a register.
#[inline(always)]
fn enter_flat<P: Platform, H: Head, const INNER: usize, const OUTER: usize>(
    cx: &mut Context<'_, P>,
    to: Entry,
    head: H,
) -> bool {
    const { assert!(INNER == H::WORDS + 3 && OUTER == H::WORDS + 5) };
    let Some(domain) = cx.hv.running_if_any() else {
        return false;
    };
    if to.handler(&domain.vcpus[0]).eip == 0 && !cfg!(feature = "mutant-null-handler") {
        return false;
    }
    let vcpu = &domain.vcpus[0];
    let flags = cx.regs.rflags as u32;
    let pushed = if cx.regs.in_guest_kernel() {
        let words = frame::<H, INNER>(cx.regs, head);
        push_flat(cx.platform, cx.regs.ss as u16, cx.regs.rsp as u32, &words)
    } else {
        let pushed = push_flat_outer::<P, H, INNER, OUTER>(
            cx.regs,
            cx.platform,
            (vcpu.kernel_ss, vcpu.kernel_esp),
            head,
        );
        if pushed.is_some() {
            cx.regs.ss = u64::from(Selector::FLAT_RING1_DS.raw());
        }
        pushed
    };
    let Some(esp) = pushed else { return false };
    resume_at(cx.regs, to.handler(vcpu), flags, esp);
    if to.masks_events(vcpu) {
        mask_upcalls(cx.platform, domain);
    }
    true
}

/// [`enter`] on a stack in a segment of the guest's own; or without a handler or a stack that can be written, to
/// say so.
fn enter_rarely<P: Platform, H: Head, const INNER: usize, const OUTER: usize>(
    cx: &mut Context<'_, P>,
    to: Entry,
    head: H,
) -> Result<(), CrashReason> {
    let domain = cx.hv.running();
    if to.handler(&domain.vcpus[0]).eip == 0 && !cfg!(feature = "mutant-null-handler") {
        return Err(to.missing());
    }
    let (ss, esp) = stack(cx.regs, domain);
    let bad_stack = CrashReason::BadKernelStack { ss, esp };
    let words = if cx.regs.in_guest_kernel() { INNER } else { OUTER };
    let slot = frame_slot(cx, ss, esp, (words * 4) as u32).ok_or(bad_stack)?;
    let at = GuestVirt::new(slot.linear);
    let written = if cx.regs.in_guest_kernel() {
        cx.platform.write(at, &frame::<H, INNER>(cx.regs, head))
    } else {
        cx.platform.write(at, &frame::<H, OUTER>(cx.regs, head))
    };
    if !cfg!(feature = "mutant-frame-fault") {
        written.map_err(|_| bad_stack)?;
    }
    cx.regs.ss = u64::from(ss);
    resume_at(
        cx.regs,
        to.handler(&domain.vcpus[0]),
        cx.regs.rflags as u32,
        slot.esp,
    );
    if to.masks_events(&domain.vcpus[0]) {
        mask_upcalls(cx.platform, domain);
    }
    Ok(())
}

/// SS and ESP that a frame is pushed on: the interrupted ones of the guest's kernel, else those it registered.
#[inline(always)]
fn stack(regs: &UserRegs, domain: &Domain) -> (u16, u32) {
    if regs.in_guest_kernel() {
        (regs.ss as u16, regs.rsp as u32)
    } else {
        (domain.vcpus[0].kernel_ss, domain.vcpus[0].kernel_esp)
    }
}

/// Turns the registers to `handler` at `esp` of a ring-1 stack; `flags` are the interrupted ones. The handler's
/// selector has RPL 1, or it could not have been registered.
#[inline(always)]
fn resume_at(regs: &mut UserRegs, handler: CodePointer, flags: u32, esp: u32) {
    regs.rsp = u64::from(esp);
    regs.cs = u64::from(handler.cs);
    regs.rip = u64::from(handler.eip);
    regs.rflags = u64::from(flags & !CLEARED_AT_ENTRY | eflags::IF);
}

/// Masks the upcalls of the running domain.
#[inline(always)]
fn mask_upcalls<P: Platform>(platform: &P, running: &Domain) {
    if !platform.mask_upcalls_at_hand() {
        SharedInfo::of(platform, running).mask_upcalls();
    }
}

/// The words of a frame: `head`, then EIP, CS, EFLAGS, and ESP, SS where `N` leaves room for them.
#[inline(always)]
fn frame<H: Head, const N: usize>(regs: &UserRegs, head: H) -> [u32; N] {
    let mut words = [0; N];
    head.put(&mut words);
    words[H::WORDS] = regs.rip as u32;
    words[H::WORDS + 1] = u32::from(regs.cs as u16);
    words[H::WORDS + 2] = regs.rflags as u32;
    if N > H::WORDS + 3 {
        words[H::WORDS + 3] = regs.rsp as u32;
        words[H::WORDS + 4] = u32::from(regs.ss as u16);
    }
    words
}

/// Pushes `words` on stack `ss:esp` if that is the flat ring-1 segment and it can be done, and gives the new ESP.
#[inline(always)]
fn push_flat<P: Platform, const N: usize>(platform: &P, ss: u16, esp: u32, words: &[u32; N]) -> Option<u32> {
    let start = flat_slot(ss, esp, (N * 4) as u32)?;
    platform.write(GuestVirt::new(start), words).ok()?;
    Some(start)
}

/// The same for a frame with ESP and SS. They are read when what precedes them is written: fewer values are alive at once.
#[inline(always)]
fn push_flat_outer<P: Platform, H: Head, const INNER: usize, const OUTER: usize>(
    regs: &UserRegs,
    platform: &P,
    (ss, esp): (u16, u32),
    head: H,
) -> Option<u32> {
    let start = flat_slot(ss, esp, (OUTER * 4) as u32)?;
    let word = |n: usize| GuestVirt::new(start.wrapping_add((n * 4) as u32));
    platform.write(word(0), &frame::<H, INNER>(regs, head)).ok()?;
    platform.write(word(INNER), &(regs.rsp as u32)).ok()?;
    platform.write(word(INNER + 1), &u32::from(regs.ss as u16)).ok()?;
    Some(start)
}

#[cfg(test)]
mod tests;
