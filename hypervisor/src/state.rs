//! The one state of the hypervisor and the one lock around it.

use crate::{lock::BitLock, machine::Machine};
use hv_core::{context::Context, hypervisor::Hypervisor, regs::UserRegs, segment::SegmentLimits};
use lock_api::{Mutex, MutexGuard, RawMutex};

/// Limits and memory are filled in at boot.
static HYPERVISOR: Mutex<BitLock, Hypervisor> =
    Mutex::from_raw(BitLock::INIT, Hypervisor::new(SegmentLimits::Full));

/// Takes the lock. Nobody holds it across a return to a guest or a sleep, and interrupts are off, so on one CPU this
/// never waits.
#[inline(always)]
pub fn lock() -> MutexGuard<'static, BitLock, Hypervisor> {
    HYPERVISOR.lock()
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

/// The same by a short way. Where that cannot be gone (`None`: nothing has changed, or the lock is not free), `long` does it
/// all. That is the one call here and the last thing done, so that the short way needs no stack.
#[inline(always)]
pub fn with_short_way<R>(
    regs: &mut UserRegs,
    short: impl FnOnce(&mut Context<'_, Machine>) -> Option<R>,
    long: impl FnOnce(&mut Context<'_, Machine>) -> R,
) -> R {
    if let Some(mut hv) = HYPERVISOR.try_lock() {
        let cx = &mut Context {
            hv: &mut hv,
            platform: &Machine,
            regs,
        };
        if let Some(done) = short(cx) {
            return done;
        }
    }
    out_of_line(regs, long)
}

#[cold]
#[inline(never)]
fn out_of_line<R>(regs: &mut UserRegs, f: impl FnOnce(&mut Context<'_, Machine>) -> R) -> R {
    with(regs, f)
}
