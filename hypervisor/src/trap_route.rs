//! Who gets which trap: a guest, the exception table, or the panic.

use crate::{crash, interrupts, machine::Machine, state};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use hv_arch::{
    cpu,
    entry::{HostRegs, points},
    idt,
    percpu::{self, due},
    usercopy,
};
use hv_core::{
    bounce,
    context::Context,
    crash as guest_crash,
    platform::CpuControl,
    regs::UserRegs,
    segment::ldt,
    trap::{self, TrapOutcome},
};

const DEBUG: u32 = 1;
const PAGE_FAULT: u32 = 14;

/// A page fault from ring 1, 2 or 3.
#[unsafe(no_mangle)]
extern "sysv64" fn page_fault_from_guest(regs: &mut UserRegs, cr2: u64) {
    state::with_short_way(
        regs,
        |cx| trap::page_fault_quickly(cx, cx.regs.error_code, cr2).then_some(()),
        move |cx| {
            cx.regs.vector = PAGE_FAULT;
            let outcome = trap::page_fault(cx, cx.regs.error_code, cr2);
            survive(cx, outcome);
        },
    );
}

/// An exception without error code that is passed on as it is.
#[unsafe(no_mangle)]
extern "sysv64" fn plain_trap_from_guest(regs: &mut UserRegs, vector: u8) {
    state::with_short_way(
        regs,
        |cx| bounce::deliver_quickly(cx, vector).then_some(()),
        move |cx| {
            (cx.regs.vector, cx.regs.error_code) = (vector.into(), 0);
            let outcome = bounce::deliver_exception(cx, vector, None, None);
            survive(cx, outcome);
        },
    );
}

/// Any other exception, or a vector that a guest may raise by `int n`.
#[unsafe(no_mangle)]
extern "sysv64" fn trap_from_guest(regs: &mut UserRegs) {
    let vector = regs.vector;
    let detail = match vector {
        DEBUG => u64::from(cpu::take_debug_status()),
        _ => 0,
    };
    state::with(regs, |cx| {
        let error = cx.regs.error_code;
        let outcome = trap::handle_guest_trap(cx, vector as u8, error, detail);
        survive(cx, outcome);
    });
}

/// The end of a domain whose trap cannot be handled.
#[inline(always)]
fn survive(cx: &mut Context<'_, Machine>, outcome: TrapOutcome) {
    if let Err(reason) = outcome {
        guest_crash::current_domain(cx, reason);
    }
}

/// Vector of the last fault on the way back to a guest.
static RETURN_FAULT: AtomicU32 = AtomicU32::new(0);

/// An exception in ring 0: an expected one has a place to go on; any other is a bug of ours.
#[unsafe(no_mangle)]
extern "sysv64" fn trap_from_hypervisor(regs: &mut UserRegs, host: &HostRegs) {
    let is_recovered = !(cfg!(feature = "mutant-fixup") && regs.vector == PAGE_FAULT);
    if let Some(goal) = usercopy::fixup(regs.rip)
        && is_recovered
    {
        idt::note_recovered(regs.error_code);
        regs.rip = goal;
    } else if let Some(goal) = points::return_fixup(regs.rip) {
        RETURN_FAULT.store(regs.vector, Relaxed);
        regs.rip = goal;
    } else {
        crash::unexpected_trap(regs, host)
    }
}

/// The way back to the guest faulted. Its code or stack selector may need an LDT page that is not mapped yet: then
/// the return is tried again. Else its own segments are bad, and it gets its failsafe callback.
#[unsafe(no_mangle)]
extern "sysv64" fn iret_failed(regs: &mut UserRegs) {
    let address = (RETURN_FAULT.load(Relaxed) == PAGE_FAULT).then(cpu::fault_address);
    state::with(regs, |cx| {
        if address.is_some_and(|address| ldt::map_page_at(cx, address)) {
            return;
        }
        let segments = Machine.data_segments();
        Machine.clear_data_segments();
        if let Err(reason) = bounce::deliver_failsafe(cx, segments) {
            guest_crash::current_domain(cx, reason);
        }
    });
}

/// A device interrupt, from a guest or from the idle sleep.
#[unsafe(no_mangle)]
extern "sysv64" fn interrupt(vector: u32) {
    interrupts::handle(vector as u8);
}

/// A debug exception hit the hypervisor itself: a guest's breakpoint on its own address that a copy of ours touched,
/// or a MOV SS in front of an `int`. It is nobody's: were it left in DR6, the next debug exception of whatever guest
/// would be taken for it.
#[unsafe(no_mangle)]
extern "sysv64" fn debug_from_hypervisor() {
    let _ = cpu::take_debug_status();
}

/// Takes no lock, touches no guest memory: leaves a mark for the exit path.
#[unsafe(no_mangle)]
extern "sysv64" fn nmi(_regs: &mut UserRegs) {
    percpu::raise_due(due::NMI);
}

/// Machine checks end the machine: there is no telling what is damaged.
#[unsafe(no_mangle)]
extern "sysv64" fn machine_check(regs: &mut UserRegs) {
    crash::machine_check(regs)
}

/// A double fault means that a stack or a table of ours is broken.
#[unsafe(no_mangle)]
extern "sysv64" fn double_fault(regs: &mut UserRegs, host: &HostRegs) -> ! {
    crash::unexpected_trap(regs, host)
}
