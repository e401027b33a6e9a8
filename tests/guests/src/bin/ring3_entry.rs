//! The ways from ring 3 into the kernel: the fast trap, ordinary traps, `stack_switch`, page faults.
//!
#![no_std]
#![no_main]

use guest_abi::errno::Errno;
use guest_abi::hypercall::CallNumber;
use guest_abi::segment::Selector;
use guest_abi::start_info::StartInfo;
use guest_abi::trap::SYSCALL_VECTOR;
use mini_guest::traps::{self, Cause};
use test_guests::raw::call;
use test_guests::tables::Space;
use test_guests::{check_eq, guest_abi, hypercall, probe, report, ring3};

test_guests::entry!(main);

const SYSCALL: [u8; 2] = [0xCD, SYSCALL_VECTOR];
/// Two bytes and then a page fault: `mov al, [0]`.
const LOAD_0: [u8; 5] = [0xA0, 0, 0, 0, 0];

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    let page = ring3::pages();
    for fast in [false, true] {
        if fast {
            check_eq!(traps::arm_fast_syscall(), Ok(()));
        }
        let mut frame = ring3::frame(page, &SYSCALL);
        (frame.eax, frame.ebx, frame.ecx, frame.edx) = (20, 0x1111_2222, 0x3333_4444, 0x5555_6666);
        (frame.esi, frame.edi) = (0x7777_8888, 0x9999_AAAA);
        let (found, cause) = ring3::enter(&frame);
        check_eq!(cause, Cause::Vector(SYSCALL_VECTOR));
        check_eq!((found.eip, found.esp), (page.0 + 2, page.0 + 0x2000));
        check_eq!((found.eax, found.ebx, found.ecx), (20, 0x1111_2222, 0x3333_4444));
        check_eq!(
            (found.edx, found.esi, found.edi),
            (0x5555_6666, 0x7777_8888, 0x9999_AAAA)
        );
        check_eq!(found.cs & 0xFFFF, u32::from(Selector::FLAT_RING3_CS.raw()));
        check_eq!(found.ss & 0xFFFF, u32::from(Selector::FLAT_RING3_DS.raw()));
        check_eq!(found.eflags & 0x7202, 0x202, "IF is 1, IOPL and NT are 0");
    }
    let (found, cause) = ring3::run(page, &LOAD_0);
    check_eq!(cause, Cause::Vector(14));
    check_eq!((found.cr2, found.error), (0, 4), "a user's read of nothing");
    let kernel = probe::address().to_le_bytes();
    let (found, cause) = ring3::run(page, &[0xA2, kernel[0], kernel[1], kernel[2], kernel[3]]);
    check_eq!(cause, Cause::Vector(14));
    check_eq!(
        (found.cr2, found.error),
        (probe::address(), 7),
        "a user's write to the kernel"
    );
    let (_, cause) = ring3::run(page, &[0xFA]);
    check_eq!(cause, Cause::Vector(13), "cli in ring 3");
    let (found, cause) = ring3::run(page, &[0xA1, 0, 0, 0, 0xFC]);
    check_eq!(
        cause,
        Cause::Vector(14),
        "the machine-to-phys table is not ring 3's to read"
    );
    check_eq!(found.error, 5);
    refusals();
    report::success()
}

fn refusals() {
    let trap = |vector| call(CallNumber::SET_FAST_TRAP, &[vector]);
    for vector in [1, 3, 0x1F, 0x30, 0x7F, 0x81, 0x82, 0x100, 0x180, u32::MAX] {
        check_eq!(trap(vector), Err(Errno::Inval), "fast trap {vector:#x}");
    }
    check_eq!(trap(0x20), Err(Errno::Inval), "without a handler");
    check_eq!(probe::install(0x20, 3, true), Ok(()));
    check_eq!(trap(0x20), Err(Errno::Inval), "with a handler that masks events");
    check_eq!(probe::install(0x20, 3, false), Ok(()));
    check_eq!(trap(0x20), Ok(0));
    check_eq!(trap(0), Ok(0));

    let switch = |ss: u16| call(CallNumber::STACK_SWITCH, &[ss.into(), 0x1000]);
    for ss in [0, 0xE010, 0xE020, 0xFFFC] {
        check_eq!(switch(ss), Err(Errno::Perm), "stack selector {ss:#x}");
    }
    let event = (Selector::FLAT_RING1_CS, probe::address());
    for cs in [0, 0xE008, 0xE02B, 0xE018, 0xE039] {
        let bad = (Selector::new(cs), probe::address());
        check_eq!(
            hypercall::set_callbacks(bad, event),
            Err(Errno::Perm),
            "event callback {cs:#x}"
        );
        check_eq!(
            hypercall::set_callbacks(event, bad),
            Err(Errno::Perm),
            "failsafe callback {cs:#x}"
        );
    }
}
