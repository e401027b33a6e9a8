//! Attack: pointers that lead a call into the hypervisor, across 4 GiB, into a hole half-way.
//!
//! Every call that takes a pointer is given bad ones. The machine-to-phys window is the telling case: ring 1 may read it
//! itself, so nothing but the range check keeps a call from reading it.
//!
//! mutant: mutant-pointer-range
//! mutant: mutant-fixup
#![no_std]
#![no_main]

use guest_abi::errno::Errno;
use guest_abi::hypercall::CallNumber;
use guest_abi::mmu::{Extended, MmuUpdate, Pte};
use guest_abi::start_info::StartInfo;
use guest_abi::version::VersionCmd;
use test_guests::pages::{Page, WRITABLE, peek32};
use test_guests::raw::{call, remap};
use test_guests::tables::Space;
use test_guests::{check, check_eq, guest_abi, report};

test_guests::entry!(main);

/// Where 8 bytes cannot be read: in the window, at its edges, across 4 GiB, at the end.
const OUTSIDE: [u32; 9] = [
    0xFBFF_FFF9,
    0xFC00_0000,
    0xFC00_1000,
    0xFC3F_FFF8,
    0xFD00_0000,
    0xFFFF_F000,
    0xFFFF_FFF8,
    0xFFFF_FFF9,
    0xFFFF_FFFF,
];

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    let taken = call(CallNumber::CONSOLE_IO, &[0, 16, 0xFC00_0000]);
    check_eq!(
        taken,
        Err(Errno::Fault),
        "the machine-to-phys table on the console"
    );
    for at in OUTSIDE {
        bad(at);
    }
    bad(0x1000);
    let pages = Page::take_run(2);
    let hole = pages.next(1);
    check_eq!(remap(hole.0, Pte::EMPTY), Ok(()));
    half_way(hole.0);
    check_eq!(remap(hole.0, hole.pte(WRITABLE)), Ok(()));
    unaligned(pages);
    report::success()
}

/// Calls with `at` as their pointer.
fn bad(at: u32) {
    let fault = Err(Errno::Fault);
    check_eq!(call(CallNumber::SET_TRAP_TABLE, &[at]), fault, "{at:#x}");
    check_eq!(call(CallNumber::MMU_UPDATE, &[at, 1, 0]), fault, "{at:#x}");
    check_eq!(call(CallNumber::MMU_UPDATE, &[at, 0xFFFF, 0]), fault, "{at:#x}");
    check_eq!(call(CallNumber::SET_GDT, &[at & !3, 7168]), fault, "{at:#x}");
    check_eq!(call(CallNumber::DOM0_OP, &[at]), fault, "{at:#x}");
    check_eq!(call(CallNumber::MULTICALL, &[at, 1]), fault, "{at:#x}");
    check_eq!(call(CallNumber::MULTICALL, &[at, 0x0800_0000]), fault, "{at:#x}");
    check_eq!(call(CallNumber::EVENT_CHANNEL_OP, &[at]), fault, "{at:#x}");
    for command in [VersionCmd::EXTRAVERSION, VersionCmd::FEATURES] {
        check_eq!(
            call(CallNumber::XEN_VERSION, &[command.raw(), at]),
            fault,
            "{at:#x}"
        );
    }
    check_eq!(call(CallNumber::CONSOLE_IO, &[0, 16, at]), fault, "{at:#x}");
    check_eq!(call(CallNumber::CONSOLE_IO, &[1, 16, at]), fault, "{at:#x}");
    check_eq!(call(CallNumber::PHYSDEV_OP, &[at]), fault, "{at:#x}");
    // The counter of requests done: nothing is done before it is known to be in range.
    let flush = [MmuUpdate::extended(Extended::TlbFlush)];
    let answer = call(CallNumber::MMU_UPDATE, &[flush.as_ptr() as u32, 1, at]);
    check_eq!(answer, fault, "{at:#x}");
    // A list of extents that cannot be written: none is completed, and none is lost.
    let increased = call(CallNumber::DOM_MEM_OP, &[0, at & !3, 4, 0, 0x7FF0]);
    check_eq!(increased, Ok(0), "{at:#x}");
}

/// Structures that begin in a mapped page and end in `hole`.
fn half_way(hole: u32) {
    let fault = Err(Errno::Fault);
    for before in [1, 4, 7] {
        let at = hole - before;
        check_eq!(call(CallNumber::SET_TRAP_TABLE, &[at]), fault);
        check_eq!(call(CallNumber::MMU_UPDATE, &[at, 1, 0]), fault);
        check_eq!(call(CallNumber::DOM0_OP, &[at]), fault);
        check_eq!(call(CallNumber::MULTICALL, &[at, 1]), fault);
        check_eq!(call(CallNumber::EVENT_CHANNEL_OP, &[at]), fault);
        check_eq!(call(CallNumber::XEN_VERSION, &[1, at]), fault);
        check_eq!(call(CallNumber::CONSOLE_IO, &[1, 16, at]), fault);
        check_eq!(call(CallNumber::PHYSDEV_OP, &[at]), fault);
    }
    check_eq!(call(CallNumber::SET_GDT, &[hole - 4, 513]), fault);
}

/// No alignment is asked for.
fn unaligned(pages: Page) {
    for offset in [1, 3, 0xFF9] {
        let at = pages.0 + offset;
        check_eq!(call(CallNumber::XEN_VERSION, &[1, at]), Ok(0));
        check!(peek32(at) == u32::from_le_bytes(*b"-xen"));
    }
}
