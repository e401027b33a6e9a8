//! The end that is our fault: registers, cause in words, stack. Takes no lock.

use crate::{console::panic::Writer, end};
use core::{
    fmt::Write,
    panic::PanicInfo,
    sync::atomic::{AtomicBool, Ordering},
};
use hv_arch::{cpu, entry::HostRegs, paging, percpu};
use hv_core::regs::UserRegs;

static PANICKING: AtomicBool = AtomicBool::new(false);

/// What vector and error code mean.
pub fn in_words(vector: u32) -> &'static str {
    match vector {
        0 => "divide error",
        1 => "debug",
        2 => "non-maskable interrupt",
        3 => "breakpoint",
        6 => "invalid opcode",
        7 => "device not available",
        8 => "double fault",
        10 => "invalid TSS",
        11 => "segment not present",
        12 => "stack fault",
        13 => "general protection",
        14 => "page fault",
        16 => "x87 error",
        17 => "alignment check",
        18 => "machine check",
        19 => "SIMD error",
        _ => "unexpected vector",
    }
}

/// An exception in the hypervisor that nothing expects.
pub fn unexpected_trap(regs: &UserRegs, host: &HostRegs) -> ! {
    let mut w = begin();
    let _ = writeln!(
        w,
        "PANIC: {} in the hypervisor (vector {}, error code {:#x})",
        in_words(regs.vector),
        regs.vector,
        regs.error_code
    );
    if regs.vector == 14 {
        let e = regs.error_code;
        let _ = writeln!(
            w,
            "  {} of {:#018x}: {}{}",
            match (e & 16 != 0, e & 2 != 0) {
                (true, _) => "execution",
                (_, true) => "write",
                _ => "read",
            },
            cpu::fault_address(),
            if e & 1 != 0 { "not allowed" } else { "not mapped" },
            if e & 8 != 0 { ", reserved bit set" } else { "" },
        );
    }
    registers(&mut w, regs, host);
    backtrace(&mut w, regs.rip, regs.rbp);
    stop()
}

/// A machine check, wherever it hit.
pub fn machine_check(regs: &UserRegs) -> ! {
    let mut w = begin();
    let _ = writeln!(w, "PANIC: machine check at {:04x}:{:#018x}", regs.cs, regs.rip);
    stop()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    if PANICKING.load(Ordering::SeqCst) {
        let _ = writeln!(Writer::bare(), "PANIC while panicking: {info}");
        stop();
    }
    let mut w = begin();
    let _ = writeln!(w, "PANIC: {info}");
    let rbp: u64;
    // SAFETY: reading a register.
    unsafe { core::arch::asm!("mov {}, rbp", out(reg) rbp, options(nomem, nostack, preserves_flags)) };
    backtrace(&mut w, 0, rbp);
    stop()
}

/// A second panic while reporting the first ends at once.
fn begin() -> Writer {
    if PANICKING.swap(true, Ordering::SeqCst) {
        let _ = writeln!(Writer::bare(), "PANIC while panicking");
        stop();
    }
    // SAFETY: interrupts are off in ring 0, one CPU runs, and no caller returns.
    unsafe { Writer::break_in() }
}

fn registers(w: &mut Writer, r: &UserRegs, h: &HostRegs) {
    let _ = writeln!(
        w,
        "  rip {:04x}:{:016x} rflags {:016x} rsp {:04x}:{:016x}",
        r.cs, r.rip, r.rflags, r.ss, r.rsp
    );
    let _ = writeln!(
        w,
        "  rax {:016x} rbx {:016x} rcx {:016x} rdx {:016x}",
        r.rax, r.rbx, r.rcx, r.rdx
    );
    let _ = writeln!(
        w,
        "  rsi {:016x} rdi {:016x} rbp {:016x} r8  {:016x}",
        r.rsi, r.rdi, r.rbp, h.r8
    );
    let _ = writeln!(
        w,
        "  r9  {:016x} r10 {:016x} r11 {:016x} r12 {:016x}",
        h.r9, h.r10, h.r11, h.r12
    );
    let _ = writeln!(w, "  r13 {:016x} r14 {:016x} r15 {:016x}", h.r13, h.r14, h.r15);
    let _ = writeln!(
        w,
        "  cr2 {:016x} cr3 {:016x}",
        cpu::fault_address(),
        cpu::page_table_root()
    );
}

/// Walks the frame pointers: each must lie in the stack that the walk is on, above the one before.
fn backtrace(w: &mut Writer, rip: u64, rbp: u64) {
    let _ = writeln!(w, "Stack:");
    let text = paging::text_range();
    let mut n = 0;
    let mut frame = |address: u64| {
        let _ = writeln!(w, "  #{n} {address:#018x}");
        n += 1;
    };
    if rip != 0 {
        frame(rip);
    }
    let mut at = rbp;
    while let Some((low, high)) = percpu::stack_bounds(at) {
        if at % 8 != 0 || at + 16 > high || at < low {
            break;
        }
        // SAFETY: both words lie inside a mapped stack.
        let (next, back) = unsafe { (*(at as *const u64), *((at + 8) as *const u64)) };
        if !(text.0..text.1).contains(&back) {
            break;
        }
        frame(back);
        if next <= at {
            break;
        }
        at = next;
    }
}

fn stop() -> ! {
    end::emulator_exit(end::status::PANIC);
    cpu::halt()
}
