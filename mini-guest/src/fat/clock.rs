//! Times as FAT has them: local dates from 1980 to 2107, taken to be UTC.

use axfatfs::{Date, DateTime, Time, TimeProvider};

use crate::linux::time::TimeSpec;

/// Seconds of a day.
const DAY: u64 = 86_400;

/// A clock that stands: the time of the operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now(pub TimeSpec);

impl TimeProvider for Now {
    fn get_current_date(&self) -> Date {
        to_fat(self.0).date
    }

    fn get_current_date_time(&self) -> DateTime {
        to_fat(self.0)
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}

fn month_days(year: u64, month: usize) -> u64 {
    const DAYS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    DAYS[month] + u64::from(month == 1 && is_leap(year))
}

fn year_days(year: u64) -> u64 {
    365 + u64::from(is_leap(year))
}

/// The date of a time since 1970; times that FAT cannot have are moved to its first or last year.
pub(super) fn to_fat(time: TimeSpec) -> DateTime {
    let (mut days, second) = (time.seconds / DAY, time.seconds % DAY);
    let mut year = 1970;
    while year < 2200 && days >= year_days(year) {
        days -= year_days(year);
        year += 1;
    }
    let mut month = 0;
    while month < 11 && days >= month_days(year, month) {
        days -= month_days(year, month);
        month += 1;
    }
    let date = Date::new(
        year.clamp(1980, 2107) as u16,
        month as u16 + 1,
        days.min(month_days(year, month) - 1) as u16 + 1,
    );
    let (hour, minute) = (second / 3600, second / 60 % 60);
    DateTime::new(
        date,
        Time::new(hour as u16, minute as u16, (second % 60) as u16, 0),
    )
}

/// The time since 1970 of a date; months and days that do not exist are the nearest that do.
pub(super) fn from_fat(at: DateTime) -> TimeSpec {
    let year = u64::from(at.date.year);
    let month = usize::from(at.date.month.clamp(1, 12)) - 1;
    let years: u64 = (1970..year).map(year_days).sum();
    let months: u64 = (0..month).map(|month| month_days(year, month)).sum();
    let days = years + months + u64::from(at.date.day.max(1)) - 1;
    let (hour, min, sec) = (
        u64::from(at.time.hour),
        u64::from(at.time.min),
        u64::from(at.time.sec),
    );
    TimeSpec {
        seconds: days * DAY + hour * 3600 + min * 60 + sec,
        nanos: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> TimeSpec {
        TimeSpec { seconds, nanos: 0 }
    }

    #[test]
    fn dates_go_both_ways() {
        // 2026-11-22 23:30:02; 2000-02-29 00:00:00; 2024-12-31 23:59:58.
        for (seconds, date) in [
            (1_795_390_202, (2026, 11, 22)),
            (951_782_400, (2000, 2, 29)),
            (1_735_689_598, (2024, 12, 31)),
        ] {
            let fat = to_fat(at(seconds));
            assert_eq!((fat.date.year, fat.date.month, fat.date.day), date);
            assert_eq!(from_fat(fat), at(seconds));
        }
    }

    #[test]
    fn times_before_and_after_fat_are_moved() {
        assert_eq!(to_fat(at(0)).date.year, 1980);
        assert_eq!(to_fat(at(u64::MAX)).date.year, 2107);
    }
}
