//! Attack: a return that faults, of a kernel whose failsafe callback cannot be entered either: it is in the segment that is
//! gone, and it is where the kernel would go on.
//!
//! expect: crash
//! prints: its return frame is bad and the failsafe callback cannot be entered
#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use guest_abi::segment::{Descriptor, DescriptorFlags, Selector, segment_type};
use guest_abi::start_info::StartInfo;
use test_guests::pages::Page;
use test_guests::tables::Space;
use test_guests::{check_eq, guest_abi, hypercall, probe};

test_guests::entry!(main);

/// Entry of the code segment.
const ENTRY: u16 = 3;

global_asm!(
    r#"
        .section .text.test_spoil, "ax", @progbits
        .globl  test_spoil
test_spoil:
        int     0x82
        .globl  test_behind
test_behind:
        ret
    "#
);

unsafe extern "C" {
    safe fn test_spoil();
    safe fn test_behind();
}

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    let gdt = Page::take();
    let code = Descriptor::from_fields(
        0,
        0xF_FFFF,
        segment_type::CODE | segment_type::WRITABLE,
        1,
        DescriptorFlags::ORDINARY,
    );
    gdt.write(ENTRY.into(), code.raw());
    gdt.protect();
    check_eq!(hypercall::set_gdt(&[gdt.mfn()], 512), Ok(()));
    let selector = Selector::gdt(ENTRY, 1);
    check_eq!(
        hypercall::set_callbacks(
            (Selector::FLAT_RING1_CS, probe::address()),
            (selector, test_behind as *const () as u32)
        ),
        Ok(())
    );
    let at = gdt.entry_addr(ENTRY.into()).raw();
    // SAFETY: call 10 with an empty descriptor, made in the segment that it empties; it does not come back.
    unsafe {
        asm!(
            "push {selector}", "push {spoil}", "xor edx, edx", "xor esi, esi", "mov eax, 10", "retf",
            selector = in(reg) u32::from(selector.raw()), spoil = in(reg) test_spoil as *const () as u32,
            in("ebx") at as u32, in("ecx") (at >> 32) as u32, options(noreturn)
        )
    }
}
