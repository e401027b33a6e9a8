//! Handlers at a switch: virtual IDT, fast trap, ring-1 stack and callbacks are the domain's own, whoever ran before.
#![no_std]
#![no_main]

use guest_abi::hypercall::CallNumber;
use guest_abi::segment::Selector;
use guest_abi::start_info::StartInfo;
use mini_guest::traps::Cause;
use test_guests::puppet::{Ended, OWN_TRAPS, Puppet, STACK, USER, gate};
use test_guests::tables::Space;
use test_guests::{check, check_eq, guest_abi, report, ring3, scripts};

test_guests::entry!(main);

const SYSTEM_CALL: usize = 0x80;
const FAST: usize = 0x21;
/// Bytes of a frame from ring 3.
const FRAME: u32 = 20;

scripts! {
    breakpoint: "int3";
    /// Goes to ring 3, at the page for it.
    ring_3: "push 0xE033", "push user_page + 4096", "push 0x202", "push 0xE02B", "push user_page", "iretd";
}

/// A puppet whose handlers have numbers of its own, and its stack a place of its own.
fn with_handlers(n: u32, fast: usize) -> Puppet {
    let puppet = Puppet::new(|first| {
        let number = OWN_TRAPS.start + 2 * n;
        first.trap_table[3] = gate(3, number);
        for vector in [SYSTEM_CALL, FAST] {
            first.trap_table[vector] = gate(vector as u8, number + 1);
        }
        first.fast_trap_vector = fast as u32;
        first.kernel_esp = STACK - 64 * n;
    });
    // `int 0x80`, and at 16 `int 0x21`
    let page = puppet.show(7);
    page.write(
        0,
        u64::from_le_bytes([0xCD, 0x80, 0xEB, 0xFE, 0x90, 0x90, 0x90, 0x90]),
    );
    puppet
}

fn judge(puppet: Puppet, n: u32, vector: u8) {
    let number = OWN_TRAPS.start + 2 * n;
    check_eq!(puppet.run(breakpoint).trap(), Some(number), "puppet {n}");
    puppet.show(7).write(
        0,
        u64::from_le_bytes([0xCD, vector, 0xEB, 0xFE, 0x90, 0x90, 0x90, 0x90]),
    );
    let ended = puppet.run(ring_3);
    let Ended::Trap(found, frame) = ended else {
        report::failure(format_args!("puppet {n}: {ended:x?}"))
    };
    check_eq!(found, number + 1, "int {vector:#x} of puppet {n}");
    let ring3 = u32::from(Selector::FLAT_RING3_CS.raw());
    check_eq!((frame[0], frame[1] & 0xFFFF), (USER + 2, ring3), "puppet {n}");
    check_eq!(frame[3], USER + 4096);
    check_eq!(puppet.trap_esp(), STACK - 64 * n - FRAME, "its own stack");
}

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    let page = ring3::pages();
    // One with a fast system call, one with another fast trap, one without any.
    let puppets = [
        with_handlers(0, SYSTEM_CALL),
        with_handlers(1, FAST),
        with_handlers(2, 0),
    ];
    for round in 0..6 {
        for (n, puppet) in (0..).zip(puppets) {
            for vector in [SYSTEM_CALL, FAST] {
                judge(puppet, n, vector as u8);
            }
        }
        let (frame, cause) = ring3::run(page, &[0xCD, 0x80, 0x0F, 0x0B]);
        check!(
            cause == Cause::Vector(0x80),
            "our own in round {round}: {cause:?}"
        );
        check_eq!(frame.eip, page.0 + 2);
    }
    // Changed while others ran in between.
    for (fast, n) in [(FAST, 0), (0, 1), (SYSTEM_CALL, 2)] {
        check_eq!(puppets[n].call(CallNumber::SET_FAST_TRAP, &[fast as u32]), Ok(0));
    }
    for (n, puppet) in (0..).zip(puppets) {
        for vector in [SYSTEM_CALL, FAST] {
            judge(puppet, n, vector as u8);
        }
    }
    report::success()
}
