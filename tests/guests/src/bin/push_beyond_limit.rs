//! Ring 1 pushes beyond the end of its stack segment, on a processor that checks limits: the #SS has no stack to arrive on, so
//! the domain is killed and the hypervisor lives. (Ring 3's push is in `limits`: there the kernel is told.)
//!
//! emulator: bochs
//! memory: 128
//! expect: crash
//! prints: a frame could not be written to its kernel stack at e021:fc401000 (trap 0xc, error code 0x0)
#![no_std]
#![no_main]

use core::arch::asm;
use guest_abi::start_info::StartInfo;
use test_guests::guest_abi;

test_guests::entry!(main);

fn main(_: &'static StartInfo) -> ! {
    // SAFETY: the push does not happen.
    unsafe { asm!("mov esp, 0xfc401000", "push eax", "ud2", options(noreturn)) }
}
