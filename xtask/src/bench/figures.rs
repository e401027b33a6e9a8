//! How numbers stand in the tables.

use super::Numbers;
use super::rows::grouped;
use anyhow::{Context, Result};

/// The number of a key.
///
/// # Errors
/// Names it where it is missing.
pub fn of(numbers: &Numbers, key: &str) -> Result<u64> {
    let number = numbers.get(key).copied();
    number.with_context(|| format!("{key} was not measured"))
}

/// What one of so many takes.
pub fn per_one(number: u64, of: u64) -> String {
    grouped(significant(rounded(number, of)))
}

/// The number with three significant digits: further ones are another number when a part of a device's answers comes some instructions later.
fn significant(number: u64) -> u64 {
    let unit = 10_u64.pow(number.checked_ilog10().unwrap_or(0).saturating_sub(2));
    rounded(number, unit) * unit
}

fn rounded(number: u64, by: u64) -> u64 {
    (number + by / 2) / by
}

/// What the second one has more, in percent of the first.
pub fn added(native: u64, split: u64) -> i64 {
    let (native, split) = (native as i64, split as i64);
    ((split - native) * 100 + native / 2) / native
}

/// With one decimal.
pub fn tenths(number: u64, by: u64) -> String {
    let tenths = rounded(number * 10, by);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// With two decimals.
pub fn hundredths(number: u64, by: u64) -> String {
    let hundredths = rounded(number * 100, by);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}
