//! Time since boot, from the time-stamp counter, and the one-shot timer.
//!
//! The counter's frequency is first known to two parts in a thousand. After a second, ten and a hundred it is looked
//! at again beside the ACPI timer; from that instant on time runs by the better figure, going on from where it
//! was, so that it never goes back.

use crate::{acpi::Firmware, interrupts, machine::Machine, timer};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use hv_arch::{cpu, rtc, tsc::Refinement};
use hv_core::{
    platform::{Clock, Timestamp},
    time::TscScale,
};
use spin::Once;

/// When to look at the frequency again, in nanoseconds since boot.
const LOOKS: [u64; 3] = [1_000_000_000, 10_000_000_000, 100_000_000_000];

/// Counter value that is time 0.
static START: AtomicU64 = AtomicU64::new(0);
/// The scales that time has run by, one after the other, and which of them it runs by now. One CPU reads them, and
/// changes them while it handles an interrupt, so index and content agree.
static EPOCHS: [Once<Epoch>; LOOKS.len() + 1] = [const { Once::new() }; LOOKS.len() + 1];
static CURRENT: AtomicUsize = AtomicUsize::new(0);
static REFINEMENT: Once<Refinement> = Once::new();
/// Wall clock, in seconds since 1970, at time 0.
static WALL_AT_BOOT: AtomicU64 = AtomicU64::new(0);
/// When the timer was last told to fire, in counter ticks; all ones: never.
static DEADLINE: AtomicU64 = AtomicU64::new(u64::MAX);

/// When devices were last looked for, and how long not to look again: batches ask after each of their entries.
static LAST_LOOK: AtomicU64 = AtomicU64::new(0);
const TICKS_BETWEEN_LOOKS: u64 = 4096;

/// From `counter`, which was time `ns`, time runs by this scale.
#[derive(Clone, Copy)]
struct Epoch {
    counter: u64,
    ns: u64,
    scale: TscScale,
    hz: u64,
}

impl Epoch {
    fn ns_at(&self, counter: u64) -> u64 {
        self.ns + self.scale.to_ns(counter.wrapping_sub(self.counter))
    }
}

/// Time began when the counter was at `counter`.
pub fn start(counter: u64) {
    START.store(counter, Relaxed);
}

/// Counter ticks since [`start`].
pub fn ticks() -> u64 {
    cpu::timestamp().wrapping_sub(START.load(Relaxed))
}

/// Says how fast the counter runs, and how to find out better. Until then time stands at 0.
pub fn set_frequency(hz: u64, refinement: Option<Refinement>) {
    EPOCHS[0].call_once(|| Epoch {
        counter: START.load(Relaxed),
        ns: 0,
        scale: TscScale::from_hz(hz),
        hz,
    });
    if let Some(refinement) = refinement {
        REFINEMENT.call_once(|| refinement);
    }
}

/// Takes the wall clock from the battery-backed one. Without it, time 0 is 1970. Boot only.
pub fn read_wall_clock(firmware: Option<&Firmware>) {
    match rtc::read(firmware.and_then(|firmware| firmware.century)) {
        Some(seconds) => WALL_AT_BOOT.store(seconds.saturating_sub(now_ns() / 1_000_000_000), Relaxed),
        None => log::warn!("no battery-backed clock that shows a date"),
    }
}

/// Nanoseconds since [`start`].
#[inline]
pub fn now_ns() -> u64 {
    to_ns(cpu::timestamp())
}

#[inline]
fn epoch() -> Option<&'static Epoch> {
    EPOCHS.get(CURRENT.load(Relaxed)).and_then(Once::get)
}

#[inline]
fn to_ns(counter: u64) -> u64 {
    epoch().map_or(0, |epoch| epoch.ns_at(counter))
}

/// The timer has fired.
pub fn timer_fired() {
    DEADLINE.store(u64::MAX, Relaxed);
    let current = CURRENT.load(Relaxed);
    if LOOKS.get(current).is_some_and(|&look| now_ns() >= look) {
        refine(current + 1);
    }
}

/// Begins epoch `next`, with a better frequency where there is one.
fn refine(next: usize) {
    let (Some(now), Some(refinement)) = (epoch(), REFINEMENT.get()) else {
        return;
    };
    let hz = refinement.look().unwrap_or(now.hz);
    let counter = cpu::timestamp();
    let fresh = Epoch {
        counter,
        ns: now.ns_at(counter),
        scale: TscScale::from_hz(hz),
        hz,
    };
    EPOCHS[next].call_once(|| fresh);
    CURRENT.store(next, Relaxed);
    timer::refine(now.hz, hz);
    log::trace!("time-stamp counter: {} Hz, was {} Hz", hz, now.hz);
}

impl Clock for Machine {
    fn now_ns(&self) -> u64 {
        now_ns()
    }

    #[inline(always)]
    fn timestamp(&self) -> Timestamp {
        let tsc = cpu::timestamp();
        let (ns, tsc_hz) = epoch().map_or((0, 0), |epoch| (epoch.ns_at(tsc), epoch.hz));
        Timestamp { tsc, ns, tsc_hz }
    }

    fn tsc_hz(&self) -> u64 {
        epoch().map_or(0, |epoch| epoch.hz)
    }

    fn wall_clock_at_boot(&self) -> (u32, u32) {
        (WALL_AT_BOOT.load(Relaxed) as u32, 0)
    }

    fn arm_timer(&self, deadline_ns: Option<u64>) {
        let (Some(deadline_ns), Some(epoch)) = (deadline_ns, epoch()) else {
            DEADLINE.store(u64::MAX, Relaxed);
            timer::stop();
            return;
        };
        let now = cpu::timestamp();
        let ahead_ns = deadline_ns.saturating_sub(epoch.ns_at(now));
        let deadline = now.saturating_add(epoch.scale.to_ticks(ahead_ns));
        DEADLINE.store(deadline, Relaxed);
        timer::arm(deadline);
    }

    #[inline]
    fn work_pending(&self) -> bool {
        let now = cpu::timestamp();
        now >= DEADLINE.load(Relaxed)
            || (now.wrapping_sub(LAST_LOOK.load(Relaxed)) >= TICKS_BETWEEN_LOOKS && is_device_waiting(now))
    }
}

/// Asks the interrupt controller, which takes some slow port accesses.
#[cold]
#[inline(never)]
fn is_device_waiting(now: u64) -> bool {
    LAST_LOOK.store(now, Relaxed);
    interrupts::is_device_waiting()
}
