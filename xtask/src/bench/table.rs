//! The cost tables in Markdown: what was measured, beside the goals.

use super::Numbers;
use super::rows::{ROWS, Row, grouped};
use anyhow::{Context, Result};

/// How many domains there are in each row of that table, Domain0 among them.
const DOMAINS: [u32; 4] = [2, 10, 100, 1000];
/// Its columns, and the keys of their numbers, less the number of domains.
const COLUMNS: [(&str, &str); 3] = [
    ("create + destroy, 4 MB", "create_destroy"),
    ("domain switch, one way", "domain_switch"),
    ("event to a blocked domain until it runs", "event_wake"),
];

/// The table of operations in Markdown, and below it what else was measured.
///
/// # Errors
/// Names the keys that are missing.
pub fn render(numbers: &Numbers) -> Result<String> {
    let mut text = String::from("| operation | Xen | goal | ours |\n|---|---:|---:|---:|\n");
    for row in &ROWS {
        let ours = row
            .keys
            .iter()
            .map(|key| of(numbers, key))
            .collect::<Result<Vec<_>>>()?;
        text += &line(row, &ours);
    }
    let known = |key: &str| {
        ROWS.iter().any(|row| row.keys.contains(&key))
            || COLUMNS
                .iter()
                .any(|(_, column)| DOMAINS.iter().any(|domains| key == key_of(column, *domains)))
    };
    let others: Vec<_> = numbers.iter().filter(|(key, _)| !known(key)).collect();
    if !others.is_empty() {
        text.push('\n');
    }
    for (key, number) in others {
        text += &format!("{}: {}\n", key.replace('_', " "), grouped(*number));
    }
    Ok(text)
}

/// The table of costs by the number of domains.
///
/// # Errors
/// Names a key that is missing.
pub fn render_crowds(numbers: &Numbers) -> Result<String> {
    let mut text = String::from("| domains |");
    for (title, _) in COLUMNS {
        text += &format!(" {title} |");
    }
    text += &format!("\n|---:|{}\n", "---:|".repeat(COLUMNS.len()));
    for domains in DOMAINS {
        text += &format!("| {} |", grouped(domains.into()));
        for (_, column) in COLUMNS {
            text += &format!(" {} |", grouped(of(numbers, &key_of(column, domains))?));
        }
        text.push('\n');
    }
    Ok(text)
}

fn key_of(column: &str, domains: u32) -> String {
    format!("{column}_{domains}")
}

fn of(numbers: &Numbers, key: &str) -> Result<u64> {
    let number = numbers.get(key).copied();
    number.with_context(|| format!("the measuring guest does not print {key}"))
}

fn line(row: &Row, ours: &[u64]) -> String {
    let each = |numbers: &[u64]| {
        numbers
            .iter()
            .map(|number| row.unit.write(*number))
            .collect::<Vec<_>>()
            .join(" / ")
    };
    // How far a missed goal is missed stands beside the number.
    let ours: Vec<String> = ours
        .iter()
        .zip(row.goals)
        .map(|(ours, goal)| match ours.checked_sub(*goal) {
            Some(over @ 1..) => format!("{} (+{})", row.unit.write(*ours), row.unit.write(over)),
            _ => row.unit.write(*ours),
        })
        .collect();
    let xen = if row.xen.is_empty() {
        "–".to_string()
    } else {
        each(row.xen)
    };
    format!(
        "| {} | {xen} | {} | {} |\n",
        row.operation,
        each(row.goals),
        ours.join(" / ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_at_goal() -> Numbers {
        let columns = COLUMNS
            .iter()
            .flat_map(|(_, column)| DOMAINS.map(|domains| (key_of(column, domains), 12_345)));
        let rows = ROWS.iter().flat_map(|row| row.keys.iter().zip(row.goals));
        columns
            .chain(rows.map(|(key, goal)| (key.to_string(), *goal)))
            .collect()
    }

    #[test]
    fn a_missed_goal_says_by_how_much() {
        let mut numbers = all_at_goal();
        numbers.insert("null_hypercall".into(), 64);
        numbers.insert("undefined_opcode".into(), 81);
        numbers.insert("boot_to_guest".into(), 12_500_000);
        numbers.insert("longest_stretch".into(), 20_000);
        let table = render(&numbers).unwrap();
        assert!(
            table.contains("| null hypercall (xen_version) | 262 | 50 | 64 (+14) |\n"),
            "{table}"
        );
        assert!(
            table.contains(" | 404 / 343 | 80 / 75 | 81 (+1) / 75 |\n"),
            "{table}"
        );
        assert!(
            table.contains(" | 1.0 G | 10.0 M | 12.5 M (+2.5 M) |\n"),
            "{table}"
        );
        assert!(table.contains(" | 195 789 | 36 000 | 36 000 |\n"), "{table}");
        assert!(table.contains(" | 9.20 MB | 4.00 MB | 4.00 MB |\n"), "{table}");
        assert!(table.ends_with("\nlongest stretch: 20 000\n"), "{table}");
    }

    #[test]
    fn no_number_may_be_missing() {
        let mut numbers = all_at_goal();
        numbers.remove("fast_trap");
        assert!(render(&numbers).unwrap_err().to_string().contains("fast_trap"));
        numbers.remove("event_wake_100");
        assert!(
            render_crowds(&numbers)
                .unwrap_err()
                .to_string()
                .contains("event_wake_100")
        );
    }

    #[test]
    fn a_row_per_number_of_domains() {
        let mut numbers = all_at_goal();
        numbers.insert("event_wake_1000".into(), 678);
        let table = render_crowds(&numbers).unwrap();
        assert_eq!(table.lines().count(), 2 + DOMAINS.len());
        assert!(table.ends_with("| 1000 | 12 345 | 12 345 | 678 |\n"), "{table}");
        assert!(!render(&numbers).unwrap().contains("event wake"));
    }
}
