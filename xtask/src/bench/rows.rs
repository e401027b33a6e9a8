//! The rows of the table of operations: what is measured, what Xen needs, what we aim at, and how such numbers are written.

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// As it is, in groups of three digits.
    Instructions,
    /// In millions or thousands of millions, with one decimal.
    Millions,
    /// Bytes, written as megabytes with two decimals.
    Megabytes,
}

/// One row: what is measured, Xen's numbers, our goals. Several keys share a row with a slash between.
pub struct Row {
    /// What is measured.
    pub operation: &'static str,
    /// By which names the measuring guest prints it.
    pub keys: &'static [&'static str],
    /// What Xen needs, where that was measured.
    pub xen: &'static [u64],
    /// What we aim at.
    pub goals: &'static [u64],
    /// How these numbers are written.
    pub unit: Unit,
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
pub const ROWS: [Row; 26] = [
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

impl Unit {
    /// The number as it stands in the table.
    pub fn write(self, number: u64) -> String {
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
pub fn grouped(number: u64) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
