//! The kind of lock that the hypervisor's state is behind: one bit, taken by one instruction.
//!
//! Taking it is inlined into every entry from a guest, where each instruction counts: no loop, and no call but the one
//! that waits, which never happens on one CPU.

use core::sync::atomic::{AtomicU32, Ordering};
use lock_api::{GuardNoSend, RawMutex};

/// See the module.
#[derive(Debug)]
pub struct BitLock(AtomicU32);

const HELD: u32 = 1;

// SAFETY: the bit goes from clear to set by an atomic exchange, which only one taker sees; it is cleared by its holder.
unsafe impl RawMutex for BitLock {
    const INIT: Self = Self(AtomicU32::new(0));
    type GuardMarker = GuardNoSend;

    #[inline(always)]
    fn lock(&self) {
        if !self.try_lock() {
            self.wait();
        }
    }

    #[inline(always)]
    fn try_lock(&self) -> bool {
        // Tested and set as a bit, this is one instruction.
        self.0.fetch_or(HELD, Ordering::Acquire) & HELD == 0
    }

    #[inline(always)]
    unsafe fn unlock(&self) {
        self.0.store(0, Ordering::Release);
    }
}

impl BitLock {
    #[cold]
    #[inline(never)]
    fn wait(&self) {
        while !self.try_lock() {
            core::hint::spin_loop();
        }
    }
}
