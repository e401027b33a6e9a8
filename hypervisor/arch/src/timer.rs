//! The one-shot timer: of the ways a machine has, the best.
//!
//! | kind | what it compares | longest delay |
//! |---|---|---|
//! | deadline | the time-stamp counter with a value: no rounding, one MSR write | none |
//! | count | the local APIC's count at its own frequency | seconds |
//! | interval | the 8254's channel 0 | 54 ms |
//!
//! Deadlines are given by the time-stamp counter. A deadline too far off fires early; whoever handles the
//! interrupt looks at the time and arms again.

use crate::apic::{self, LocalApic};
use crate::cpu::timestamp;
use crate::pit::{self, Pit};

/// The timer of this processor.
#[derive(Debug)]
pub struct OneShot(Kind);

#[derive(Debug)]
enum Kind {
    Deadline,
    Count { apic: LocalApic, per_tsc: Ratio },
    Interval { pit: Pit, per_tsc: Ratio },
}

/// Ticks of the timer per tick of the time-stamp counter, as a 32.32 fixed-point number.
#[derive(Clone, Copy, Debug)]
struct Ratio(u64);

impl Ratio {
    fn new(timer_hz: u64, tsc_hz: u64) -> Self {
        let ratio = (u128::from(timer_hz) << 32) / u128::from(tsc_hz.max(1));
        Self(u64::try_from(ratio).unwrap_or(u64::MAX))
    }

    /// Timer ticks until `deadline`: at least 1, rounded up, so that the timer does not fire just before it.
    #[inline]
    fn until(self, deadline: u64) -> u64 {
        let delay = deadline.saturating_sub(timestamp());
        let ticks = (u128::from(delay) * u128::from(self.0)) >> 32;
        u64::try_from(ticks).map_or(u64::MAX, |ticks| ticks.saturating_add(1))
    }
}

impl OneShot {
    /// The local APIC's timer, by deadline where it can.
    #[must_use]
    pub fn local(apic: LocalApic, apic_hz: u64, tsc_hz: u64) -> Self {
        if apic::has_deadline_timer() {
            apic.use_deadline();
            return Self(Kind::Deadline);
        }
        apic.use_count();
        Self(Kind::Count {
            apic,
            per_tsc: Ratio::new(apic_hz, tsc_hz),
        })
    }

    /// The 8254's channel 0, which interrupts on line 0 of the 8259.
    #[must_use]
    pub fn interval(pit: Pit, tsc_hz: u64) -> Self {
        Self(Kind::Interval {
            pit,
            per_tsc: Ratio::new(pit::FREQUENCY_HZ, tsc_hz),
        })
    }

    /// Takes a better measurement of the time-stamp counter.
    pub fn refine(&mut self, old_tsc_hz: u64, tsc_hz: u64) {
        if let Kind::Count { per_tsc, .. } | Kind::Interval { per_tsc, .. } = &mut self.0 {
            let ratio = u128::from(per_tsc.0) * u128::from(old_tsc_hz) / u128::from(tsc_hz.max(1));
            per_tsc.0 = u64::try_from(ratio).unwrap_or(u64::MAX);
        }
    }

    /// Interrupts once when the time-stamp counter reaches `deadline`, or at once where that is past.
    #[inline]
    pub fn arm(&mut self, deadline: u64) {
        match &mut self.0 {
            Kind::Deadline => apic::set_deadline(deadline.max(1)),
            Kind::Count { apic, per_tsc } => {
                apic.set_count(u32::try_from(per_tsc.until(deadline)).unwrap_or(u32::MAX));
            }
            Kind::Interval { pit, per_tsc } => {
                pit.arm(u16::try_from(per_tsc.until(deadline)).unwrap_or(pit::MAX_TICKS));
            }
        }
    }

    /// Interrupts no more.
    pub fn stop(&mut self) {
        match &mut self.0 {
            Kind::Deadline => apic::set_deadline(0),
            Kind::Count { apic, .. } => apic.set_count(0),
            Kind::Interval { pit, .. } => pit.stop(),
        }
    }

    /// What it is, for the log.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self.0 {
            Kind::Deadline => "local APIC, TSC deadline",
            Kind::Count { .. } => "local APIC",
            Kind::Interval { .. } => "8254",
        }
    }
}
