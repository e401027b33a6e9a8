//! Attack: a kernel stack whose segment ends below the stack pointer.
//!
//! 64-bit code writes the frame of a trap by linear address, so nobody but the hypervisor compares with the segment's limit.
//! Here the stack pointer is good memory that lies beyond the limit; the domain must be killed, not served.
//!
//! expect: crash
//! prints: a frame could not be written to its kernel stack at 0009:
//! mutant: mutant-stack-range
#![no_std]
#![no_main]

use core::arch::asm;
use guest_abi::segment::{Descriptor, DescriptorFlags, Selector, segment_type};
use guest_abi::start_info::StartInfo;
use guest_abi::trap::Vector;
use mini_guest::traps;
use test_guests::pages::Page;
use test_guests::tables::Space;
use test_guests::{Regs, check_eq, guest_abi, hypercall, report};

test_guests::entry!(main);

fn reached(_: &mut Regs) {
    report::success()
}

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    let gdt = Page::take();
    // One page from address 0: everything that is used lies beyond.
    let stack = Descriptor::from_fields(0, 0, segment_type::WRITABLE, 1, DescriptorFlags::ORDINARY);
    gdt.write(1, stack.raw());
    gdt.protect();
    check_eq!(hypercall::set_gdt(&[gdt.mfn()], 512), Ok(()));
    traps::set_kernel_handler(Vector::INVALID_OPCODE, Some(reached));
    let selector = u32::from(Selector::gdt(1, 1).raw());
    // SAFETY: the trap does not come back here. Between the two instructions nothing touches the stack.
    unsafe { asm!("mov ss, {0:e}", "ud2", in(reg) selector, options(noreturn)) }
}
