//! Attack: the page that runs and the stack under it are unmapped.
//!
//! The fetch behind the call faults, and the frame of that fault has nowhere to go. The domain is killed with a line
//! that says so. A hypervisor that does not look whether the frame arrived enters the handler with an empty stack.
//!
//! expect: crash
//! prints: a frame could not be written to its kernel stack at e021:
//! mutant: mutant-frame-fault
#![no_std]
#![no_main]

use core::arch::asm;
use guest_abi::hypercall::CallNumber;
use guest_abi::mmu::{MmuUpdate, Pte};
use guest_abi::segment::Selector;
use guest_abi::start_info::StartInfo;
use guest_abi::trap::{TrapFlags, TrapInfo, Vector};
use test_guests::pages::Page;
use test_guests::tables::Space;
use test_guests::{check_eq, guest_abi, hypercall, report};

test_guests::entry!(main);

/// Where the page fault's handler begins: it takes a good stack first.
#[unsafe(naked)]
extern "C" fn handler() -> ! {
    core::arch::naked_asm!(
        "mov esp, offset {STACK} + {SIZE}",
        "call {reached}",
        STACK = sym mini_guest::traps::KERNEL_STACK,
        SIZE = const size_of::<mini_guest::traps::KernelStack>(),
        reached = sym reached,
    )
}

extern "C" fn reached() -> ! {
    report::success()
}

fn main(start_info: &'static StartInfo) -> ! {
    let space = Space::new(start_info);
    let (code, stack) = (Page::take(), Page::take());
    let trap = TrapInfo {
        vector: Vector::PAGE_FAULT.raw(),
        flags: TrapFlags::empty(),
        cs: Selector::FLAT_RING1_CS,
        address: handler as *const () as u32,
    };
    check_eq!(hypercall::set_trap_table(&[trap, TrapInfo::default()]), Ok(()));
    // `int 0x82; ud2`, at the end of a page.
    for (offset, byte) in [0xCD_u8, 0x82, 0x0F, 0x0B].iter().enumerate() {
        // SAFETY: a page of our own.
        unsafe {
            ((code.0 + 0xFF0) as *mut u8)
                .wrapping_add(offset)
                .write_volatile(*byte)
        };
    }
    let requests = [
        MmuUpdate::normal(space.l1_entry(code.0), Pte::EMPTY),
        MmuUpdate::normal(space.l1_entry(stack.0), Pte::EMPTY),
        MmuUpdate::extended(guest_abi::mmu::Extended::TlbFlush),
    ];
    // SAFETY: it does not come back.
    unsafe {
        asm!(
            "mov esp, {stack}",
            "jmp {code}",
            stack = in(reg) stack.0 + 0x1000,
            code = in(reg) code.0 + 0xFF0,
            in("eax") CallNumber::MMU_UPDATE.raw(),
            in("ebx") requests.as_ptr(),
            in("ecx") requests.len(),
            in("edx") 0,
            options(noreturn)
        )
    }
}
