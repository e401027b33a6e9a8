//! Time since boot, from the time-stamp counter, and the one-shot timer.

use crate::{machine::Machine, timer};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use hv_arch::cpu;
use hv_core::{platform::Clock, time::TscScale};
use spin::Once;

/// Counter value that is time 0.
static START: AtomicU64 = AtomicU64::new(0);
static SCALE: Once<(TscScale, u64)> = Once::new();
/// Wall clock, in seconds since 1970, at time 0.
static WALL_AT_BOOT: AtomicU64 = AtomicU64::new(0);
/// When the timer was last told to fire, in counter ticks; all ones: never.
static DEADLINE: AtomicU64 = AtomicU64::new(u64::MAX);

/// Time began when the counter was at `counter`.
pub fn start(counter: u64) {
    START.store(counter, Relaxed);
}

/// Counter ticks since [`start`].
pub fn ticks() -> u64 {
    cpu::timestamp().wrapping_sub(START.load(Relaxed))
}

/// Says how fast the counter runs. Until then time stands at 0.
pub fn set_frequency(hz: u64) {
    SCALE.call_once(|| (TscScale::from_hz(hz), hz));
}

/// Says what the wall clock shows now.
pub fn set_wall_clock(seconds: u64) {
    WALL_AT_BOOT.store(seconds.saturating_sub(now_ns() / 1_000_000_000), Relaxed);
}

/// Nanoseconds since [`start`].
#[inline]
pub fn now_ns() -> u64 {
    to_ns(cpu::timestamp())
}

fn to_ns(counter: u64) -> u64 {
    SCALE.get().map_or(0, |(scale, _)| {
        scale.to_ns(counter.wrapping_sub(START.load(Relaxed)))
    })
}

/// The timer has fired.
pub fn timer_fired() {
    DEADLINE.store(u64::MAX, Relaxed);
}

impl Clock for Machine {
    fn now_ns(&self) -> u64 {
        now_ns()
    }

    fn timestamp(&self) -> (u64, u64) {
        let counter = cpu::timestamp();
        (counter, to_ns(counter))
    }

    fn tsc_hz(&self) -> u64 {
        SCALE.get().map_or(0, |(_, hz)| *hz)
    }

    fn wall_clock_at_boot(&self) -> (u32, u32) {
        (WALL_AT_BOOT.load(Relaxed) as u32, 0)
    }

    fn arm_timer(&self, deadline_ns: Option<u64>) {
        let Some(deadline_ns) = deadline_ns else {
            DEADLINE.store(u64::MAX, Relaxed);
            timer::stop();
            return;
        };
        let Some((scale, _)) = SCALE.get() else { return };
        let deadline = START.load(Relaxed).saturating_add(scale.to_ticks(deadline_ns));
        DEADLINE.store(deadline, Relaxed);
        timer::arm(deadline);
    }

    #[inline]
    fn work_pending(&self) -> bool {
        cpu::timestamp() >= DEADLINE.load(Relaxed) || crate::interrupts::is_device_waiting()
    }
}
