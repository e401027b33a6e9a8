//! Mutants: hypervisors with one check removed. The test guest that attacks the check must notice, or it proves nothing.
//!
//! A mutant is a feature of the package `hypervisor` whose name begins with `mutant-`. A test guest names those it attacks.

use super::guest::{self, Guest};
use super::{Outcome, Stop, Test, fixture};
use crate::build::HYPERVISOR;
use crate::check;
use crate::cli::Emulator;
use crate::status::{Ending, Verdict};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;

/// What the log of a hypervisor that came up holds.
const DOMAIN0_IS_THERE: &str = "Domain0: ";

/// The tests: each mutant against each guest that attacks it, and one that no mutant is left alone.
pub fn tests() -> Vec<Test> {
    let guests = match guest::all() {
        Ok(guests) => guests,
        Err(error) => return vec![Test::new("mutant::sources", move || Err(error.into()))],
    };
    let mut tests = vec![Test::new("mutant::each_has_an_attack", {
        let guests = guests.clone();
        move || each_has_an_attack(&guests)
    })];
    for guest in guests {
        for emulator in guest
            .emulators
            .iter()
            .copied()
            .filter(|_| !guest.mutants.is_empty())
        {
            let guest = guest.clone();
            let name = guest::test_name("mutant::none", &guest.name, emulator);
            tests.push(Test::new(name.clone(), move || control(&guest, &name, emulator)));
        }
        for (mutant, emulator) in pairs(&guest) {
            let guest = guest.clone();
            let name = guest::test_name(&format!("mutant::{mutant}"), &guest.name, emulator);
            tests.push(Test::new(name.clone(), move || {
                attack(&guest, &name, &mutant, emulator)
            }));
        }
    }
    tests
}

/// Every mutant of a guest with every emulator it runs on.
fn pairs(guest: &Guest) -> Vec<(String, Emulator)> {
    let on = |emulator: &Emulator| {
        guest
            .mutants
            .iter()
            .map(|mutant| (mutant.clone(), *emulator))
            .collect::<Vec<_>>()
    };
    guest.emulators.iter().flat_map(on).collect()
}

/// Runs the guest on a hypervisor that is built like a mutant and lacks nothing: what the mutants then change is their own doing.
fn control(guest: &Guest, test: &str, emulator: Emulator) -> Outcome {
    let record = guest.boot(test, build(&[])?, emulator)?;
    check!(
        record.ending == Ending::Verdict(guest.expect),
        "without a mutant: {}\n{}",
        record.ending,
        fixture::tail(&record.text)
    );
    Ok(())
}

/// Runs the attack on a hypervisor without the check.
fn attack(guest: &Guest, test: &str, mutant: &str, emulator: Emulator) -> Outcome {
    let record = guest.boot(test, build(&[mutant])?, emulator)?;
    check!(
        record.text.contains(DOMAIN0_IS_THERE),
        "the hypervisor without the check does not come up, so nothing is proved\n{}",
        fixture::tail(&record.text)
    );
    check!(
        is_caught(guest.expect, &record.ending),
        "the attack does not notice that its check is gone: {}\n{}",
        record.ending,
        fixture::tail(&record.text)
    );
    Ok(())
}

/// Whether the machine's end shows that the check was missing: the guest got through, or it or the hypervisor fell.
fn is_caught(expected: Verdict, ending: &Ending) -> bool {
    match ending {
        Ending::Verdict(Verdict::Failure | Verdict::Panic) | Ending::Reset => true,
        // A guest that should have been killed was not, or one that is well otherwise was.
        Ending::Verdict(Verdict::Success) => expected == Verdict::Dom0Crashed,
        Ending::Verdict(Verdict::Dom0Crashed) => expected != Verdict::Dom0Crashed,
        _ => false,
    }
}

/// Builds one mutant, or none.
fn build(mutant: &[&str]) -> Result<PathBuf, Stop> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = super::lock(&ONE_AT_A_TIME);
    Ok(HYPERVISOR.mutant(mutant).build_one()?)
}

/// A mutant without an attack is a check without a test; an attack on a mutant that is not there is a slip of the pen.
fn each_has_an_attack(guests: &[Guest]) -> Outcome {
    let attacked: BTreeSet<String> = guests
        .iter()
        .flat_map(|guest| guest.mutants.iter().cloned())
        .collect();
    let present = features()?;
    let alone: Vec<_> = present.difference(&attacked).collect();
    check!(alone.is_empty(), "no test guest attacks {alone:?}");
    let absent: Vec<_> = attacked.difference(&present).collect();
    check!(absent.is_empty(), "the hypervisor has no feature {absent:?}");
    Ok(())
}

/// The features of the hypervisor that are mutants.
fn features() -> Result<BTreeSet<String>> {
    let output = check::host_cargo()
        .args(["metadata", "--no-deps", "--format-version=1"])
        .output()
        .context("cannot run cargo metadata")?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("cargo metadata failed")?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let hypervisor = packages
        .iter()
        .find(|package| package["name"] == HYPERVISOR.name)
        .context("no hypervisor")?;
    let features = hypervisor["features"].as_object().context("no features")?;
    Ok(features
        .keys()
        .filter(|feature| feature.starts_with("mutant-"))
        .cloned()
        .collect())
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn only_a_broken_hypervisor_counts_as_caught() {
        let caught = |ending| is_caught(Verdict::Success, &ending);
        assert!(caught(Ending::Verdict(Verdict::Failure)));
        assert!(caught(Ending::Verdict(Verdict::Panic)));
        assert!(caught(Ending::Reset));
        assert!(caught(Ending::Verdict(Verdict::Dom0Crashed)));
        for ending in
            [Verdict::Success, Verdict::Skip, Verdict::Error, Verdict::PowerOff].map(Ending::Verdict)
        {
            assert!(!caught(ending));
        }
        assert!(!caught(Ending::TimedOut));
        assert!(is_caught(
            Verdict::Dom0Crashed,
            &Ending::Verdict(Verdict::Success)
        ));
        assert!(!is_caught(
            Verdict::Dom0Crashed,
            &Ending::Verdict(Verdict::Dom0Crashed)
        ));
    }

    #[test]
    fn the_mutants_are_read_from_the_manifest() {
        assert!(
            features()
                .unwrap()
                .iter()
                .all(|feature| feature.starts_with("mutant-"))
        );
    }
}
