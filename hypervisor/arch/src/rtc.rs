//! The battery-backed clock: wall time, once, at boot.
//!
//! The clock updates itself once a second and its registers may be garbage meanwhile. The update-in-progress
//! flag gives notice, but waiting it out can take two milliseconds; so only a short while is waited, and a
//! reading counts when a second one says the same and its fields are possible.
//!
//! Source: Motorola MC146818A data sheet; register 0x32 or the FADT's for the century.

use crate::port::Port;

const INDEX: Port<u8> = clock_port(0x70);
const DATA: Port<u8> = clock_port(0x71);

const fn clock_port(number: u16) -> Port<u8> {
    // SAFETY: used for the clock's index and data port; they reach no memory. Bit 7 of the index holds NMI
    // back; it is written as 0, letting NMI through, as at power-on.
    unsafe { Port::new(number) }
}

const SECONDS: u8 = 0x00;
const MINUTES: u8 = 0x02;
const HOURS: u8 = 0x04;
const DAY: u8 = 0x07;
const MONTH: u8 = 0x08;
const YEAR: u8 = 0x09;
const STATUS_A: u8 = 0x0A;
const STATUS_B: u8 = 0x0B;

const UPDATE_IN_PROGRESS: u8 = 1 << 7;
const IS_24_HOUR: u8 = 1 << 1;
const IS_BINARY: u8 = 1 << 2;
const AFTERNOON: u8 = 1 << 7;

/// Looks at the flag before the registers are read regardless (half a millisecond on real hardware).
const POLLS: u32 = 500;
/// Pairs of readings that may differ before the clock is called broken.
const ATTEMPTS: u32 = 4;

/// Seconds since 1970 by the clock, taken to run in UTC. `century` is the register that the FADT names for the
/// century, if any. `None` where the clock is absent or shows no possible date.
#[must_use]
pub fn read(century: Option<u8>) -> Option<u64> {
    let _ = (0..POLLS).any(|_| register(STATUS_A) & UPDATE_IN_PROGRESS == 0);
    for _ in 0..ATTEMPTS {
        let first = Fields::read(century);
        if first == Fields::read(century) {
            return first.seconds();
        }
    }
    None
}

fn register(index: u8) -> u8 {
    INDEX.write(index);
    DATA.read()
}

/// The registers as they stand.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Fields {
    second: u8,
    minute: u8,
    hour: u8,
    day: u8,
    month: u8,
    year: u8,
    century: Option<u8>,
    mode: u8,
}

impl Fields {
    fn read(century: Option<u8>) -> Self {
        Self {
            second: register(SECONDS),
            minute: register(MINUTES),
            hour: register(HOURS),
            day: register(DAY),
            month: register(MONTH),
            year: register(YEAR),
            century: century
                .filter(|&index| (0x0E..0x80).contains(&index))
                .map(register),
            mode: register(STATUS_B),
        }
    }

    /// Decodes and checks every field, then counts.
    fn seconds(self) -> Option<u64> {
        let number = |raw: u8, limit: u8| {
            let value = match self.mode & IS_BINARY {
                0 if raw & 0xF > 9 || raw > 0x99 => return None,
                0 => (raw >> 4) * 10 + (raw & 0xF),
                _ => raw,
            };
            (value <= limit).then_some(u64::from(value))
        };
        let hour = if self.mode & IS_24_HOUR != 0 {
            number(self.hour, 23)?
        } else {
            let afternoon = if self.hour & AFTERNOON != 0 { 12 } else { 0 };
            number(self.hour & !AFTERNOON, 12)? % 12 + afternoon
        };
        let year = number(self.year, 99)?;
        let century = self
            .century
            .and_then(|raw| number(raw, 99))
            .filter(|century| (19..=29).contains(century));
        let year = match century {
            Some(century) => century * 100 + year,
            None if year >= 70 => 1900 + year,
            None => 2000 + year,
        };
        let month = number(self.month, 12).filter(|&month| month >= 1)?;
        let day = number(self.day, 31).filter(|&day| day >= 1)?;
        let days = days_since_1970(year, month, day)?;
        Some(((days * 24 + hour) * 60 + number(self.minute, 59)?) * 60 + number(self.second, 59)?)
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. The year is counted from March, so that the leap day
/// is its last.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    const UNTIL_1970: u64 = 719_468;
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    days.checked_sub(UNTIL_1970)
}
