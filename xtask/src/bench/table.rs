//! The cost tables: their rows, and their places in README.md.

use super::Numbers;
use anyhow::{Context, Result};

/// What stands before and after a table in README.md.
pub type Marks = [&'static str; 2];
/// Around the table of operations.
pub const OPERATIONS: Marks = ["<!-- bench -->", "<!-- /bench -->"];
/// Around the table of costs by the number of domains.
pub const CROWDS: Marks = ["<!-- bench domains -->", "<!-- /bench domains -->"];

/// How many domains there are in each row of that table, Domain0 among them.
const DOMAINS: [u32; 4] = [2, 10, 100, 1000];
/// Its columns, and the keys of their numbers, less the number of domains.
const COLUMNS: [(&str, &str); 3] = [
    ("create + destroy, 4 MB", "create_destroy"),
    ("domain switch, one way", "domain_switch"),
    ("event to a blocked domain until it runs", "event_wake"),
];

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Instructions,
    /// In millions or thousands of millions, with one decimal.
    Millions,
    /// Bytes, written as megabytes with two decimals.
    Megabytes,
}

/// One row: what is measured, Xen's numbers, our goals. Several keys share a row with a slash between.
struct Row {
    operation: &'static str,
    keys: &'static [&'static str],
    xen: &'static [u64],
    goals: &'static [u64],
    unit: Unit,
}

const fn row(
    operation: &'static str,
    keys: &'static [&'static str],
    xen: &'static [u64],
    goals: &'static [u64],
) -> Row {
    Row {
        operation,
        keys,
        xen,
        goals,
        unit: Unit::Instructions,
    }
}

const fn with_unit(row: Row, unit: Unit) -> Row {
    Row { unit, ..row }
}

/// The rows, in their order. Xen is 4.17.7 with 32-bit paravirtual guests, speculation work-arounds off.
const ROWS: [Row; 26] = [
    row("null hypercall (xen_version)", &["null_hypercall"], &[262], &[50]),
    row("unknown hypercall", &["unknown_hypercall"], &[217], &[40]),
    row("stack_switch", &["stack_switch"], &[239], &[55]),
    row(
        "mmu_update, one entry, frame changes",
        &["mmu_update_one"],
        &[1100],
        &[180],
    ),
    row(
        "mmu_update, batch of 128, per entry, frames change",
        &["mmu_update_batch"],
        &[698],
        &[100],
    ),
    row(
        "update_va_mapping + invlpg, frame changes",
        &["update_va_mapping"],
        &[991],
        &[180],
    ),
    row(
        "direct write to a live page table, per write",
        &["writable_page_table"],
        &[1842],
        &[400],
    ),
    row(
        "pin + unpin an L1 with 512 entries",
        &["pin_unpin"],
        &[195_789],
        &[36_000],
    ),
    row(
        "new page-table base, two pinned roots in turn",
        &["new_base"],
        &[1837],
        &[180],
    ),
    row(
        "page fault to the guest handler and back (native iret)",
        &["page_fault"],
        &[417],
        &[90],
    ),
    row(
        "#UD / int3 to the guest handler and back (native iret)",
        &["undefined_opcode", "breakpoint"],
        &[404, 343],
        &[80, 75],
    ),
    row(
        "int 0x80 from ring 3 to ring 1 and back, fast trap",
        &["fast_trap"],
        &[234],
        &[40],
    ),
    row(
        "event send, masked / delivered with its return",
        &["event_send_masked", "event_send_delivered"],
        &[468, 851],
        &[100, 200],
    ),
    row(
        "event alloc_unbound + close",
        &["event_alloc_close"],
        &[1138],
        &[300],
    ),
    row("multicall of 32, per call", &["multicall"], &[215], &[40]),
    row(
        "set_trap_table, 1 / 20 entries",
        &["set_trap_table_1", "set_trap_table_20"],
        &[389, 2137],
        &[130, 600],
    ),
    row("update_descriptor", &["update_descriptor"], &[551], &[150]),
    row("set_timer_op", &["set_timer_op"], &[367], &[120]),
    row("yield with nobody else to run", &["yield"], &[2005], &[150]),
    row(
        "domain switch (two domains yielding in turn), one way",
        &["domain_switch_2"],
        &[],
        &[300],
    ),
    row("block + wake by event, one way", &["block_wake_2"], &[], &[450]),
    row("grant map + unmap", &["grant_map_unmap"], &[2827], &[550]),
    with_unit(
        row(
            "domain create + destroy, 4 MB, builder excluded",
            &["create_destroy_2"],
            &[],
            &[2_000_000],
        ),
        Unit::Millions,
    ),
    with_unit(
        row(
            "loader's jump to the guest's first instruction (Xen without its waits: 32 M)",
            &["boot_to_guest"],
            &[1_000_000_000],
            &[10_000_000],
        ),
        Unit::Millions,
    ),
    with_unit(
        row(
            "memory the hypervisor keeps, 512 MB machine",
            &["memory_kept"],
            &[9_200_000],
            &[4_000_000],
        ),
        Unit::Megabytes,
    ),
    with_unit(
        row("loaded image", &["loaded_image"], &[3_800_000], &[600_000]),
        Unit::Megabytes,
    ),
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

impl Unit {
    fn write(self, number: u64) -> String {
        match self {
            Self::Instructions => grouped(number),
            Self::Millions if number >= 1_000_000_000 => {
                format!(
                    "{}.{} G",
                    number / 1_000_000_000,
                    number % 1_000_000_000 / 100_000_000
                )
            }
            Self::Millions => format!(
                "{}.{} M",
                grouped(number / 1_000_000),
                number % 1_000_000 / 100_000
            ),
            Self::Megabytes => format!("{}.{:02} MB", number / 1_000_000, number % 1_000_000 / 10_000),
        }
    }
}

/// Digits in groups of three from 10 000 on.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let head = digits.len() % 3;
    let (first, rest) = digits.split_at(head);
    let groups = rest
        .as_bytes()
        .chunks(3)
        .map(|group| String::from_utf8_lossy(group).into_owned());
    (!first.is_empty())
        .then(|| first.to_string())
        .into_iter()
        .chain(groups)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The table in a text with the marks.
pub fn in_text(text: &str, marks: Marks) -> Option<&str> {
    let (_, rest) = text.split_once(marks[0])?;
    Some(rest.split_once(marks[1])?.0.trim())
}

/// The text with another table.
pub fn replaced(text: &str, marks: Marks, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(marks[0])?;
    let (_, after) = rest.split_once(marks[1])?;
    Some(format!(
        "{before}{}\n{}\n{}{after}",
        marks[0],
        table.trim_end(),
        marks[1]
    ))
}

/// The lines of both tables that differ, if any do.
pub fn difference(readme: &str, measured: &str) -> Option<String> {
    let (old, new): (Vec<&str>, Vec<&str>) =
        (readme.trim().lines().collect(), measured.trim().lines().collect());
    let only = |of: &[&str], other: &[&str], mark: &str| -> String {
        of.iter()
            .filter(|line| !other.contains(line))
            .map(|line| format!("{mark} {line}\n"))
            .collect()
    };
    (old != new).then(|| only(&old, &new, "README:  ") + &only(&new, &old, "measured:"))
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
    fn every_row_has_a_goal_for_each_key() {
        for row in &ROWS {
            assert_eq!(row.keys.len(), row.goals.len(), "{}", row.operation);
            assert!(
                row.xen.is_empty() || row.xen.len() == row.keys.len(),
                "{}",
                row.operation
            );
        }
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

    #[test]
    fn the_table_is_found_and_replaced_between_its_marks() {
        let text = format!("# X\n{}\nold\n{}\nrest\n", OPERATIONS[0], OPERATIONS[1]);
        assert_eq!(in_text(&text, OPERATIONS), Some("old"));
        let new = replaced(&text, OPERATIONS, "a\nb\n").unwrap();
        assert_eq!(
            new,
            format!("# X\n{}\na\nb\n{}\nrest\n", OPERATIONS[0], OPERATIONS[1])
        );
        assert_eq!(in_text(&new, OPERATIONS), Some("a\nb"));
        assert_eq!(in_text("no marks", OPERATIONS), None);
        assert_eq!(difference("a\nb", "a\nb\n"), None);
        assert_eq!(difference("a\nb", "a\nc").unwrap(), "README:   b\nmeasured: c\n");
    }
}
