//! Attack: a handler at address 0.
//!
//! Nobody can have meant it, so an event for such a callback kills the domain. (Xen 2.0 jumped to 0.)
//!
//! expect: crash
//! prints: an event is due and it has no event callback
//! mutant: mutant-null-handler
#![no_std]
#![no_main]

use core::sync::atomic::Ordering::Relaxed;
use guest_abi::segment::Selector;
use guest_abi::start_info::StartInfo;
use guest_abi::trap::Vector;
use mini_guest::{shared, traps};
use test_guests::{Regs, check_eq, guest_abi, hypercall, probe, report};

test_guests::entry!(main);

/// The hypervisor entered the callback: the fetch at 0 faults, for nothing is mapped there.
fn at_0(regs: &mut Regs) {
    if (regs.eip, regs.cr2) == (0, 0) {
        report::success()
    }
    report::error(format_args!("another fault: {regs}"))
}

fn main(_: &'static StartInfo) -> ! {
    traps::set_kernel_handler(Vector::PAGE_FAULT, Some(at_0));
    let null = (Selector::FLAT_RING1_CS, 0);
    check_eq!(
        hypercall::set_callbacks(null, (Selector::FLAT_RING1_CS, probe::address())),
        Ok(())
    );
    shared::upcall_pending().store(1, Relaxed);
    shared::upcall_mask().store(0, Relaxed);
    let version = hypercall::xen_version();
    report::failure(format_args!("an event was not delivered: {version:?}"))
}
