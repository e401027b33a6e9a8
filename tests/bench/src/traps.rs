//! Exceptions of the kernel itself: to its handler and back by the handler's own `iret`.

use guest_abi::segment::Selector;
use guest_abi::trap::{TrapFlags, TrapInfo, Vector};
use mini_guest::{hypercall, traps};

use crate::routine::{ARGS, BREAKPOINT, PAGE_FAULT, UNDEFINED, measure as cost};

unsafe extern "C" {
    safe fn bench_on_page_fault();
    safe fn bench_on_undefined();
    safe fn bench_on_plain();
}

/// Nothing is mapped there.
const UNMAPPED: u32 = 0x1000;

/// A handler entered with events masked.
pub const fn handler(vector: u8, dpl: u8, flags: TrapFlags, address: u32) -> TrapInfo {
    TrapInfo {
        vector,
        flags: TrapFlags::with_dpl(dpl).union(flags),
        cs: Selector::FLAT_RING1_CS,
        address,
    }
}

/// Measures them.
pub fn measure() {
    let address = |f: unsafe extern "C" fn()| f as *const () as u32;
    let masked = TrapFlags::MASK_EVENTS;
    let table = [
        handler(Vector::PAGE_FAULT.raw(), 0, masked, address(bench_on_page_fault)),
        handler(
            Vector::INVALID_OPCODE.raw(),
            0,
            masked,
            address(bench_on_undefined),
        ),
        handler(Vector::BREAKPOINT.raw(), 3, masked, address(bench_on_plain)),
        TrapInfo::default(),
    ];
    hypercall::set_trap_table(&table).expect("good handlers");
    ARGS.set([UNMAPPED]);
    // SAFETY: the handlers go on behind the instruction that trapped, and change nothing else.
    unsafe {
        cost("page_fault", PAGE_FAULT, 1);
        cost("undefined_opcode", UNDEFINED, 1);
        cost("breakpoint", BREAKPOINT, 1);
    }
    traps::init().expect("the kernel's own handlers");
}
