//! The time-stamp counter and its frequency.
//!
//! The frequency comes from the processor where it says (CPUID leaf 0x15) or from a hypervisor below us (leaf
//! 0x4000_0010), checked by half a millisecond beside a clock of known speed; where neither says, from that
//! measurement. It is good to about two parts in a thousand; [`Refinement`] looks again at the same clock later,
//! over seconds, and is then good to a millionth, at the price of one port read.
//!
//! Source: Intel SDM vol. 2A CPUID, vol. 3B 18.17; the hypervisor leaf as VMware and KVM define it.

use crate::cpu::timestamp;
use crate::pit::{self, Pit};
use crate::pm_timer::{self, PmTimer};
use core::{arch::x86_64::__cpuid, hint::black_box};

/// How long the first look takes.
const WINDOW_US: u64 = 500;
/// Readings of both counters at either end of the window, of which the tightest is used.
const SAMPLES: u32 = 4;
/// A reference that stands still for so many reads is not there.
const DEAD_POLLS: u32 = 20_000;
/// Speeds believed of a processor, whoever says them.
const PLAUSIBLE_HZ: core::ops::RangeInclusive<u64> = 10_000_000..=20_000_000_000;

/// The frequency in Hz, as the processor or a hypervisor below us states it.
#[must_use]
pub fn stated_frequency() -> Option<u64> {
    crystal_frequency()
        .or_else(hypervisor_frequency)
        .filter(|hz| PLAUSIBLE_HZ.contains(hz))
}

fn crystal_frequency() -> Option<u64> {
    if __cpuid(0).eax < 0x15 {
        return None;
    }
    let leaf = __cpuid(0x15);
    let (denominator, numerator, crystal) = (u64::from(leaf.eax), u64::from(leaf.ebx), u64::from(leaf.ecx));
    (crystal != 0 && numerator != 0).then_some(())?;
    (crystal * numerator).checked_div(denominator)
}

fn hypervisor_frequency() -> Option<u64> {
    const TIMING_LEAF: u32 = 0x4000_0010;
    let has_hypervisor = __cpuid(1).ecx & (1 << 31) != 0;
    if !has_hypervisor || __cpuid(0x4000_0000).eax < TIMING_LEAF {
        return None;
    }
    Some(u64::from(__cpuid(TIMING_LEAF).eax) * 1000)
}

/// The frequency to go by: the stated one where a measurement bears it out to within a percent. What is stated
/// comes from the processor's maker, and an emulator may hand on a model's figure that is not its own.
#[must_use]
pub fn settle(stated: Option<u64>, measured: Option<u64>) -> Option<u64> {
    match (stated, measured) {
        (Some(stated), Some(measured)) if stated.abs_diff(measured) > measured / 100 => Some(measured),
        _ => stated.or(measured),
    }
}

/// A clock of known speed.
#[derive(Debug)]
pub enum Reference {
    /// The ACPI timer.
    PmTimer(PmTimer),
    /// The 8254's second channel, started.
    Pit(Pit),
}

impl Reference {
    fn hz(&self) -> u64 {
        match self {
            Self::PmTimer(_) => pm_timer::FREQUENCY_HZ,
            Self::Pit(_) => pit::FREQUENCY_HZ,
        }
    }

    fn read(&mut self) -> u32 {
        match self {
            Self::PmTimer(timer) => timer.read(),
            Self::Pit(pit) => u32::from(pit.stopwatch()),
        }
    }

    fn elapsed(&self, start: u32, end: u32) -> u32 {
        match self {
            Self::PmTimer(timer) => timer.elapsed(start, end),
            Self::Pit(_) => u32::from((end as u16).wrapping_sub(start as u16)),
        }
    }
}

/// What a look beside a [`Reference`] gave.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Frequency of the time-stamp counter in Hz.
    pub tsc_hz: u64,
    /// Frequency of the second counter in Hz.
    pub other_hz: u64,
    start: Sample,
}

/// All counters at one instant.
#[derive(Clone, Copy, Debug)]
struct Sample {
    tsc: u64,
    reference: u32,
    other: u32,
}

/// Measures the time-stamp counter, and a second up-counter beside it, for half a millisecond. `None` where the
/// reference stands still or the result is absurd.
pub fn measure(reference: &mut Reference, mut other: impl FnMut() -> u32) -> Option<Measured> {
    let hz = reference.hz();
    let window = u32::try_from(hz * WINDOW_US / 1_000_000).ok()?;
    let start = sample(reference, &mut other);
    let (mut last, mut idle) = (start.reference, 0);
    while reference.elapsed(start.reference, last) < window {
        let now = reference.read();
        idle = if now == last { idle + 1 } else { 0 };
        if idle > DEAD_POLLS {
            return None;
        }
        last = now;
    }
    let end = sample(reference, &mut other);
    let ticks = u64::from(reference.elapsed(start.reference, end.reference));
    let tsc_hz = scale(end.tsc.wrapping_sub(start.tsc), hz, ticks)?;
    let other_hz = scale(u64::from(end.other.wrapping_sub(start.other)), hz, ticks)?;
    PLAUSIBLE_HZ.contains(&tsc_hz).then_some(Measured {
        tsc_hz,
        other_hz,
        start,
    })
}

/// Reads all counters as close together as a few tries get them.
///
/// Kept out of line and in a true loop: the first time through, caches are cold (and an emulator translates), so
/// each piece of code must run more than once.
#[inline(never)]
fn sample(reference: &mut Reference, other: &mut impl FnMut() -> u32) -> Sample {
    let mut best = (
        u64::MAX,
        Sample {
            tsc: 0,
            reference: 0,
            other: 0,
        },
    );
    for _ in 0..black_box(SAMPLES) {
        let before = timestamp();
        let ticks = reference.read();
        let other = other();
        let width = timestamp().wrapping_sub(before);
        if width <= best.0 {
            best = (
                width,
                Sample {
                    tsc: before.wrapping_add(width / 2),
                    reference: ticks,
                    other,
                },
            );
        }
    }
    best.1
}

/// `count * hz / ticks`, in 128 bits.
fn scale(count: u64, hz: u64, ticks: u64) -> Option<u64> {
    let product = u128::from(count) * u128::from(hz);
    u64::try_from(product.checked_div(u128::from(ticks))?).ok()
}

/// A second, longer look at the ACPI timer.
#[derive(Clone, Copy, Debug)]
pub struct Refinement {
    timer: PmTimer,
    start: Sample,
    estimate_hz: u64,
}

impl Refinement {
    /// Begins where a measurement against `timer` began.
    #[must_use]
    pub const fn after(measured: &Measured, timer: PmTimer) -> Self {
        Self {
            timer,
            start: measured.start,
            estimate_hz: measured.tsc_hz,
        }
    }

    /// Begins now, with a frequency that was stated.
    #[must_use]
    pub fn from_now(estimate_hz: u64, timer: PmTimer) -> Self {
        let start = sample(&mut Reference::PmTimer(timer), &mut || 0);
        Self {
            timer,
            start,
            estimate_hz,
        }
    }

    /// The frequency over all the time since. The estimate tells how often the timer wrapped in between, which
    /// holds for half an hour and more.
    ///
    /// `None` before a second has gone by, or where the timer contradicts the estimate by more than a percent.
    #[must_use]
    pub fn look(&self) -> Option<u64> {
        let end = sample(&mut Reference::PmTimer(self.timer), &mut || 0);
        let tsc = end.tsc.wrapping_sub(self.start.tsc);
        if tsc < self.estimate_hz {
            return None;
        }
        let expected = scale(tsc, pm_timer::FREQUENCY_HZ, self.estimate_hz)?;
        let period = u64::from(self.timer.elapsed(1, 0)) + 1;
        let low = u64::from(self.timer.elapsed(self.start.reference, end.reference));
        let wraps = (expected.saturating_sub(low) + period / 2) / period;
        let hz = scale(
            tsc,
            pm_timer::FREQUENCY_HZ,
            low.checked_add(wraps.checked_mul(period)?)?,
        )?;
        (hz.abs_diff(self.estimate_hz) < self.estimate_hz / 100).then_some(hz)
    }
}
