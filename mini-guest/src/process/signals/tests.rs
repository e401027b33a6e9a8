//! Dispositions, and frames there and back.

use super::*;
use crate::linux::signal::ActionFlags;
use crate::linux::word;
use crate::traps::{TrapFrame, eflags};

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
