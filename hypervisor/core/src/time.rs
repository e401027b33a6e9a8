//! System time, the wall clock, the time record in the shared page, and one-shot timers.
//!
//! System time is nanoseconds since boot, the machine's [`Clock`](crate::platform::Clock). There is no periodic
//! tick: a guest's VIRQ_TIMER comes when the time it asked for has come and when it is scheduled in, each time with a
//! fresh time record; in between it computes the time from the TSC.
//!
//! One hardware timer serves all domains and the scheduler's slices. It is armed for the earliest deadline *or
//! earlier*, and a domain is queued by its deadline *or earlier*: setting a later one or cancelling leaves both alone,
//! and the expiry that finds a domain not due queues it anew. So setting a timer mostly looks at one number, and what
//! domains without timers or with later ones do costs nothing, however many there are.
//!
//! Source: Xen 2.0 interface, time.

use crate::{
    domain::Domain,
    event::{self, Virq},
    hypervisor::Hypervisor,
    platform::{Platform, Timestamp},
    sched,
    shared_info::SharedInfo,
    slot_heap::SlotHeap,
};
use guest_abi::shared_info::TimeRecord;

/// Nanoseconds in a second.
pub const NS_PER_SEC: u64 = 1_000_000_000;
const US_PER_SEC: u64 = 1_000_000;
/// A deadline that does not come.
pub const NEVER: u64 = u64::MAX;
/// Most timers looked at between two looks at what else there is to do.
const BATCH: u32 = 64;

/// Timers and wall clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeState {
    /// When the hardware timer fires, at the latest: no timer is due earlier.
    armed_ns: u64,
    /// When the slice of who runs is over.
    slice_end_ns: u64,
    /// Who has a timer, by its deadline or earlier.
    queue: SlotHeap<u64>,
    /// The hardware timer has fired and nobody has looked yet.
    pub has_fired: bool,
    /// Wall clock in microseconds at system time 0, where it was set; else the machine's own.
    wall_at_boot_us: Option<u64>,
}

impl TimeState {
    /// No timer; the machine's wall clock.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            armed_ns: NEVER,
            slice_end_ns: NEVER,
            queue: SlotHeap::new(),
            has_fired: false,
            wall_at_boot_us: None,
        }
    }

    /// Sets the wall clock: it is `secs` and `usecs` when system time is `system_ns`.
    pub const fn set_wall_clock(&mut self, secs: u32, usecs: u32, system_ns: u64) {
        let now_us = secs as u64 * US_PER_SEC + usecs as u64;
        self.wall_at_boot_us = Some(now_us.saturating_sub(system_ns / 1000));
    }

    /// The wall clock in microseconds when system time is `system_ns`.
    #[inline(always)]
    fn wall_us<P: Platform>(&self, platform: &P, system_ns: u64) -> u64 {
        let at_boot_us = self.wall_at_boot_us.unwrap_or_else(|| {
            let (secs, usecs) = platform.wall_clock_at_boot();
            u64::from(secs) * US_PER_SEC + u64::from(usecs)
        });
        at_boot_us.saturating_add(system_ns / 1000)
    }
}

impl Default for TimeState {
    fn default() -> Self {
        Self::new()
    }
}

/// Sets the current domain's timer to `deadline_ns`, or stops it (0).
#[inline(always)]
pub fn set_timer<P: Platform>(hv: &mut Hypervisor, platform: &P, deadline_ns: u64) {
    let slot = hv.current;
    let Some(domain) = hv.domain_at(slot) else { return };
    domain.vcpus[0].timer_deadline_ns = deadline_ns;
    // 0 is "none" on both sides, so that less one it is later than all others.
    if deadline_ns.wrapping_sub(1) < hv.time.queue.key(slot).wrapping_sub(1) {
        queue_sooner(hv, platform, slot, deadline_ns);
    }
}

#[cold]
#[inline(never)]
fn queue_sooner<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize, deadline_ns: u64) {
    hv.time.queue.set(slot, deadline_ns);
    arm_by(hv, platform, deadline_ns);
}

/// Has the hardware timer fire at `deadline_ns`, or before.
#[inline(always)]
fn arm_by<P: Platform>(hv: &mut Hypervisor, platform: &P, deadline_ns: u64) {
    if deadline_ns < hv.time.armed_ns {
        hv.time.armed_ns = deadline_ns;
        platform.arm_timer(Some(deadline_ns));
    }
}

/// The slice of who runs is over at `end_ns` ([`NEVER`]: he may run on): then the exit path picks anew.
#[inline(always)]
pub fn set_slice_end<P: Platform>(hv: &mut Hypervisor, platform: &P, end_ns: u64) {
    hv.time.slice_end_ns = end_ns;
    arm_by(hv, platform, end_ns);
}

/// Nobody runs: only a domain's timer is to end that, and no slice that nobody has any more.
pub fn rest<P: Platform>(hv: &mut Hypervisor, platform: &P) {
    let next = hv.time.queue.first().map_or(NEVER, |(_, due_ns)| due_ns);
    if next != hv.time.armed_ns {
        hv.time.armed_ns = next;
        platform.arm_timer((next != NEVER).then_some(next));
    }
}

/// When the slice of who runs is over.
#[inline(always)]
#[must_use]
pub const fn slice_end(hv: &Hypervisor) -> u64 {
    hv.time.slice_end_ns
}

/// The domain in `slot` goes away, and its timer with it.
pub fn forget(hv: &mut Hypervisor, slot: usize) {
    hv.time.queue.remove(slot);
}

/// Raises VIRQ_TIMER in every domain whose time has come, ends a slice that is over, and arms the hardware timer for
/// the next. Of very many due at once only some: the hardware timer fires again at once for the others.
pub fn run_timers<P: Platform>(hv: &mut Hypervisor, platform: &P) {
    hv.time.has_fired = false;
    let now = platform.now_ns();
    let mut next = NEVER;
    for looked_at in 0.. {
        let Some((slot, due_ns)) = hv.time.queue.first() else {
            break;
        };
        if due_ns > now || looked_at == BATCH {
            next = due_ns;
            break;
        }
        let deadline_ns = hv.domain_at(slot).map_or(0, |d| d.vcpus[0].timer_deadline_ns);
        if deadline_ns > now {
            hv.time.queue.set(slot, deadline_ns);
            continue;
        }
        hv.time.queue.remove(slot);
        if deadline_ns != 0 {
            expire(hv, platform, slot);
        }
    }
    // That a slice is over is seen by the pick, which begins another.
    if hv.time.slice_end_ns <= now {
        sched::request_pick(hv, platform);
    } else {
        next = next.min(hv.time.slice_end_ns);
    }
    hv.time.armed_ns = next;
    platform.arm_timer((hv.time.armed_ns != NEVER).then_some(hv.time.armed_ns));
}

fn expire<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize) {
    if let Some(domain) = hv.domain_at(slot) {
        domain.vcpus[0].timer_deadline_ns = 0;
        announce(hv, platform, slot);
    }
}

/// Refreshes the time record of the domain in `slot` and raises VIRQ_TIMER there.
pub fn announce<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize) {
    refresh(hv, platform, slot);
    event::send_virq(hv, platform, slot, Virq::Timer);
}

/// The same for the domain that runs since `now`.
#[inline(always)]
pub fn announce_running<P: Platform>(hv: &mut Hypervisor, platform: &P, now: Timestamp) {
    let wall_us = hv.time.wall_us(platform, now.ns);
    let domain = hv.running();
    write_record(platform, domain, now, wall_us);
    event::raise_in_running(platform, domain, Virq::Timer);
}

/// Refreshes the time record of the domain in `slot`.
pub fn refresh<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize) {
    let now = platform.timestamp();
    let wall_us = hv.time.wall_us(platform, now.ns);
    if let Some(domain) = hv.domain_at(slot) {
        write_record(platform, domain, now, wall_us);
    }
}

#[inline(always)]
fn write_record<P: Platform>(platform: &P, domain: &Domain, now: Timestamp, wall_us: u64) {
    SharedInfo::of(platform, domain).write_time(&TimeRecord {
        cpu_freq: now.tsc_hz,
        tsc_timestamp: now.tsc,
        system_time: now.ns,
        wc_sec: (wall_us / US_PER_SEC) as u32,
        wc_usec: (wall_us % US_PER_SEC) as u32,
        ..TimeRecord::default()
    });
}

/// Converts between TSC ticks and nanoseconds by one multiplication: `ns = ticks * mul >> shift`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TscScale {
    to_ns: Ratio,
    to_ticks: Ratio,
}

/// A factor as `mul / 2^shift` with 32 significant bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ratio {
    mul: u64,
    shift: u32,
}

impl Ratio {
    /// `numerator / denominator`, both below 2^40 and not 0.
    const fn new(numerator: u64, denominator: u64) -> Self {
        let mut shift = 0;
        // The largest shift that keeps the factor within 32 bits.
        while shift < 63 && ((numerator as u128) << (shift + 1)) / (denominator as u128) < 1 << 32 {
            shift += 1;
        }
        let mul = (((numerator as u128) << shift) / denominator as u128) as u64;
        Self { mul, shift }
    }

    /// `value` times the factor, modulo 2^64.
    #[inline(always)]
    const fn wrapping(self, value: u64) -> u64 {
        // The shift is below 64 anyway; saying so here makes this a multiplication and one double shift.
        ((value as u128 * self.mul as u128) >> (self.shift & 63)) as u64
    }

    /// `value` times the factor, at most 2^64 - 1.
    const fn saturating(self, value: u64) -> u64 {
        let product = (value as u128 * self.mul as u128) >> self.shift;
        if product > u64::MAX as u128 {
            u64::MAX
        } else {
            product as u64
        }
    }
}

impl TscScale {
    /// The scale of a counter of `hz` ticks a second (1 kHz to 1 THz; what is outside counts as the nearer end).
    #[must_use]
    pub const fn from_hz(hz: u64) -> Self {
        let hz = if hz < 1_000 {
            1_000
        } else if hz > 1_000_000_000_000 {
            1_000_000_000_000
        } else {
            hz
        };
        Self {
            to_ns: Ratio::new(NS_PER_SEC, hz),
            to_ticks: Ratio::new(hz, NS_PER_SEC),
        }
    }

    /// Nanoseconds that `ticks` ticks take, rounded down. They wrap after 584 years.
    #[inline(always)]
    #[must_use]
    pub const fn to_ns(self, ticks: u64) -> u64 {
        self.to_ns.wrapping(ticks)
    }

    /// Ticks in `ns` nanoseconds, rounded down, or all ones where that is more than 64 bits hold: a guest may wait
    /// for the end of time.
    #[must_use]
    pub const fn to_ticks(self, ns: u64) -> u64 {
        self.to_ticks.saturating(ns)
    }
}

#[cfg(test)]
mod tests;
