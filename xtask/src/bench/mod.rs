//! The subcommand `bench`: what operations cost, in guest instructions, beside Xen's cost and our goal.
//!
//! The guest of `tests/bench` runs as Domain0 on the very image that `cargo run` boots, under `-icount shift=0`, where the
//! time-stamp counter counts executed instructions. It prints `bench: KEY NUMBER` for each operation; [`rows`] knows the keys. The
//! machine runs twice, and a number that differs is an error: then it is not the hypervisor's cost alone.
//!
//! README.md holds the tables, each between two marks; `bench --write` replaces them, `check` compares.

pub mod disk_table;
pub mod entries;
pub mod figures;
pub mod packet_table;
pub mod packets;
pub mod readme;
pub mod rows;
pub mod scene;
pub mod split;
pub mod table;

use crate::boot_image::{BootImage, Module};
use crate::build::{self, BENCH_GUEST, HYPERVISOR};
use crate::cli::{BenchArgs, Costs};
use crate::console::{Console, Record};
use crate::keyboard::Keyboard;
use crate::machine::Machine;
use crate::progress::Step;
use crate::status::{Ending, Verdict};
use crate::suite::fixture;
use crate::{elf, tools, workspace};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long one run may take.
const LIMIT: Duration = Duration::from_secs(300);
/// The fixed part of the machine that the boot's cost is given for.
const APPEND: &str = "exit-on-shutdown console=com1 dom0_mem=64M";

/// Numbers by key.
pub type Numbers = BTreeMap<String, u64>;

/// The subcommand.
///
/// # Errors
/// A failed build or run; two runs that differ; a README without the marks.
pub fn bench(args: &BenchArgs) -> Result<()> {
    let tables = tables(args.what)?;
    let readme = readme()?;
    let mut text =
        std::fs::read_to_string(&readme).with_context(|| format!("cannot read {}", readme.display()))?;
    let mut is_changed = false;
    for (marks, measured) in &tables {
        println!("{measured}");
        is_changed |= readme::in_text(&text, *marks) != Some(measured.trim());
        text = readme::replaced(&text, *marks, measured).with_context(|| {
            format!(
                "{} has no marks for the table ({})",
                workspace::display(&readme),
                marks[0]
            )
        })?;
    }
    if args.write {
        std::fs::write(&readme, text).with_context(|| format!("cannot write {}", readme.display()))?;
        println!("written to {}", workspace::display(&readme));
    } else if is_changed {
        println!("README.md has other tables; `cargo run -- bench --write` replaces them");
    }
    Ok(())
}

/// Measures, and compares with README.md's tables (part of `check`).
///
/// # Errors
/// A number that is not what the README says.
pub fn check() -> Result<()> {
    let text = std::fs::read_to_string(readme()?).context("cannot read README.md")?;
    for (marks, measured) in tables(None)? {
        let current = readme::in_text(&text, marks).context("README.md lacks a cost table")?;
        if let Some(difference) = readme::difference(current, &measured) {
            bail!(
                "README.md's costs are not what is measured; `cargo run -- bench --write` replaces them\n{difference}"
            );
        }
    }
    Ok(())
}

/// Measures this, or all; gives the tables and where they belong.
fn tables(what: Option<Costs>) -> Result<Vec<(readme::Marks, String)>> {
    ensure!(
        !build::quick(),
        "XENLITE_QUICK is set: costs are those of the release profile; unset it and measure again"
    );
    let is_wanted = |costs| what.is_none_or(|what| what == costs);
    let mut tables = Vec::new();
    if is_wanted(Costs::Operations) {
        let numbers = measure()?;
        tables.push((readme::OPERATIONS, table::render(&numbers)?));
        tables.push((readme::CROWDS, table::render_crowds(&numbers)?));
    }
    if is_wanted(Costs::Disk) {
        let scene = split::prepare()?;
        let table = agreed("requests of a disk", || {
            disk_table::render(&split::measure(&scene)?)
        })?;
        tables.push((readme::DISK, table));
    }
    if is_wanted(Costs::Net) {
        let scene = packets::prepare()?;
        let table = agreed("packets", || packet_table::render(&packets::measure(&scene)?))?;
        tables.push((readme::PACKETS, table));
    }
    Ok(tables)
}

fn readme() -> Result<PathBuf> {
    Ok(workspace::root().join("README.md"))
}

/// Runs the machine twice, and adds what the launcher measures by itself.
fn measure() -> Result<Numbers> {
    let machine = Machine {
        icount: true,
        ..Machine::default()
    };
    tools::require(&fixture::tools_of(&machine))?;
    let hypervisor = HYPERVISOR.build_one()?;
    let bench = BENCH_GUEST.build_one()?;
    let image_size = elf::loaded(&hypervisor)?.memory;
    let dom0 = Module {
        name: "dom0".into(),
        file: bench,
        args: String::new(),
    };
    let image = BootImage {
        hypervisor,
        append: APPEND.into(),
        modules: vec![dom0],
    };
    let mut all = twice("Measuring", || numbers(&run(&machine, &image)?))?;
    all.insert("loaded_image".into(), image_size);
    Ok(all)
}

/// A table of a device, once two runs in turn show the same. (Where a device answers in several parts, a part may come some instructions later.)
fn agreed(what: &str, measured: impl Fn() -> Result<String>) -> Result<String> {
    const RUNS: u32 = 5;
    let step = Step::start(format!("Measuring {what}"));
    let mut last = None;
    for run in 1..=RUNS {
        step.detail(&format!("run {run}"));
        let table = measured()?;
        if last.as_ref() == Some(&table) {
            return Ok(table);
        }
        if let Some(difference) = last
            .replace(table.clone())
            .and_then(|last| readme::difference(&last, &table))
        {
            eprintln!("two runs differ\n{difference}");
        }
    }
    bail!("no two of {RUNS} runs in turn show the same costs of {what}")
}

/// Measures, and a second time; the numbers must be the same.
fn twice(what: &str, measure: impl Fn() -> Result<Numbers>) -> Result<Numbers> {
    let step = Step::start(what);
    let first = measure()?;
    step.detail("a second time");
    let second = measure()?;
    drop(step);
    for (key, number) in &first {
        ensure!(
            second.get(key) == Some(number),
            "two runs differ: {key} {number} and {:?}",
            second.get(key)
        );
    }
    ensure!(
        first.len() == second.len(),
        "two runs differ in what they measure"
    );
    Ok(first)
}

fn run(machine: &Machine, image: &BootImage) -> Result<String> {
    let work = tempfile::tempdir_in(workspace::scratch()?)?;
    let running = machine.start(image, work.path())?;
    let console = Console {
        keyboard: &mut Keyboard::idle(),
        is_shown: false,
        log: None,
        deadline: Some(Instant::now() + LIMIT),
        symbols: image.symbols(),
    };
    let Record { ending, text } = console.attend(running)?;
    ensure!(
        ending == Ending::Verdict(Verdict::Success),
        "the measuring guest: {ending}\n{}",
        fixture::tail(&text)
    );
    Ok(text)
}

/// The numbers in a log: the guest's, and those of the hypervisor's line about the end of its boot.
fn numbers(log: &str) -> Result<Numbers> {
    let mut numbers = Numbers::new();
    for (key, before, after) in [
        ("boot_to_guest", "Domain0 starts after ", " ticks"),
        ("memory_kept", " ticks; ", " bytes of memory kept"),
    ] {
        if let Some(number) = between(log, before, after) {
            numbers.insert(
                key.into(),
                number.parse().with_context(|| format!("{key} is {number:?}"))?,
            );
        }
    }
    for (_, rest) in log.lines().filter_map(|line| line.split_once("bench: ")) {
        let mut words = rest.split_whitespace();
        let (Some(key), Some(number), None) = (words.next(), words.next(), words.next()) else {
            bail!("the measuring guest prints {rest:?}, not a key and a number");
        };
        let number = number.parse().with_context(|| format!("{key} is {number:?}"))?;
        ensure!(
            numbers.insert(key.to_string(), number).is_none(),
            "{key} is there twice"
        );
    }
    Ok(numbers)
}

/// What stands between two texts in one line.
fn between<'a>(log: &'a str, before: &str, after: &str) -> Option<&'a str> {
    log.lines()
        .find_map(|line| Some(line.split_once(before)?.1.split_once(after)?.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_a_log() {
        let log = "xenlite 0.1\r\nbench: null 49\r\n[d0] bench: yield 140\nend\n";
        let expected = Numbers::from([("null".into(), 49), ("yield".into(), 140)]);
        assert_eq!(numbers(log).unwrap(), expected);
        let log = "INFO  [    0.010000] Domain0 starts after 12345 ticks; 678 bytes of memory kept\r\n";
        let expected = Numbers::from([("boot_to_guest".into(), 12_345), ("memory_kept".into(), 678)]);
        assert_eq!(numbers(log).unwrap(), expected);
        for bad in [
            "bench: x",
            "bench: x 1 2",
            "bench: x -1",
            "bench: x 1\nbench: x 1",
        ] {
            assert!(numbers(bad).is_err(), "{bad}");
        }
    }
}
