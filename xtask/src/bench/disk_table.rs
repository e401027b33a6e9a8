//! The table of what requests of a disk cost, in Markdown.

use super::Numbers;
use super::figures::{added, hundredths, of, per_one, tenths};
use super::scene::{BATCHES, DEPTHS};
use super::split::{KINDS, SIZES};
use anyhow::Result;

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
    let of = |who: &str, what: &str| of(numbers, &format!("{who}_{kind}_{size}_{depth}_{what}"));
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
        per_one(native, requests),
        per_one(split, requests),
        added(native, split),
        hundredths(bytes, native),
        hundredths(bytes, split),
        pair("calls", requests)?,
        pair("events", requests)?,
        // Each time that the domain runs is a switch to it and one away.
        tenths(2 * of("split", "runs")?, BATCHES.into()),
    ))
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
