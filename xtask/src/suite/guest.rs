//! Test guests: each binary of `tests/guests` is a small kernel that runs as Domain0 and says by its verdict how it went.
//!
//! What a guest needs is written at the head of its source, one line each:
//!
//! ```text
//! //! expect: success          or: failure, skip, error, crash (Domain0 is killed), panic, poweroff, reboot
//! //! emulator: qemu           or: bochs, both
//! //! machine: q35             or: pc
//! //! memory: 512              megabytes
//! //! timeout: 120             seconds
//! //! icount: yes              or: no
//! //! append: loglvl=all       further arguments of the hypervisor
//! //! args: seed=1             the guest's own command line
//! //! initrd: none             or: programs, or a directory below the root
//! //! prints: some text        the log must hold this; may be repeated
//! //! monitor: nmi             a command that QEMU's monitor gets when the guest prints `monitor: nmi`; may be repeated
//! //! device: edu              a device of QEMU beside the usual ones; may be repeated
//! //! second serial: text     there is a second serial port, and this text must come out of it; may be repeated
//! //! mutant: mutant-name      a feature of the hypervisor that removes a check this guest attacks; may be repeated
//! ```
//!
//! The first word of each is the default, where there is one. The hypervisor runs with
//! `exit-on-shutdown`, `audit-on-shutdown` (so a reference count that a guest brought out of step is a panic) and
//! `loglvl=debug`, at which it ends its log with the counters of the calls.

use super::{Outcome, Stop, Test, coverage, fixture};
use crate::boot_image::BootImage;
use crate::check;
use crate::cli::{Boot, Chipset, Emulator};
use crate::console::Record;
use crate::keyboard::Keyboard;
use crate::machine::Machine;
use crate::status::{Ending, Verdict};
use crate::workspace;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A test guest, as its source describes it.
#[derive(Debug, Clone)]
pub struct Guest {
    /// Its binary's name.
    pub name: String,
    /// How its machine must end.
    pub expect: Verdict,
    /// Where it runs.
    pub emulators: Vec<Emulator>,
    /// Which hypervisors it must catch.
    pub mutants: Vec<String>,
    chipset: Chipset,
    mem_mib: u64,
    limit: Duration,
    icount: bool,
    append: String,
    args: String,
    initrd: Option<String>,
    prints: Vec<String>,
    monitor: Vec<String>,
    devices: Vec<String>,
    second_serial: Vec<String>,
}

impl Guest {
    /// Reads the head of a guest's source.
    ///
    /// # Errors
    /// A value that is none of those listed in this module's description.
    pub fn parse(name: &str, source: &str) -> Result<Self> {
        let mut guest = Self {
            name: name.into(),
            expect: Verdict::Success,
            emulators: vec![Emulator::Qemu],
            mutants: Vec::new(),
            chipset: Chipset::Q35,
            mem_mib: 512,
            limit: fixture::LIMIT,
            icount: false,
            append: String::new(),
            args: String::new(),
            initrd: None,
            prints: Vec::new(),
            monitor: Vec::new(),
            devices: Vec::new(),
            second_serial: Vec::new(),
        };
        for line in source.lines().map_while(|line| line.strip_prefix("//!")) {
            if let Some((key, value)) = line.trim().split_once(": ") {
                guest
                    .set(key, value.trim())
                    .with_context(|| format!("test guest {name}: {}", line.trim()))?;
            }
        }
        Ok(guest)
    }

    /// Takes one line; other keys are prose.
    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "expect" => {
                self.expect = match value {
                    "success" => Verdict::Success,
                    "failure" => Verdict::Failure,
                    "skip" => Verdict::Skip,
                    "error" => Verdict::Error,
                    "crash" => Verdict::Dom0Crashed,
                    "panic" => Verdict::Panic,
                    "poweroff" => Verdict::PowerOff,
                    "reboot" => Verdict::Reboot,
                    _ => bail!("no such verdict"),
                }
            }
            "emulator" => {
                self.emulators = match value {
                    "qemu" => vec![Emulator::Qemu],
                    "bochs" => vec![Emulator::Bochs],
                    "both" => vec![Emulator::Qemu, Emulator::Bochs],
                    _ => bail!("no such emulator"),
                }
            }
            "machine" => {
                self.chipset = match value {
                    "q35" => Chipset::Q35,
                    "pc" => Chipset::Pc,
                    _ => bail!("no such machine"),
                }
            }
            "memory" => self.mem_mib = value.parse().context("not a number of megabytes")?,
            "timeout" => self.limit = Duration::from_secs(value.parse().context("not a number of seconds")?),
            "icount" => self.icount = value == "yes",
            "append" => self.append = value.into(),
            "args" => self.args = value.into(),
            "initrd" => self.initrd = (value != "none").then(|| value.into()),
            "prints" => self.prints.push(value.into()),
            "monitor" => self.monitor.push(value.into()),
            "device" => self.devices.push(value.into()),
            "second serial" => self.second_serial.push(value.into()),
            "mutant" => self.mutants.push(value.into()),
            _ => {}
        }
        Ok(())
    }

    /// The machine that the guest runs on.
    fn machine(&self, emulator: Emulator) -> Machine {
        let is_qemu = emulator == Emulator::Qemu;
        Machine {
            emulator,
            chipset: if is_qemu { self.chipset } else { Chipset::Pc },
            boot: if is_qemu { Boot::Direct } else { Boot::Bios },
            mem_mib: self.mem_mib,
            icount: self.icount && is_qemu,
            monitor: if is_qemu { self.monitor.clone() } else { Vec::new() },
            devices: self.devices.clone(),
            ..Machine::default()
        }
    }

    /// Boots the guest on `hypervisor`.
    ///
    /// # Errors
    /// A failed build; a machine that cannot be started.
    pub fn boot(&self, test: &str, hypervisor: PathBuf, emulator: Emulator) -> Result<Record, Stop> {
        let mut modules = vec![fixture::module(
            "dom0",
            &fixture::test_guest(&self.name)?,
            &self.args,
        )];
        let packed = tempfile::NamedTempFile::new()?;
        let initrd = match self.initrd.as_deref() {
            None => None,
            Some("programs") => Some(fixture::programs()?),
            Some(dir) => Some(crate::initrd::from_user(
                &workspace::root().join(dir),
                packed.path(),
            )?),
        };
        modules.extend(initrd.map(|file| fixture::module("initrd", &file, "")));
        let append = format!("exit-on-shutdown audit-on-shutdown loglvl=debug {}", self.append)
            .trim()
            .to_string();
        let image = BootImage {
            hypervisor,
            append,
            modules,
        };
        // Bochs takes about ten times as long.
        let limit = if emulator == Emulator::Bochs {
            self.limit * 3
        } else {
            self.limit
        };
        let machine = Machine {
            second_serial: self.has_second_serial().then(|| second_serial(test)),
            ..self.machine(emulator)
        };
        let record = fixture::boot(test, &machine, &image, Keyboard::idle(), limit)?;
        Ok(record)
    }

    fn has_second_serial(&self) -> bool {
        !self.second_serial.is_empty()
    }

    /// Runs the guest as a test.
    fn run(&self, test: &str, emulator: Emulator) -> Outcome {
        let record = self.boot(test, fixture::hypervisor()?, emulator)?;
        coverage::collect(&record.text);
        if record.ending == Ending::Verdict(Verdict::Skip) && self.expect != Verdict::Skip {
            return Err(Stop::Skip(format!(
                "the guest says: {}",
                record.text.lines().last().unwrap_or("")
            )));
        }
        check!(
            record.ending == Ending::Verdict(self.expect),
            "expected: {}, found: {}\n{}",
            self.expect,
            record.ending,
            fixture::tail(&record.text)
        );
        for text in &self.prints {
            check!(
                record.text.contains(text),
                "the log lacks {text:?}\n{}",
                fixture::tail(&record.text)
            );
        }
        if self.has_second_serial() {
            let said = std::fs::read(second_serial(test)).map_err(anyhow::Error::from)?;
            let said = String::from_utf8_lossy(&said);
            for text in &self.second_serial {
                check!(
                    said.contains(text),
                    "the second serial line lacks {text:?}: {said:?}"
                );
            }
        }
        Ok(())
    }
}

/// Where the output of a test's second serial port is kept.
fn second_serial(test: &str) -> PathBuf {
    workspace::root()
        .join("target/test-logs")
        .join(format!("{}.second-serial", test.replace("::", "-")))
}

/// All test guests of this tree.
///
/// # Errors
/// A source that cannot be read or whose head makes no sense.
pub fn all() -> Result<Vec<Guest>> {
    let dir = workspace::root().join("tests/guests/src/bin");
    let mut guests = Vec::new();
    let Ok(entries) = std::fs::read_dir(&dir) else {
        return Ok(guests);
    };
    for entry in entries {
        let path = entry?.path();
        let Some((name, source)) = source_of(&path) else {
            continue;
        };
        let text =
            std::fs::read_to_string(&source).with_context(|| format!("cannot read {}", source.display()))?;
        guests.push(Guest::parse(&name, &text)?);
    }
    guests.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(guests)
}

/// The name and the source of the binary at `path`, by cargo's rules.
fn source_of(path: &Path) -> Option<(String, PathBuf)> {
    let is_file = path.extension().is_some_and(|ending| ending == "rs");
    let source = if is_file {
        path.to_path_buf()
    } else {
        path.join("main.rs")
    };
    source
        .is_file()
        .then(|| Some((path.file_stem()?.to_str()?.to_string(), source)))?
}

/// The tests, one for each guest and emulator.
pub fn tests() -> Vec<Test> {
    let guests = match all() {
        Ok(guests) => guests,
        Err(error) => return vec![Test::new("guest::sources", move || Err(error.into()))],
    };
    if guests.is_empty() {
        return vec![Test::new("guest::all", || {
            Err(Stop::Skip("there are no test guests in this tree".into()))
        })];
    }
    guests
        .into_iter()
        .flat_map(|guest| {
            guest
                .emulators
                .clone()
                .into_iter()
                .map(move |emulator| (guest.clone(), emulator))
        })
        .map(|(guest, emulator)| {
            let name = test_name("guest", &guest.name, emulator);
            Test::new(name.clone(), move || guest.run(&name, emulator))
        })
        .collect()
}

/// `group::name`, with the emulator when it is not the usual one.
pub fn test_name(group: &str, name: &str, emulator: Emulator) -> String {
    match emulator {
        Emulator::Qemu => format!("{group}::{name}"),
        Emulator::Bochs => format!("{group}::{name}::bochs"),
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn the_head_of_a_source_is_read_and_prose_is_not() {
        let source = "//! Attacks it: with force.\n//!\n//! expect: crash\n//! emulator: both\n//! mutant: mutant-a\n\
                      //! mutant: mutant-b\n//! prints: d0: killed\n//! timeout: 7\n\n//! memory: 64\n";
        let guest = Guest::parse("g", source).unwrap();
        assert_eq!(guest.expect, Verdict::Dom0Crashed);
        assert_eq!(guest.emulators, [Emulator::Qemu, Emulator::Bochs]);
        assert_eq!(guest.mutants, ["mutant-a", "mutant-b"]);
        assert_eq!(guest.prints, ["d0: killed"]);
        assert_eq!(guest.limit, Duration::from_secs(7));
        assert_eq!(guest.mem_mib, 512, "below the head");
    }

    #[test]
    fn a_value_that_makes_no_sense_is_refused() {
        for line in [
            "expect: sucess",
            "emulator: vmware",
            "machine: isapc",
            "memory: much",
            "timeout: long",
        ] {
            assert!(Guest::parse("g", &format!("//! {line}\n")).is_err(), "{line}");
        }
    }

    #[test]
    fn the_sources_of_this_tree_make_sense() {
        all().unwrap();
    }
}
