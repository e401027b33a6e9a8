//! What happens to an exception or `int n` that a guest raised.
//!
//! The processor's gates are the hypervisor's. Vectors 0 to 31 (but 3 and 4) cannot be raised by a guest's `int n`;
//! nor can 0x82 from ring 3 and the device vectors: those are #GP with the IDT bit in the error code. Every other
//! vector has a gate of its own that any ring may use and arrives here as itself, so no instruction is ever decoded
//! to find out what a guest wanted.
//!
//! | vector | what is done |
//! |---|---|
//! | 0, 5, 6, 9, 16, 19 | bounced without error code |
//! | 10, 11, 12, 17 | bounced with error code |
//! | 1 | virtual DR6 updated; stale breakpoint hits swallowed; bounced |
//! | 3, 4 | bounced; the level the guest registered for them does not count |
//! | 7 | bounced where `fpu_taskswitch` asked for it, else TS is cleared |
//! | 13 | bounced; with the IDT bit, the code is brought into the manual's form |
//! | 14 | writable page table emulated, LDT page mapped, or bounced with CR2 |
//! | 15 | ignored (spurious) |
//! | 2, 8, 18, 20 to 31 | never the guest's: the caller handles them, or the domain dies |
//! | 32 up | `int n`: bounced if the registered level allows it, else #GP with code 8n + 2 |
//!
//! Source: Xen 2.0 interface, exceptions; Intel SDM vol. 3A 6.12.1.2, 6.13, 6.15.

mod debug;
mod page_fault;

pub use debug::debug_exception;
pub use page_fault::{page_fault, page_fault_quickly};

use crate::{bounce::deliver_exception, context::Context, fpu, outcome::CrashReason, platform::Platform};
use guest_abi::trap::{Vector, idt_error_code};

/// What became of a trap: the guest goes on (perhaps elsewhere), or is beyond repair.
pub type TrapOutcome = Result<(), CrashReason>;

/// Error code of a #GP or #SS: it came with an external event.
const EXTERNAL: u32 = 1 << 0;
/// Error code: it names an entry of the IDT.
const IDT: u32 = 1 << 1;

/// Handles `vector` raised by the running guest. `detail` is CR2 for #PF, DR6 for #DB, else 0.
///
/// # Errors
/// The domain cannot go on. Nothing has changed.
#[inline(always)]
pub fn handle_guest_trap<P: Platform>(
    cx: &mut Context<'_, P>,
    vector: u8,
    error: u32,
    detail: u64,
) -> TrapOutcome {
    match vector {
        0 | 3 | 4 | 5 | 6 | 9 | 16 | 19 => deliver_exception(cx, vector, None, None),
        32.. => software_interrupt(cx, vector),
        _ => cx.out_of_line(move |cx| rare_trap(cx, vector, error, detail)),
    }
}

fn rare_trap<P: Platform>(cx: &mut Context<'_, P>, vector: u8, error: u32, detail: u64) -> TrapOutcome {
    match vector {
        1 => debug_exception(cx, detail as u32),
        14 => page_fault(cx, error, detail),
        7 => device_not_available(cx),
        10..=12 | 17 => deliver_exception(cx, vector, Some(error), None),
        13 => general_protection(cx, error),
        15 => Ok(()),
        _ => Err(CrashReason::Unhandled { vector }),
    }
}

/// `int n` through the vector's own gate: EIP is already behind it.
///
/// # Errors
/// See [`handle_guest_trap`].
#[inline(always)]
pub fn software_interrupt<P: Platform>(cx: &mut Context<'_, P>, vector: u8) -> TrapOutcome {
    let gate = &cx.current_vcpu().gates[usize::from(vector)];
    if cx.regs.ring() <= gate.flags.dpl() || cfg!(feature = "mutant-gate-dpl") {
        deliver_exception(cx, vector, None, None)
    } else {
        cx.out_of_line(move |cx| refuse_software_interrupt(cx, vector))
    }
}

/// The #GP of a forbidden `int n`: a fault, so EIP goes back to the instruction. It is two bytes long but for
/// useless prefixes; with those, EIP is at the opcode behind them, which does the same when run again.
fn refuse_software_interrupt<P: Platform>(cx: &mut Context<'_, P>, vector: u8) -> TrapOutcome {
    let after = cx.regs.rip;
    cx.regs.rip = u64::from((after as u32).wrapping_sub(2));
    deliver_exception(
        cx,
        Vector::GENERAL_PROTECTION.raw(),
        Some(idt_error_code(vector)),
        None,
    )
    .inspect_err(|_| cx.regs.rip = after)
}

/// #GP.
///
/// # Errors
/// See [`handle_guest_trap`].
pub fn general_protection<P: Platform>(cx: &mut Context<'_, P>, error: u32) -> TrapOutcome {
    let error = if error & (IDT | EXTERNAL) == IDT {
        cx.hv.idt_error_form.normalise(error)
    } else {
        error
    };
    deliver_exception(cx, Vector::GENERAL_PROTECTION.raw(), Some(error), None)
}

/// How this machine writes an IDT vector into an error code. The manual says 8n + 2; an emulator is known that
/// computes 16n + 2 in long mode. The two overlap, so it is measured once at boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdtErrorForm {
    /// 8n + 2.
    #[default]
    Architectural,
    /// 16n + 2.
    Doubled,
}

impl IdtErrorForm {
    /// The form of a machine that answers an `int n` beyond its IDT with this error code, if it is one of those.
    #[must_use]
    pub const fn measured(vector: u8, error: u32) -> Option<Self> {
        if error == idt_error_code(vector) {
            Some(Self::Architectural)
        } else if error == vector as u32 * 16 + 2 {
            Some(Self::Doubled)
        } else {
            None
        }
    }

    /// The error code in the manual's form.
    #[must_use]
    pub const fn normalise(self, error: u32) -> u32 {
        match self {
            Self::Architectural => error,
            Self::Doubled => idt_error_code((error >> 4) as u8),
        }
    }
}

/// #NM: the guest's own if it called `fpu_taskswitch` since the last one. TS is clear when its handler runs.
///
/// # Errors
/// See [`handle_guest_trap`].
pub fn device_not_available<P: Platform>(cx: &mut Context<'_, P>) -> TrapOutcome {
    if cx.current_vcpu().fpu_trap_armed {
        deliver_exception(cx, Vector::DEVICE_NOT_AVAILABLE.raw(), None, None)?;
    }
    fpu::take(cx.platform, cx.vcpu());
    Ok(())
}

#[cfg(test)]
mod tests;
