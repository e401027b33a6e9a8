//! The table of what packets cost, in Markdown.

use super::Numbers;
use super::figures::{added, hundredths, of, per_one, tenths};
use super::packets::{SIZES, WAYS};
use super::scene::{BATCHES, DEPTHS};
use anyhow::Result;

/// The table.
///
/// # Errors
/// Names a key that is missing.
pub fn render(numbers: &Numbers) -> Result<String> {
    let mut text = String::from(
        "| packet | depth | Domain0, card | domain, card | added | domain, domain | bytes per instruction | hypercalls | events | switches per batch |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for size in SIZES {
        for depth in DEPTHS {
            text += &line(numbers, size, depth)?;
        }
    }
    Ok(text)
}

fn line(numbers: &Numbers, size: u32, depth: u32) -> Result<String> {
    // Each goes there and comes back.
    let packets = u64::from(2 * BATCHES * depth);
    let all = |what: &str| -> Result<[u64; 3]> {
        let of = |way| of(numbers, &format!("{way}_{size}_{depth}_{what}"));
        let [native, card, domain] = WAYS.map(of);
        Ok([native?, card?, domain?])
    };
    let ticks = all("ticks")?;
    let [native, card, domain] = ticks.map(|ticks| per_one(ticks, packets));
    let per_instruction = ticks.map(|ticks| hundredths(u64::from(size) * packets, ticks));
    let [calls, events] =
        ["calls", "events"].map(|what| all(what).map(|all| all.map(|one| tenths(one, packets))));
    let runs = all("runs")?[1];
    Ok(format!(
        "| {size} B | {depth} | {native} | {card} | {} % | {domain} | {} | {} | {} | {} |\n",
        added(ticks[0], ticks[1]),
        per_instruction.join(" / "),
        calls?.join(" / "),
        events?.join(" / "),
        // Each time that the domain runs is a switch to it and one away.
        tenths(2 * runs, BATCHES.into()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_per_packet_there_or_back() {
        let mut numbers = Numbers::new();
        for size in SIZES {
            for depth in DEPTHS {
                let packets = u64::from(2 * BATCHES * depth);
                for (way, ticks, calls) in [("native", 2000, 0), ("card", 3000, 2), ("domain", 7000, 3)] {
                    let mut put = |what: &str, number| {
                        numbers.insert(format!("{way}_{size}_{depth}_{what}"), number);
                    };
                    put("ticks", ticks * packets);
                    put("calls", calls * packets);
                    put("events", packets / 2);
                    put("runs", BATCHES.into());
                }
            }
        }
        let table = render(&numbers).unwrap();
        let row = "| 1400 B | 8 | 2000 | 3000 | 50 % | 7000 | 0.70 / 0.47 / 0.20 | 0.0 / 2.0 / 3.0 | 0.5 / 0.5 / 0.5 | 2.0 |\n";
        assert!(table.contains(row), "{table}");
        numbers.remove("domain_1_32_events");
        assert!(
            render(&numbers)
                .unwrap_err()
                .to_string()
                .contains("domain_1_32_events")
        );
    }
}
