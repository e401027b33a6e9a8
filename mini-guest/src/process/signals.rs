//! The signals of a process: what is pending, blocked and to be done; and the frame that a handler gets.

use alloc::vec::Vec;

use crate::linux::signal::{ActionFlags, SigAction, SigSet, Signal};
use crate::linux::{Packed, word};
use crate::traps::{TrapFrame, eflags};

/// How many actions there are: numbers 0 to 64, the first unused.
const ACTIONS: usize = Signal::MAX as usize + 1;

/// The state of one process.
#[derive(Clone, Debug)]
pub struct Signals {
    /// Sent and not yet acted upon.
    pub pending: SigSet,
    /// Not acted upon for now.
    pub blocked: SigSet,
    /// The mask to go back to after the handler that ends an rt_sigsuspend.
    pub suspended: Option<SigSet>,
    actions: [SigAction; ACTIONS],
}

impl Default for Signals {
    fn default() -> Self {
        Self {
            pending: SigSet::EMPTY,
            blocked: SigSet::EMPTY,
            suspended: None,
            actions: [SigAction::default(); ACTIONS],
        }
    }
}

/// What happens to a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Nothing.
    Ignore,
    /// The process ends.
    Terminate,
    /// This handler is called.
    Catch(SigAction),
}

impl Signals {
    /// The action for `signal`.
    #[must_use]
    pub fn action(&self, signal: Signal) -> SigAction {
        self.actions[usize::from(signal.number())]
    }

    /// Changes the action for `signal`. A pending signal that is now ignored is gone.
    pub fn set_action(&mut self, signal: Signal, action: SigAction) {
        self.actions[usize::from(signal.number())] = action;
        if self.disposition(signal) == Disposition::Ignore {
            self.pending.remove(signal);
        }
    }

    /// What would happen to `signal` now, were it not blocked.
    #[must_use]
    pub fn disposition(&self, signal: Signal) -> Disposition {
        let action = self.action(signal);
        match action.handler {
            SigAction::IGNORE => Disposition::Ignore,
            SigAction::DEFAULT if signal.is_ignored_by_default() => Disposition::Ignore,
            SigAction::DEFAULT => Disposition::Terminate,
            _ => Disposition::Catch(action),
        }
    }

    /// Makes `signal` pending, unless it would be ignored. (A blocked signal is kept even if it is ignored now: the
    /// program may wait for it.)
    pub fn send(&mut self, signal: Signal) {
        if self.blocked.contains(signal) || self.disposition(signal) != Disposition::Ignore {
            self.pending.insert(signal);
        }
    }

    /// Whether something is pending that is neither blocked nor ignored: it ends a sleep.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.next_due().is_some()
    }

    fn next_due(&self) -> Option<Signal> {
        let mut due = self.pending.without(self.blocked).iter();
        due.find(|signal| self.disposition(*signal) != Disposition::Ignore)
    }

    /// Takes the next signal that is due, with what is to be done.
    pub fn take(&mut self) -> Option<(Signal, Disposition)> {
        let signal = self.next_due()?;
        self.pending.remove(signal);
        Some((signal, self.disposition(signal)))
    }

    /// What changes when a handler begins: the mask, and the action if it is for once only. Gives the mask that is
    /// to be restored.
    pub fn begin(&mut self, signal: Signal, action: &SigAction) -> SigSet {
        let old = self.suspended.take().unwrap_or(self.blocked);
        let mut mask = self.blocked.union(action.mask);
        if !action.flags.contains(ActionFlags::NODEFER) {
            mask.insert(signal);
        }
        self.blocked = mask.blockable();
        if action.flags.contains(ActionFlags::RESETHAND) {
            self.actions[usize::from(signal.number())] = SigAction::default();
        }
        old
    }

    /// What a new program keeps: the mask, what is pending, and what is ignored.
    pub fn exec(&mut self) {
        for action in &mut self.actions {
            if action.is_caught() {
                *action = SigAction::default();
            }
        }
        self.suspended = None;
    }
}

/// Bytes of `struct sigcontext`.
const CONTEXT: usize = 88;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn action(flags: ActionFlags) -> SigAction {
        SigAction {
            handler: 0x1000,
            flags,
            restorer: 0x2000,
            mask: SigSet::EMPTY,
        }
    }

    fn program() -> TrapFrame {
        let mut frame = TrapFrame {
            esp: 0xBFFF_0123,
            ss: 0xE033,
            ..TrapFrame::default()
        };
        (frame.eax, frame.ebx, frame.ecx, frame.edx) = (1, 2, 3, 4);
        (frame.esi, frame.edi, frame.ebp, frame.eip) = (5, 6, 7, 0x0804_8000);
        (frame.cs, frame.ds, frame.es, frame.gs) = (0xE02B, 0xE033, 0xE033, 0x33);
        frame.eflags = 0x246;
        frame
    }

    fn round_trip(flags: ActionFlags, esp_offset: u32, layout: (u32, u32)) {
        let mask = SigSet::from_bits(0x8000_0000_0000_0004);
        let made = handler_frame(&program(), Signal::INT, &action(flags), mask, &[9; FPU_BYTES]).unwrap();
        assert_eq!((made.esp + 4) % 16, 0);
        assert!(made.esp + made.bytes.len() as u32 <= program().esp);
        assert_eq!((word(&made.bytes, 0), word(&made.bytes, 4)), (0x2000, 2));
        let start = (esp_offset + layout.0) as usize;
        let context: &[u8; CONTEXT] = made.bytes[start..].first_chunk().unwrap();
        let mut back = TrapFrame {
            ss: 0xE033,
            ..TrapFrame::default()
        };
        back.cs = 0xE02B;
        let saved = restore_context(&mut back, context);
        assert_eq!(back, program());
        assert_eq!(saved.mask.bits(), 4);
        let upper_at = (esp_offset + layout.1) as usize + if layout == RT_SIGRETURN { 4 } else { 0 };
        assert_eq!(word(&made.bytes, upper_at), 0x8000_0000);
        let image = (saved.fpu_at - made.esp) as usize;
        assert_eq!(&made.bytes[image..], &[9; FPU_BYTES]);
        assert_eq!(saved.fpu_at % 16, 0);
    }

    #[test]
    fn registers_survive_a_plain_handler() {
        // `ret` pops the restorer, the restorer pops the number.
        round_trip(ActionFlags::empty(), 8, SIGRETURN);
    }

    #[test]
    fn registers_survive_a_handler_with_info() {
        round_trip(ActionFlags::SIGINFO, 4, RT_SIGRETURN);
    }

    #[test]
    fn a_forged_context_gains_nothing() {
        let mut context = [0xFF; CONTEXT];
        context[0..4].copy_from_slice(&0xE021_u32.to_le_bytes());
        let mut frame = program();
        restore_context(&mut frame, &context);
        assert_eq!((frame.cs, frame.ss, frame.gs), (0xE02B, 0xE033, 0));
        assert_eq!(frame.eflags & !(eflags::USER | eflags::RESERVED | eflags::IF), 0);
    }

    #[test]
    fn no_room_is_no_frame() {
        let frame = TrapFrame {
            esp: 700,
            ..program()
        };
        assert!(
            handler_frame(
                &frame,
                Signal::INT,
                &action(ActionFlags::SIGINFO),
                SigSet::EMPTY,
                &[0; 512]
            )
            .is_none()
        );
    }

    #[test]
    fn blocked_signals_wait() {
        let mut signals = Signals::default();
        signals.blocked.insert(Signal::TERM);
        signals.send(Signal::TERM);
        assert!(!signals.is_due());
        signals.blocked = SigSet::EMPTY;
        assert_eq!(signals.take(), Some((Signal::TERM, Disposition::Terminate)));
        assert_eq!(signals.take(), None);
    }

    #[test]
    fn ignored_signals_do_not_stay() {
        let mut signals = Signals::default();
        signals.send(Signal::CHLD);
        assert_eq!(signals.pending, SigSet::EMPTY);
        signals.blocked.insert(Signal::TERM);
        signals.send(Signal::TERM);
        signals.set_action(
            Signal::TERM,
            SigAction {
                handler: SigAction::IGNORE,
                ..SigAction::default()
            },
        );
        assert_eq!(signals.pending, SigSet::EMPTY);
    }

    #[test]
    fn handlers_mask_and_reset() {
        let mut signals = Signals::default();
        let once = action(ActionFlags::RESETHAND);
        signals.set_action(Signal::USR1, once);
        signals.send(Signal::USR1);
        assert_eq!(signals.take(), Some((Signal::USR1, Disposition::Catch(once))));
        assert_eq!(signals.begin(Signal::USR1, &once), SigSet::EMPTY);
        assert!(signals.blocked.contains(Signal::USR1));
        assert_eq!(signals.disposition(Signal::USR1), Disposition::Terminate);
    }

    #[test]
    fn a_new_program_catches_nothing() {
        let mut signals = Signals::default();
        signals.set_action(Signal::USR1, action(ActionFlags::empty()));
        signals.set_action(
            Signal::INT,
            SigAction {
                handler: SigAction::IGNORE,
                ..SigAction::default()
            },
        );
        signals.exec();
        assert_eq!(signals.disposition(Signal::USR1), Disposition::Terminate);
        assert_eq!(signals.disposition(Signal::INT), Disposition::Ignore);
    }
}
