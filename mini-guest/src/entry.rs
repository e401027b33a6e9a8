//! The first instructions, and what every kernel made with this library does before its `main`.
//!
//! At the entry the domain builder's tables are in force, ESI points to start_info, and the stack is one page.
//! `mini_guest_start` moves to the kernel stack of [`crate::traps`]; Rust code then maps shared-info, sets
//! up traps and callbacks (events stay masked), and calls the function that [`crate::entry!`] names.

use core::arch::global_asm;

use guest_abi::elfnote::{ABI_VERSION, NoteType, OWNER};
use guest_abi::start_info::StartInfo;

use crate::traps::{KERNEL_STACK, KernelStack};
use crate::{console, report, shared, traps};

/// Linear address of pseudo-physical frame 0. The linker script links there.
pub const VIRT_BASE: u32 = 0xC000_0000;

global_asm!(
    r#"
        .section .text.entry, "ax", @progbits
        .globl  mini_guest_start
mini_guest_start:
        cld
        mov     esp, offset {STACK} + {STACK_END}
        xor     ebp, ebp
        sub     esp, 12
        push    esi
        call    {start}
        ud2

        .section .note.xenlite, "a", @note
        .balign 4
        .long   {OWNER_BYTES}, 4, {ABI_TYPE}
        .asciz  "xenlite"
        .balign 4
        .long   {ABI_VERSION}
        .long   {OWNER_BYTES}, 4, {BASE_TYPE}
        .asciz  "xenlite"
        .balign 4
        .long   {VIRT_BASE}
    "#,
    STACK = sym KERNEL_STACK,
    STACK_END = const size_of::<KernelStack>(),
    start = sym start,
    OWNER_BYTES = const OWNER.len() + 1,
    ABI_TYPE = const NoteType::ABI_VERSION.raw(),
    ABI_VERSION = const ABI_VERSION,
    BASE_TYPE = const NoteType::VIRT_BASE.raw(),
    VIRT_BASE = const VIRT_BASE,
);

const _: () = assert!(matches!(OWNER.as_bytes(), b"xenlite"));

/// Names the function that the kernel begins with: `fn(&'static StartInfo) -> !`.
///
/// It runs in ring 1 with events masked, on the kernel stack, with traps and callbacks installed.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        const _: () = {
            #[unsafe(no_mangle)]
            extern "Rust" fn mini_guest_main(
                start_info: &'static $crate::guest_abi::start_info::StartInfo,
            ) -> ! {
                let main: fn(&'static $crate::guest_abi::start_info::StartInfo) -> ! = $main;
                main(start_info)
            }
        };
    };
}

unsafe extern "Rust" {
    safe fn mini_guest_main(start_info: &'static StartInfo) -> !;
}

/// # Safety
/// Called once, by the entry code, with the address that ESI held.
unsafe extern "C" fn start(start_info: *const StartInfo) -> ! {
    // SAFETY: the domain builder filled the page, and nobody writes it again.
    let start_info = unsafe { &*start_info };
    if let Err(errno) = shared::map(start_info.shared_info) {
        report::broken(format_args!(
            "cannot map shared_info at {:#x}: {errno}",
            start_info.shared_info.raw()
        ));
    }
    console::ring::init(start_info);
    if let Err(errno) = traps::init() {
        report::broken(format_args!("cannot set up traps: {errno}"));
    }
    mini_guest_main(start_info)
}
