//! Time: reading it and letting it pass.

use crate::abi::{CLOCK_MONOTONIC, CLOCK_REALTIME, Timespec};
use crate::errno::Errno;
use crate::sys;

/// Nanoseconds in a second.
pub const SECOND_NS: u64 = 1_000_000_000;

fn read_ns(clock: u32) -> u64 {
    let time = sys::clock_gettime(clock).unwrap_or_default();
    u64::from(time.seconds.cast_unsigned()) * SECOND_NS + u64::from(time.nanoseconds.cast_unsigned())
}

/// Nanoseconds since some point in the past, never set back.
pub fn monotonic_ns() -> u64 {
    read_ns(CLOCK_MONOTONIC)
}

/// Seconds since 1970.
pub fn wall_seconds() -> u64 {
    read_ns(CLOCK_REALTIME) / SECOND_NS
}

/// Sleeps that long, however often it is interrupted.
pub fn sleep_ns(duration_ns: u64) {
    let mut left = Timespec {
        seconds: i32::try_from(duration_ns / SECOND_NS).unwrap_or(i32::MAX),
        nanoseconds: (duration_ns % SECOND_NS) as i32,
    };
    while let Err((Errno::EINTR, rest)) = sys::nanosleep(left) {
        left = rest;
    }
}

/// Sleeps that many milliseconds.
pub fn sleep_ms(milliseconds: u32) {
    sleep_ns(u64::from(milliseconds) * 1_000_000);
}

/// `text` as seconds with an optional fraction (`2`, `0.25`), in nanoseconds.
pub fn parse_seconds(text: &[u8]) -> Option<u64> {
    let (whole, fraction) = match text.iter().position(|&byte| byte == b'.') {
        Some(dot) => (&text[..dot], &text[dot + 1..]),
        None => (text, &b""[..]),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let seconds = if whole.is_empty() {
        0
    } else {
        u64::from(crate::args::number(whole)?)
    };
    let mut nanoseconds = 0;
    let mut unit = SECOND_NS / 10;
    for &digit in fraction {
        if !digit.is_ascii_digit() {
            return None;
        }
        nanoseconds += u64::from(digit - b'0') * unit;
        unit /= 10;
    }
    seconds.checked_mul(SECOND_NS)?.checked_add(nanoseconds)
}
