//! Very many domains, and machines whose memory ends while a domain is made.

use super::{has_lines, powered_off};
use crate::boot_image::{self, BootImage};
use crate::check;
use crate::console::Record;
use crate::keyboard::Keyboard;
use crate::machine::Machine;
use crate::suite::{Outcome, Stop, Test, coverage, fixture};

/// The tests.
pub fn tests() -> Vec<Test> {
    vec![
        Test::new("system::a_thousand_domains_at_once", crowd),
        Test::new("system::memory_ends_while_a_domain_is_made", starve),
    ]
}

/// Runs `program` in Domain0 on a machine of `mem_mib`, with the small kernel as a boot module; all references to memory are recounted
/// at its end.
fn session(test: &str, mem_mib: u64, icount: bool, program: &str) -> Result<Record, Stop> {
    let image = BootImage {
        hypervisor: fixture::hypervisor()?,
        append: "audit-on-shutdown".into(),
        modules: vec![
            fixture::module("dom0", &fixture::mini_guest()?, "autostart=no"),
            fixture::module("initrd", &fixture::programs()?, ""),
            boot_image::for_domains(0, fixture::small_guest()?, "")?,
        ],
    };
    let machine = Machine {
        mem_mib,
        icount,
        ..Machine::default()
    };
    let keyboard = Keyboard::of_text(format!("{program}; echo status $?\npoweroff\n"));
    let record = fixture::boot(test, &machine, &image, keyboard, fixture::LIMIT * 5)?;
    coverage::collect(&record.text);
    powered_off(&record)?;
    has_lines(&record, &["status 0"])?;
    Ok(record)
}

/// A thousand domains in 1 GB. Time stamps count instructions here, so that a step which costs more for the last domain than
/// for the first one is found on any machine.
fn crowd() -> Outcome {
    let test = "system::a_thousand_domains_at_once";
    let record = session(test, 1024, true, "crowd 1000 256")?;
    for step in ["creation", "start", "destruction"] {
        let (first, last) = ticks(&record.text, step)?;
        check!(
            first.abs_diff(last) <= first.min(last) / 4,
            "{step}: {first} instructions for one of the first domains, {last} for one of the last"
        );
    }
    Ok(())
}

/// The instructions of a step for a domain at the beginning and at the end.
fn ticks(text: &str, step: &str) -> Result<(u64, u64), Stop> {
    let begin = format!("crowd: {step}: ");
    let line = text.lines().find(|line| line.starts_with(&begin));
    let numbers: Vec<u64> = line
        .unwrap_or_default()
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .collect();
    match numbers[..] {
        [_, _, first, last] => Ok((first, last)),
        _ => Err(Stop::Fail(format!("{step}: no numbers in {line:?}"))),
    }
}

fn starve() -> Outcome {
    session("system::memory_ends_while_a_domain_is_made", 128, false, "starve").map(drop)
}
