//! A handler's stack frame, in Linux's layout, and the way back from it.

use alloc::vec::Vec;

use crate::linux::signal::{ActionFlags, SigAction, SigSet, Signal};
use crate::linux::{Packed, word};
use crate::traps::{TrapFrame, eflags};

/// Bytes of `struct sigcontext`.
pub const CONTEXT: usize = 88;
/// Bytes of the FXSAVE image that goes with a frame.
pub const FPU_BYTES: usize = 512;

/// A handler's frame: bytes for the program's stack, and how the program goes on.
#[derive(Clone, Debug)]
pub struct HandlerFrame {
    /// Where the bytes belong; ESP of the handler.
    pub esp: u32,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// EDX and ECX of the handler: addresses of siginfo and ucontext, or 0.
    pub pointers: (u32, u32),
}

/// Registers as `struct sigcontext`.
fn context(frame: &TrapFrame, fpu_at: u32, mask: SigSet) -> [u8; CONTEXT] {
    let selector = |value: u32| value & 0xFFFF;
    Packed::new()
        .u32(selector(frame.gs))
        .u32(selector(frame.fs))
        .u32(selector(frame.es))
        .u32(selector(frame.ds))
        .u32(frame.edi)
        .u32(frame.esi)
        .u32(frame.ebp)
        .u32(frame.esp)
        .u32(frame.ebx)
        .u32(frame.edx)
        .u32(frame.ecx)
        .u32(frame.eax)
        .u32(frame.vector)
        .u32(frame.error)
        .u32(frame.eip)
        .u32(selector(frame.cs))
        .u32(frame.eflags)
        .u32(frame.esp)
        .u32(selector(frame.ss))
        .u32(fpu_at)
        .u32(mask.bits() as u32)
        .u32(frame.cr2)
        .finish()
}

/// Lays out the frame of a handler for `signal` on the stack of the program interrupted in `frame`, or `None` where
/// there is no room for it below ESP.
///
/// Ours is Linux's layout up to the FPU area: its image is the last 512 bytes, 16-byte aligned.
#[must_use]
pub fn handler_frame(
    frame: &TrapFrame,
    signal: Signal,
    action: &SigAction,
    mask: SigSet,
    fpu: &[u8; FPU_BYTES],
) -> Option<HandlerFrame> {
    let number = u32::from(signal.number());
    let fpu_at = frame.esp.checked_sub(FPU_BYTES as u32)? & !15;
    let with_info = action.flags.contains(ActionFlags::SIGINFO);
    // Bytes from ESP to the FPU image; ESP + 4 is 16-byte aligned at a function's first instruction.
    let front: u32 = if with_info {
        4 * 4 + 128 + 20 + CONTEXT as u32 + 8
    } else {
        4 * 2 + CONTEXT as u32 + 112 + 4 + 8
    };
    let esp = (fpu_at.checked_sub(front)?.checked_sub(16)? & !15) + 12;
    let mut bytes = Vec::new();
    let mut push = |words: &[u32]| {
        words
            .iter()
            .for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()))
    };
    let pointers = if with_info {
        let (info, uc) = (esp + 16, esp + 16 + 128);
        push(&[action.restorer, number, info, uc, number, 0, 0]);
        push(&[0; 29]);
        push(&[0; 5]);
        bytes.extend_from_slice(&context(frame, fpu_at, mask));
        bytes.extend_from_slice(&mask.bits().to_le_bytes());
        (info, uc)
    } else {
        push(&[action.restorer, number]);
        bytes.extend_from_slice(&context(frame, fpu_at, mask));
        bytes.resize(bytes.len() + 112, 0);
        bytes.extend_from_slice(&((mask.bits() >> 32) as u32).to_le_bytes());
        bytes.resize(bytes.len() + 8, 0);
        (0, 0)
    };
    bytes.resize((fpu_at - esp) as usize, 0);
    bytes.extend_from_slice(fpu);
    Some(HandlerFrame { esp, bytes, pointers })
}

/// What a handler left to go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The blocked signals.
    pub mask: SigSet,
    /// Address of the FPU image, 0 for none.
    pub fpu_at: u32,
}

/// Where `sigreturn` finds the context and the mask's upper half: offsets from ESP, after the restorer popped what it pops.
pub const SIGRETURN: (u32, u32) = (0, CONTEXT as u32 + 112);
/// Where `rt_sigreturn` finds the context and the mask.
pub const RT_SIGRETURN: (u32, u32) = (12 + 128 + 20, 12 + 128 + 20 + CONTEXT as u32);

/// Puts the registers of a `struct sigcontext` into `frame`. Only what a program may set itself is believed: selectors
/// and flags are made harmless.
pub fn restore_context(frame: &mut TrapFrame, context: &[u8; CONTEXT]) -> Saved {
    let at = |index: usize| word(context, index * 4);
    let outer = |selector: u32| if selector & 3 == 3 { selector & 0xFFFF } else { 0 };
    (frame.gs, frame.fs, frame.es, frame.ds) = (outer(at(0)), outer(at(1)), outer(at(2)), outer(at(3)));
    (frame.edi, frame.esi, frame.ebp, frame.esp) = (at(4), at(5), at(6), at(7));
    (frame.ebx, frame.edx, frame.ecx, frame.eax) = (at(8), at(9), at(10), at(11));
    frame.eip = at(14);
    frame.eflags = at(16) & eflags::USER | eflags::RESERVED | eflags::IF;
    Saved {
        mask: SigSet::from_bits(at(20).into()),
        fpu_at: at(19),
    }
}
