//! `date [+FORMAT]`, `date -s TIME`: shows the wall clock, or sets it, which is Domain0's right. FORMAT has strftime's signs. TIME is
//! `YYYY-MM-DD HH:MM[:SS]`, `HH:MM[:SS]` of today, or `@` and seconds since 1970; all of it is UTC.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, NaiveDateTime, NaiveTime, Utc};
use programs::args::Args;
use programs::{clock, eprintln, println, sys};

programs::program!(main);

/// What is shown without a format: as everywhere.
const USUAL: &str = "%a %b %e %H:%M:%S UTC %Y";
/// Forms of a time with a date, and of one without.
const WITH_DATE: [&str; 4] = [
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M",
];
const OF_TODAY: [&str; 2] = ["%H:%M:%S", "%H:%M"];

fn main(args: &Args) -> i32 {
    let words: Result<Vec<&str>, _> = args.rest().map(core::str::from_utf8).collect();
    let Some(now) = i64::try_from(clock::wall_seconds())
        .ok()
        .and_then(|seconds| DateTime::<Utc>::from_timestamp(seconds, 0))
    else {
        eprintln!("date: the clock shows a time beyond all calendars");
        return 1;
    };
    match words.as_deref() {
        Ok([]) => show(now, USUAL),
        Ok([format]) if format.starts_with('+') => show(now, &format[1..]),
        Ok(["-s" | "--set", time]) => set(now, time),
        Ok(["-u", ..]) => show(now, USUAL),
        _ => {
            eprintln!(
                "usage: date [+FORMAT] | date -s \"YYYY-MM-DD HH:MM[:SS]\" | date -s HH:MM[:SS] | date -s @SECONDS"
            );
            2
        }
    }
}

fn show(now: DateTime<Utc>, format: &str) -> i32 {
    let items: Vec<Item<'_>> = StrftimeItems::new(format).collect();
    if items.contains(&Item::Error) {
        eprintln!("date: `{format}` is no format; %Y-%m-%d %H:%M:%S is one");
        return 1;
    }
    let text: String = now.format_with_items(items.iter()).to_string();
    println!("{text}");
    0
}

fn set(now: DateTime<Utc>, text: &str) -> i32 {
    let Some(seconds) = parse(now, text).and_then(|seconds| u32::try_from(seconds).ok()) else {
        eprintln!(
            "date: `{text}` is no time between 1970 and 2106 such as 2026-11-22 20:30:00, 20:30, or @1800000000"
        );
        return 1;
    };
    match sys::clock_settime(seconds.into()) {
        Ok(()) => show(DateTime::from_timestamp(seconds.into(), 0).unwrap_or(now), USUAL),
        Err(error) => {
            eprintln!("date: setting the clock: {error}");
            1
        }
    }
}

/// Seconds since 1970.
fn parse(now: DateTime<Utc>, text: &str) -> Option<i64> {
    if let Some(seconds) = text.strip_prefix('@') {
        return seconds.parse().ok();
    }
    let dated = WITH_DATE
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let time = dated.or_else(|| {
        let time = OF_TODAY
            .iter()
            .find_map(|form| NaiveTime::parse_from_str(text, form).ok())?;
        Some(now.date_naive().and_time(time))
    })?;
    Some(time.and_utc().timestamp())
}
