//! The table of what requests of a disk cost, in Markdown.

use super::Numbers;
use super::rows::grouped;
use super::split::{BATCHES, DEPTHS, KINDS, SIZES};
use anyhow::{Context, Result};

/// The goal: what the split adds at most to requests of this size and depth, in percent.
const GOAL: (u32, u32, u64) = (65_536, 8, 15);

/// The table.
///
/// # Errors
/// Names a key that is missing.
pub fn render(numbers: &Numbers) -> Result<String> {
    let mut text = String::from(
        "| request | depth | native | split | added | bytes per instruction | hypercalls | events | switches per batch |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for kind in KINDS {
        for size in SIZES {
            for depth in DEPTHS {
                text += &line(numbers, kind, size, depth)?;
            }
        }
    }
    Ok(text)
}

fn line(numbers: &Numbers, kind: &str, size: u32, depth: u32) -> Result<String> {
    let of = |who: &str, what: &str| {
        let key = format!("{who}_{kind}_{size}_{depth}_{what}");
        numbers
            .get(&key)
            .copied()
            .with_context(|| format!("{key} was not measured"))
    };
    let requests = u64::from(BATCHES * depth);
    let (native, split) = (of("native", "ticks")?, of("split", "ticks")?);
    let pair = |what: &str, per: u64| -> Result<String> {
        Ok(format!(
            "{} / {}",
            tenths(of("native", what)?, per),
            tenths(of("split", what)?, per)
        ))
    };
    let bytes = u64::from(size) * requests;
    let goal = if (size, depth) == (GOAL.0, GOAL.1) {
        format!(" (goal {} %)", GOAL.2)
    } else {
        String::new()
    };
    Ok(format!(
        "| {kind} {} KB | {depth} | {} | {} | {} %{goal} | {} / {} | {} | {} | {} |\n",
        size / 1024,
        grouped(significant(rounded(native, requests))),
        grouped(significant(rounded(split, requests))),
        added(native, split),
        hundredths(bytes, native),
        hundredths(bytes, split),
        pair("calls", requests)?,
        pair("events", requests)?,
        // Each time that the domain runs is a switch to it and one away.
        tenths(2 * of("split", "runs")?, BATCHES.into()),
    ))
}

/// The number with three significant digits: further ones are another number when a part of the disk's answers comes some instructions later.
fn significant(number: u64) -> u64 {
    let unit = 10_u64.pow(number.checked_ilog10().unwrap_or(0).saturating_sub(2));
    rounded(number, unit) * unit
}

fn rounded(number: u64, by: u64) -> u64 {
    (number + by / 2) / by
}

/// What the second one has more, in percent of the first.
fn added(native: u64, split: u64) -> i64 {
    let (native, split) = (native as i64, split as i64);
    ((split - native) * 100 + native / 2) / native
}

fn tenths(number: u64, by: u64) -> String {
    let tenths = rounded(number * 10, by);
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn hundredths(number: u64, by: u64) -> String {
    let hundredths = rounded(number * 100, by);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_per_request_and_switches_per_batch() {
        let mut numbers = Numbers::new();
        for kind in KINDS {
            for size in SIZES {
                for depth in DEPTHS {
                    let requests = u64::from(BATCHES * depth);
                    for (who, ticks, calls) in [("native", 20_000, 2), ("split", 23_000, 7)] {
                        let mut put = |what: &str, number| {
                            numbers.insert(format!("{who}_{kind}_{size}_{depth}_{what}"), number);
                        };
                        put("ticks", ticks * requests);
                        put("calls", calls * requests);
                        put("events", requests / 2);
                        put("runs", BATCHES.into());
                    }
                }
            }
        }
        let table = render(&numbers).unwrap();
        let row = "| write 64 KB | 8 | 20 000 | 23 000 | 15 % (goal 15 %) | 3.28 / 2.85 | 2.0 / 7.0 | 0.5 / 0.5 | 2.0 |\n";
        assert!(table.contains(row), "{table}");
        numbers.remove("split_read_4096_1_calls");
        assert!(
            render(&numbers)
                .unwrap_err()
                .to_string()
                .contains("split_read_4096_1_calls")
        );
    }
}
