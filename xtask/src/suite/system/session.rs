//! A session at Domain0's shell: what is booted, what is typed, and what can be read from the screen.

use super::powered_off;
use crate::boot_image::{self, BootImage};
use crate::console::Record;
use crate::keyboard::{Keyboard, Step};
use crate::machine::Machine;
use crate::suite::{Outcome, Stop, coverage, fixture};
use serde_json::Value;
use std::path::Path;

/// What the shell prints when it waits.
pub(super) const PROMPT: &str = "/ # ";

/// Domain0 with the modules for other domains, `initrd` being theirs.
pub(super) fn image(dom0_args: &str, initrd: &Path) -> Result<BootImage, Stop> {
    let named = |n, file: &Path, args: &str| boot_image::for_domains(n, file.into(), args);
    let kernel = fixture::mini_guest()?;
    let default = initrd
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    Ok(BootImage {
        hypervisor: fixture::hypervisor()?,
        append: "loglvl=debug".into(),
        modules: vec![
            fixture::module("dom0", &kernel, dom0_args),
            fixture::module("initrd", &fixture::programs()?, ""),
            named(0, &kernel, &format!("initrd={default}"))?,
            named(1, initrd, "")?,
            named(2, &fixture::small_guest()?, "")?,
        ],
    })
}

/// Types into Domain0, which starts no domains by itself, and expects an orderly poweroff.
pub(super) fn session(test: &str, keys: &str) -> Result<Record, Stop> {
    let image = image("autostart=no", &fixture::domain_initrd()?)?;
    run(test, &image, keys)
}

/// The same step by step: what comes behind a fact is typed when there is the fact.
pub(super) fn talk(test: &str, steps: Vec<Step>) -> Result<Record, Stop> {
    let image = image("autostart=no", &fixture::domain_initrd()?)?;
    attend(test, &image, Keyboard::of_steps(steps))
}

pub(super) fn run(test: &str, image: &BootImage, keys: &str) -> Result<Record, Stop> {
    attend(test, image, Keyboard::of_text(keys))
}

pub(super) fn attend(test: &str, image: &BootImage, keyboard: Keyboard) -> Result<Record, Stop> {
    let record = fixture::boot(test, &Machine::default(), image, keyboard, fixture::LIMIT * 2)?;
    coverage::collect(&record.text);
    powered_off(&record)?;
    Ok(record)
}

/// Whether `list` shows each of these domains waiting: it has come up, and has nothing to do.
pub(super) fn rest(names: &'static [&'static str]) -> Step {
    let are_at_rest = |listing: &str| {
        names.iter().all(|name| {
            let words = |line: &str| line.split_whitespace().map(String::from).collect::<Vec<_>>();
            let mut rows = listing.lines().map(words);
            rows.any(|row| {
                row.first().is_some_and(|first| first == name) && row.iter().any(|word| word == "-b----")
            })
        })
    };
    Step::Until("list".into(), Box::new(are_at_rest))
}

/// The JSON that was printed behind the line `marker`.
pub(super) fn json_behind(text: &str, marker: &str) -> Result<Value, Stop> {
    let is_marker = |line: &str| line.trim_end() == marker;
    let screen = fixture::without_log(text);
    let lines = screen.lines().skip_while(|line| !is_marker(line)).skip(1);
    let rest: Vec<&str> = lines.skip_while(|line| !line.starts_with(['[', '{'])).collect();
    let rest = rest.join("\n");
    let mut values = serde_json::Deserializer::from_str(&rest).into_iter();
    match values.next() {
        Some(Ok(value)) => Ok(value),
        other => Err(Stop::Fail(format!(
            "no JSON behind {marker:?}: {other:?}\n{}",
            fixture::tail(text)
        ))),
    }
}

/// Builds everything before a time limit begins.
pub(super) fn prepare() -> Outcome {
    fixture::need(&fixture::tools_of(&Machine::default()))?;
    fixture::hypervisor()?;
    fixture::mini_guest()?;
    fixture::programs()?;
    fixture::domain_initrd()?;
    Ok(())
}

/// A tree for domains whose shell never comes: they burn the processor.
pub(super) fn busy_initrd() -> Result<tempfile::TempDir, Stop> {
    let tree = tempfile::tempdir()?;
    crate::initrd::populate_domain(tree.path())?;
    std::fs::write(tree.path().join("etc/rc"), "spin 1000\n")?;
    let out = tempfile::tempdir()?;
    crate::initrd::from_user(tree.path(), &out.path().join("busy.cpio"))?;
    Ok(out)
}
