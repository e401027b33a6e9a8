//! `top`: who used the processor between two looks, and who has the memory. Columns as xentop's.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;

use super::{Domain, percent, seconds};

/// One look at everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// When, in ns.
    pub at_ns: u64,
    /// The domains with their weights, where the scheduler has weights.
    pub domains: Vec<(Domain, Option<u32>)>,
    /// Memory of the machine.
    pub total_kib: u64,
    /// Memory that belongs to nobody.
    pub free_kib: u64,
}

/// A domain between two looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TopRow {
    /// The domain now.
    #[serde(flatten)]
    pub domain: Domain,
    /// Processor time since the look before, in ns.
    pub cpu_used_ns: u64,
    /// Time since the look before, in ns; 0 where there was none.
    pub elapsed_ns: u64,
    /// Its weight.
    pub weight: Option<u32>,
}

/// What happened between `before` and `now`, busiest first. A domain that is new counts from its start, whatever its
/// number stood for before.
pub fn rows(before: &Sample, now: &Sample) -> Vec<TopRow> {
    let elapsed_ns = now.at_ns.saturating_sub(before.at_ns);
    let mut rows: Vec<TopRow> = now
        .domains
        .iter()
        .map(|(domain, weight)| {
            let earlier = before.domains.iter().map(|(domain, _)| domain);
            let used = earlier
                .filter(|earlier| earlier.id == domain.id)
                .find_map(|earlier| domain.cpu_time_ns.checked_sub(earlier.cpu_time_ns));
            TopRow {
                domain: domain.clone(),
                cpu_used_ns: used.unwrap_or(domain.cpu_time_ns),
                elapsed_ns,
                weight: *weight,
            }
        })
        .collect();
    rows.sort_by_key(|row| (core::cmp::Reverse(row.cpu_used_ns), row.domain.id));
    rows
}

/// The screen, `clock` being the time of day in seconds.
pub fn screen(rows: &[TopRow], now: &Sample, clock: u64) -> String {
    let count = |letter: char| {
        rows.iter()
            .filter(|row| row.domain.state.contains(letter))
            .count()
    };
    let mut text = format!(
        "top - {:02}:{:02}:{:02}   {} domains: {} running, {} blocked, {} paused, {} crashed, {} shutdown\n\
         Mem: {}k total, {}k used, {}k free\n\
         {:>16}  {:6} {:>9} {:>6} {:>10} {:>6} {:>10} {:>5} {:>6}\n",
        clock / 3600 % 24,
        clock / 60 % 60,
        clock % 60,
        rows.len(),
        count('r'),
        count('b'),
        count('p'),
        count('c'),
        count('s'),
        now.total_kib,
        now.total_kib.saturating_sub(now.free_kib),
        now.free_kib,
        "NAME",
        "STATE",
        "CPU(sec)",
        "CPU(%)",
        "MEM(k)",
        "MEM(%)",
        "MAXMEM(k)",
        "VCPUS",
        "WEIGHT",
    );
    for row in rows {
        let domain = &row.domain;
        let limit = domain
            .max_memory_kib
            .map_or_else(|| "no limit".into(), |limit| format!("{limit}"));
        let weight = row
            .weight
            .map_or_else(|| "-".into(), |weight| format!("{weight}"));
        text += &format!(
            "{:>16}  {:6} {:>9} {:>6} {:>10} {:>6} {limit:>10} {:>5} {weight:>6}\n",
            domain.label(),
            domain.state,
            seconds(domain.cpu_time_ns),
            percent(row.cpu_used_ns, row.elapsed_ns),
            domain.memory_kib,
            percent(domain.memory_kib, now.total_kib),
            domain.vcpus,
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(name: &str, id: u16, cpu_time_ns: u64) -> (Domain, Option<u32>) {
        let domain = Domain {
            name: Some(name.into()),
            id,
            memory_kib: 16_384,
            max_memory_kib: (id != 0).then_some(16_384),
            vcpus: 1,
            state: if id == 0 { "r-----" } else { "-b----" }.into(),
            shutdown_reason: None,
            cpu_time_ns,
            uptime_ns: None,
        };
        (domain, (id != 2).then_some(256))
    }

    fn sample(at_ns: u64, domains: &[(Domain, Option<u32>)]) -> Sample {
        Sample {
            at_ns,
            domains: domains.to_vec(),
            total_kib: 65_536,
            free_kib: 16_384,
        }
    }

    #[test]
    fn shares_are_between_two_looks() {
        let before = sample(
            1000,
            &[
                domain("Domain-0", 0, 500),
                domain("a", 1, 900),
                domain("gone", 2, 900),
            ],
        );
        let after = sample(
            2000,
            &[
                domain("Domain-0", 0, 600),
                domain("a", 1, 1650),
                domain("new", 2, 150),
            ],
        );
        let rows = rows(&before, &after);
        let found: Vec<_> = rows
            .iter()
            .map(|row| (row.domain.label(), row.cpu_used_ns, row.elapsed_ns))
            .collect();
        // The number of the one that is gone was given to a new one, whose time began again.
        assert_eq!(
            found,
            [("a", 750, 1000), ("new", 150, 1000), ("Domain-0", 100, 1000)]
        );
        let text = screen(&rows, &after, 3661);
        let expected = "top - 01:01:01   3 domains: 1 running, 2 blocked, 0 paused, 0 crashed, 0 shutdown\n\
            Mem: 65536k total, 49152k used, 16384k free\n\
            \u{20}           NAME  STATE   CPU(sec) CPU(%)     MEM(k) MEM(%)  MAXMEM(k) VCPUS WEIGHT\n\
            \u{20}              a  -b----       0.0   75.0      16384   25.0      16384     1    256\n\
            \u{20}            new  -b----       0.0   15.0      16384   25.0      16384     1      -\n\
            \u{20}       Domain-0  r-----       0.0   10.0      16384   25.0   no limit     1    256\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn json_rows_are_flat() {
        let look = sample(5, &[domain("a", 1, 3)]);
        let value: serde_json::Value =
            serde_json::from_str(&super::super::json(&rows(&Sample::default(), &look))).unwrap();
        assert_eq!(value[0]["name"], "a");
        assert_eq!(value[0]["cpu_used_ns"], 3);
        assert_eq!(value[0]["weight"], 256);
    }
}
