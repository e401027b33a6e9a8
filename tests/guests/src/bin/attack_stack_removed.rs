//! Attack: a return that faults because the stack segment is gone. There is nothing that a frame could be pushed on, so the
//! domain is killed, and says so.
//!
//! expect: crash
//! prints: a frame could not be written to its kernel stack at 0019:
#![no_std]
#![no_main]

use core::arch::asm;
use guest_abi::segment::{Descriptor, DescriptorFlags, Selector, segment_type};
use guest_abi::start_info::StartInfo;
use test_guests::pages::Page;
use test_guests::tables::Space;
use test_guests::{check_eq, guest_abi, hypercall, report};

test_guests::entry!(main);

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    let gdt = Page::take();
    let stack = Descriptor::from_fields(0, 0xF_FFFF, segment_type::WRITABLE, 1, DescriptorFlags::ORDINARY);
    gdt.write(3, stack.raw());
    gdt.protect();
    check_eq!(hypercall::set_gdt(&[gdt.mfn()], 512), Ok(()));
    let selector = u32::from(Selector::gdt(3, 1).raw());
    let at = gdt.entry_addr(3);
    // SAFETY: the segment is the flat one under another name.
    unsafe { asm!("mov ss, {0:e}", in(reg) selector) };
    // SAFETY: a slot of our own table.
    let answer = unsafe { hypercall::update_descriptor(at, Descriptor::new(0)) };
    report::failure(format_args!("the kernel goes on without a stack: {answer:?}"))
}
