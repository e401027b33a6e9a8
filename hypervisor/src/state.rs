//! The one state of the hypervisor and the one lock around it.

use crate::machine::Machine;
use hv_core::{context::Context, hypervisor::Hypervisor, regs::UserRegs, segment::SegmentLimits};
use spin::{Mutex, MutexGuard};

/// Limits and memory are filled in at boot.
static HYPERVISOR: Mutex<Hypervisor> = Mutex::new(Hypervisor::new(SegmentLimits::Full));

/// Takes the lock. Nobody holds it across a return to a guest or a sleep, and interrupts are off, so on one CPU this
/// never waits.
#[inline(always)]
pub fn lock() -> MutexGuard<'static, Hypervisor> {
    // No call, so that no register need be saved for the case that never happens.
    loop {
        if let Some(guard) = HYPERVISOR.try_lock() {
            return guard;
        }
        core::hint::spin_loop();
    }
}

/// Runs `f` on the state, the machine and the registers of the guest that entered.
#[inline(always)]
pub fn with<R>(regs: &mut UserRegs, f: impl FnOnce(&mut Context<'_, Machine>) -> R) -> R {
    let mut hv = lock();
    f(&mut Context {
        hv: &mut hv,
        platform: &Machine,
        regs,
    })
}
