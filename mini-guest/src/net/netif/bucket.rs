//! How much a domain may send in a time: a bucket of bytes that fills steadily.
//!
//! It is as deep as one interval's bytes, and at least one longest frame, so every frame can be sent some time: the wait for `n` bytes is at
//! most `n` bytes' time at the rate.

use core::str::FromStr;

use crate::net::FRAME;

/// Longest interval: 10 s.
const MAX_INTERVAL_US: u64 = 10_000_000;

/// So many bytes in so much time, as the store has it: `BYTES,MICROSECONDS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    bytes: u32,
    interval_us: u32,
}

/// Not two numbers from 1 on, or an interval above 10 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotARate;

impl FromStr for Rate {
    type Err = NotARate;

    fn from_str(text: &str) -> Result<Self, NotARate> {
        let (bytes, interval) = text.split_once(',').ok_or(NotARate)?;
        let number = |text: &str| {
            text.parse::<u32>()
                .ok()
                .filter(|number| *number > 0)
                .ok_or(NotARate)
        };
        let rate = Self {
            bytes: number(bytes)?,
            interval_us: number(interval)?,
        };
        (u64::from(rate.interval_us) <= MAX_INTERVAL_US)
            .then_some(rate)
            .ok_or(NotARate)
    }
}

/// The bucket.
#[derive(Clone, Debug)]
pub struct Bucket {
    rate: Option<Rate>,
    bytes: u64,
    filled_ns: u64,
}

impl Bucket {
    /// A full one; without a rate it is never empty.
    #[must_use]
    pub fn new(rate: Option<Rate>, now_ns: u64) -> Self {
        let bytes = rate.map_or(0, Rate::depth);
        Self {
            rate,
            bytes,
            filled_ns: now_ns,
        }
    }

    /// Its rate.
    #[must_use]
    pub fn rate(&self) -> Option<Rate> {
        self.rate
    }

    /// Takes bytes out.
    ///
    /// # Errors
    /// There are too few; when there will be enough.
    pub fn take(&mut self, bytes: usize, now_ns: u64) -> Result<(), u64> {
        let Some(rate) = self.rate else {
            return Ok(());
        };
        self.fill(rate, now_ns);
        let wanted = bytes as u64;
        if wanted <= self.bytes {
            self.bytes -= wanted;
            return Ok(());
        }
        Err(self.filled_ns.saturating_add(rate.time_of(wanted - self.bytes)))
    }

    fn fill(&mut self, rate: Rate, now_ns: u64) {
        let elapsed = now_ns.saturating_sub(self.filled_ns);
        let per_interval = u128::from(rate.bytes);
        let interval_ns = u128::from(rate.interval_us) * 1000;
        // Fits: at most 2^64 · 2^32.
        let new = u128::from(elapsed) * per_interval / interval_ns;
        if new >= u128::from(rate.depth() - self.bytes.min(rate.depth())) {
            self.bytes = rate.depth();
            self.filled_ns = self.filled_ns.max(now_ns);
            return;
        }
        let new = new as u64;
        self.bytes += new;
        // Only the time of whole bytes is used up, so that often looking loses nothing.
        self.filled_ns += rate.time_of(new).min(elapsed);
    }
}

impl Rate {
    fn depth(self) -> u64 {
        u64::from(self.bytes).max(FRAME as u64)
    }

    /// How long it takes for so many bytes.
    fn time_of(self, bytes: u64) -> u64 {
        let ns = u128::from(bytes) * u128::from(self.interval_us) * 1000;
        u64::try_from(ns.div_ceil(self.bytes.into())).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn texts() {
        assert!("50000,50000".parse::<Rate>().is_ok());
        for text in ["", "5", "0,5", "5,0", "5,x", "-1,5", "5,10000001", "5,5,5"] {
            assert_eq!(text.parse::<Rate>(), Err(NotARate), "{text}");
        }
    }

    #[test]
    fn the_rate_is_kept_over_any_time() {
        // 5000 bytes in 50 ms, asked for in many small steps.
        let mut bucket = Bucket::new("5000,50000".parse().ok(), 0);
        let mut sent = 0_u64;
        for now in (0..1000 * MS).step_by(70_001) {
            if bucket.take(1000, now).is_ok() {
                sent += 1000;
            }
        }
        // What it holds at first, and one second's.
        assert!((104_000..=105_000).contains(&sent), "{sent}");
    }

    #[test]
    fn the_wait_is_what_is_said() {
        let mut bucket = Bucket::new("1000,1000000".parse().ok(), 0);
        assert_eq!(bucket.take(FRAME, 0), Ok(()));
        let at = bucket.take(FRAME, 5).unwrap_err();
        assert_eq!(at, FRAME as u64 * MS);
        assert_eq!(bucket.take(FRAME, at - 1), Err(at));
        assert_eq!(bucket.take(FRAME, at), Ok(()));
        // A clock that goes back, or far ahead, gives nothing more than is due.
        assert!(bucket.take(1, 0).is_err());
        assert_eq!(bucket.take(FRAME, u64::MAX), Ok(()));
        assert!(bucket.take(1, u64::MAX).is_err());
    }

    #[test]
    fn without_a_rate_there_is_no_wait() {
        let mut bucket = Bucket::new(None, 0);
        assert!((0..100_000).all(|_| bucket.take(FRAME, 0).is_ok()));
    }
}
