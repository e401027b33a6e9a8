//! From the kernel's initial stack to a program's `main`, and from its return to `exit_group`.
//!
//! At entry the stack holds argc, the argument pointers, a zero, the environment pointers, a zero, and the auxiliary
//! vector (System V ABI, Intel386 supplement, "Process initialization").

use core::arch::global_asm;
use core::panic::PanicInfo;

use crate::args::Args;
use crate::{eprintln, io, process};

global_asm!(
    ".section .text._start, \"ax\"",
    ".global _start",
    "_start:",
    "    xor ebp, ebp", // the outermost frame
    "    mov eax, esp",
    "    and esp, -16",
    "    sub esp, 12",
    "    push eax",
    "    call {enter}",
    "    ud2",
    enter = sym enter,
);

/// Makes `$main`, a `fn(&Args) -> i32`, the program's main function.
#[macro_export]
macro_rules! program {
    ($main:path) => {
        #[unsafe(no_mangle)]
        fn program_main(args: &$crate::args::Args) -> i32 {
            $main(args)
        }
    };
}

unsafe extern "Rust" {
    /// Defined in each program by [`program!`].
    safe fn program_main(args: &Args) -> i32;
}

extern "C" fn enter(stack: *const usize) -> ! {
    // SAFETY: `_start` passes the stack pointer that the kernel gave, below which nothing was changed.
    let args = unsafe { Args::from_initial_stack(stack) };
    let status = program_main(&args);
    process::exit(if status == 0 && io::output_failed() {
        1
    } else {
        status
    })
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    eprintln!("{info}");
    process::exit(101)
}
