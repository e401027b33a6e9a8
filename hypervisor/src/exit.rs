//! The slow half of the way back to a guest: what the entry code calls when there is something to do first.

use crate::{end, interrupts, machine::Machine, state};
use hv_arch::{
    cpu,
    percpu::{self, due},
};
use hv_core::{
    exit::{BeforeGuest, before_guest, before_guest_quickly},
    mm::Mmu,
    regs::UserRegs,
};

/// Does all that is due, sleeps while nobody can run, and comes back with the registers of who runs next.
#[unsafe(no_mangle)]
extern "sysv64" fn exit_work(regs: &mut UserRegs) {
    let reasons = percpu::take_due();
    if reasons & due::NMI == 0 && state::with(regs, before_guest_quickly) {
        percpu::clear_due(due::WORK);
    } else {
        work_thoroughly(regs, reasons);
    }
}

#[cold]
#[inline(never)]
fn work_thoroughly(regs: &mut UserRegs, mut reasons: u32) {
    loop {
        if reasons & due::NMI != 0 {
            interrupts::report_nmi();
        }
        match state::with(regs, before_guest) {
            BeforeGuest::Go => {
                // What was due is done; an NMI that came meanwhile keeps its mark.
                percpu::clear_due(due::WORK);
                return;
            }
            BeforeGuest::Idle if scrub() => cpu::take_interrupts(),
            BeforeGuest::Idle => cpu::wait_for_interrupt(),
            BeforeGuest::End(how) => end::machine(how),
        }
        reasons = percpu::take_due();
    }
}

/// Frames zeroed between two looks at interrupts.
const SCRUB_STEP: u32 = 16;

/// Uses idle time to zero some free frames; says whether there are more.
fn scrub() -> bool {
    Mmu::new(&mut state::lock(), &Machine).scrub_some(SCRUB_STEP)
}
