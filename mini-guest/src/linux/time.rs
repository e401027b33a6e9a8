//! Times.

use super::Packed;

/// Nanoseconds in a second.
pub const NS_PER_SEC: u64 = 1_000_000_000;
/// Ticks in a second, in the calls that count ticks.
pub const TICKS_PER_SEC: u64 = 100;

/// Seconds and nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeSpec {
    /// Whole seconds.
    pub seconds: u64,
    /// Below a second.
    pub nanos: u32,
}

impl TimeSpec {
    /// The time `ns` nanoseconds.
    #[must_use]
    pub const fn from_ns(ns: u64) -> Self {
        Self {
            seconds: ns / NS_PER_SEC,
            nanos: (ns % NS_PER_SEC) as u32,
        }
    }

    /// `struct timespec` of two 32-bit words.
    #[must_use]
    pub fn packed32(self) -> [u8; 8] {
        Packed::new().u32(self.seconds as u32).u32(self.nanos).finish()
    }

    /// `struct __kernel_timespec` of two 64-bit words.
    #[must_use]
    pub fn packed64(self) -> [u8; 16] {
        Packed::new()
            .u64(self.seconds)
            .u64(u64::from(self.nanos))
            .finish()
    }

    /// Nanoseconds in a span of `seconds` and `nanos` as a program gives it, or `None` where that is no time.
    #[must_use]
    pub fn checked_ns(seconds: i64, nanos: i64) -> Option<u64> {
        if !(0..NS_PER_SEC as i64).contains(&nanos) {
            return None;
        }
        let seconds = u64::try_from(seconds).ok()?;
        Some(seconds.saturating_mul(NS_PER_SEC).saturating_add(nanos as u64))
    }
}

/// Nanoseconds as ticks.
#[must_use]
pub const fn ticks(ns: u64) -> u64 {
    ns / (NS_PER_SEC / TICKS_PER_SEC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_times_are_times() {
        assert_eq!(TimeSpec::checked_ns(1, 5), Some(1_000_000_005));
        assert_eq!(TimeSpec::checked_ns(-1, 0), None);
        assert_eq!(TimeSpec::checked_ns(0, -1), None);
        assert_eq!(TimeSpec::checked_ns(0, 1_000_000_000), None);
        assert_eq!(TimeSpec::checked_ns(i64::MAX, 0), Some(u64::MAX));
    }

    #[test]
    fn ticks_are_ten_milliseconds() {
        assert_eq!(ticks(25_000_000), 2);
    }
}
