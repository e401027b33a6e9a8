//! The end that is our fault: registers, cause in words, stack. Takes no lock.

use crate::{console::panic::Writer, end};
use core::{
    fmt::Write,
    panic::PanicInfo,
    sync::atomic::{AtomicBool, Ordering},
};
use hv_arch::{
    backtrace::{self, Frame},
    cpu,
    entry::HostRegs,
    machine_check,
    report::{ErrorCode, Flags, Registers, exception_name},
};
use hv_core::regs::UserRegs;

static PANICKING: AtomicBool = AtomicBool::new(false);

/// An exception in the hypervisor that nothing expects.
pub fn unexpected_trap(regs: &UserRegs, host: &HostRegs) -> ! {
    let mut w = begin();
    let vector = regs.vector as u8;
    let code = ErrorCode {
        vector,
        code: regs.error_code,
    };
    let _ = writeln!(w, "PANIC: {} in the hypervisor: {code}", exception_name(vector));
    registers(&mut w, regs, host);
    stack(&mut w, Some(regs.rip), regs.rbp);
    end::after_panic(&mut w)
}

/// A machine check, wherever it hit.
pub fn machine_check(regs: &UserRegs) -> ! {
    let mut w = begin();
    let (status, faults) = machine_check::faults();
    let _ = writeln!(
        w,
        "PANIC: machine check at {:04x}:{:#018x}, machine-check status {status:#x}",
        regs.cs, regs.rip
    );
    for fault in faults {
        let _ = writeln!(w, "  {fault}");
    }
    end::after_panic(&mut w)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    if PANICKING.load(Ordering::SeqCst) {
        let mut bare = Writer::bare();
        let _ = writeln!(bare, "PANIC while panicking: {info}");
        end::after_panic(&mut bare);
    }
    let mut w = begin();
    let _ = writeln!(w, "PANIC: {info}");
    stack(&mut w, None, backtrace::frame_pointer());
    end::after_panic(&mut w)
}

/// A second panic while reporting the first ends at once.
fn begin() -> Writer {
    if PANICKING.swap(true, Ordering::SeqCst) {
        let mut bare = Writer::bare();
        let _ = writeln!(bare, "PANIC while panicking");
        end::after_panic(&mut bare);
    }
    // SAFETY: interrupts are off in ring 0, one CPU runs, and no caller returns.
    unsafe { Writer::break_in() }
}

fn registers(w: &mut Writer, r: &UserRegs, h: &HostRegs) {
    let _ = writeln!(
        w,
        "  cs:rip {:04x}:{:016x}  ss:rsp {:04x}:{:016x}",
        r.cs, r.rip, r.ss, r.rsp
    );
    let _ = writeln!(w, "  rflags {:016x}  {}", r.rflags, Flags(r.rflags));
    let all = [
        ("rax", r.rax),
        ("rbx", r.rbx),
        ("rcx", r.rcx),
        ("rdx", r.rdx),
        ("rsi", r.rsi),
        ("rdi", r.rdi),
        ("rbp", r.rbp),
        ("r8", h.r8),
        ("r9", h.r9),
        ("r10", h.r10),
        ("r11", h.r11),
        ("r12", h.r12),
        ("r13", h.r13),
        ("r14", h.r14),
        ("r15", h.r15),
        ("cr2", cpu::fault_address()),
        ("cr3", cpu::page_table_root()),
    ];
    let _ = writeln!(w, "{}", Registers(&all));
}

/// The calls that led here; the launcher adds the names. Number 0 is where execution stands, the others are where
/// it would return to.
fn stack(w: &mut Writer, rip: Option<u64>, frame_pointer: u64) {
    let _ = writeln!(w, "Stack:");
    let mut n = u32::from(rip.is_none());
    let mut line = |address: u64| {
        let _ = writeln!(w, "  #{n} {address:#018x}");
        n += 1;
    };
    if let Some(rip) = rip {
        line(rip);
    }
    backtrace::walk(frame_pointer, |frame| match frame {
        Frame::Return(address) | Frame::Interrupted(address) => line(address),
    });
}
