//! Which of the calls the tests covered, by the hypervisor's own counters.
//!
//! A hypervisor with `loglvl=debug` ends its log with one line for each call: `call NAME ok N refused N`. The counts of all test guests
//! and of the mini-guest's sessions are added up; at the end every call must have been accepted and refused at least once.

use super::{Outcome, Stop, lock};
use crate::check;
use guest_abi::hypercall::CallNumber;
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex};

/// Calls that have no error: whatever the arguments, the answer is 0.
const NEVER_REFUSE: [CallNumber; 2] = [CallNumber::FPU_TASKSWITCH, CallNumber::SET_TIMER_OP];

/// How often a call was accepted and refused.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Count {
    accepted: u64,
    refused: u64,
}

static COUNTS: Mutex<BTreeMap<String, Count>> = Mutex::new(BTreeMap::new());
static DONE: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// Adds the counters at the end of a log.
pub fn collect(log: &str) {
    let mut counts = lock(&COUNTS);
    for (name, count) in log.lines().filter_map(parse) {
        let sum = counts.entry(name.to_string()).or_default();
        sum.accepted += count.accepted;
        sum.refused += count.refused;
    }
}

/// Reads `call NAME ok N refused N`, whatever the log puts before it.
fn parse(line: &str) -> Option<(&str, Count)> {
    let mut words = line.split_whitespace().skip_while(|word| *word != "call").skip(1);
    let (name, ok, accepted) = (words.next()?, words.next()?, words.next()?);
    let (refused_word, refused) = (words.next()?, words.next()?);
    let is_ours = ok == "ok" && refused_word == "refused" && words.next().is_none();
    is_ours.then(|| {
        Some((
            name,
            Count {
                accepted: accepted.parse().ok()?,
                refused: refused.parse().ok()?,
            },
        ))
    })?
}

/// A test that runs; when it is dropped, also by a panic, [`judge`] has one less to wait for.
pub struct Running;

impl Drop for Running {
    fn drop(&mut self) {
        *lock(&DONE.0) += 1;
        DONE.1.notify_all();
    }
}

/// Waits until `others` tests have ended, prints the table, and fails on a zero.
///
/// # Errors
/// Names the calls that were never accepted or never refused.
pub fn judge(others: usize) -> Outcome {
    let mut done = lock(&DONE.0);
    while *done < others {
        done = DONE
            .1
            .wait(done)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
    }
    drop(done);
    let counts = lock(&COUNTS);
    if counts.is_empty() {
        return Err(Stop::Skip("no test guest ran, so no call was counted".into()));
    }
    let (table, uncovered) = report(&counts);
    println!("\n{table}");
    check!(uncovered.is_empty(), "not covered: {}", uncovered.join(", "));
    Ok(())
}

/// The table of all calls, and what is missing.
fn report(counts: &BTreeMap<String, Count>) -> (String, Vec<String>) {
    let mut table = format!(
        "{:>2}  {:<30} {:>10} {:>10}\n",
        "#", "call", "accepted", "refused"
    );
    let mut uncovered = Vec::new();
    for (number, name) in CallNumber::ALL {
        let count = counts.get(*name).copied().unwrap_or_default();
        let never_refuses = NEVER_REFUSE.contains(number);
        let remark = if never_refuses { "  (has no error)" } else { "" };
        table += &format!(
            "{:>2}  {name:<30} {:>10} {:>10}{remark}\n",
            number.raw(),
            count.accepted,
            count.refused
        );
        if count.accepted == 0 {
            uncovered.push(format!("{name} (never accepted)"));
        }
        if !never_refuses && count.refused == 0 {
            uncovered.push(format!("{name} (never refused)"));
        }
    }
    (table, uncovered)
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn a_counter_line_is_found_behind_the_logs_prefix() {
        let count = Count {
            accepted: 12,
            refused: 3,
        };
        assert_eq!(
            parse("call mmu_update ok 12 refused 3"),
            Some(("mmu_update", count))
        );
        assert_eq!(
            parse("(XEN) info [1.5] call mmu_update ok 12 refused 3\r"),
            Some(("mmu_update", count))
        );
        for other in [
            "",
            "call",
            "call x",
            "call x ok many refused 3",
            "call me ok 1 refused 2 times",
            "a call for help",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_zero_is_named() {
        let both = Count {
            accepted: 1,
            refused: 1,
        };
        let mut counts: BTreeMap<String, Count> = CallNumber::ALL
            .iter()
            .map(|(_, name)| (name.to_string(), both))
            .collect();
        assert!(report(&counts).1.is_empty());
        counts.insert(
            "multicall".into(),
            Count {
                accepted: 5,
                refused: 0,
            },
        );
        counts.remove("set_gdt");
        assert_eq!(
            report(&counts).1,
            [
                "set_gdt (never accepted)",
                "set_gdt (never refused)",
                "multicall (never refused)"
            ]
        );
    }
}
