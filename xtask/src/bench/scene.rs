//! A measured machine that runs its usual kernel and programs, under a counter of instructions that stands still while the machine idles: Domain0 runs a script, and domains
//! that it makes run theirs.

use super::entries::{self, Entries};
use super::{LIMIT, Numbers};
use crate::boot_image::{BootImage, Module};
use crate::build::{HYPERVISOR, MINI_GUEST};
use crate::console::{Console, Record};
use crate::keyboard::Keyboard;
use crate::machine::Machine;
use crate::status::Ending;
use crate::suite::fixture;
use crate::{initrd, workspace};
use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Instant;
use tempfile::TempDir;

/// The hypervisor's arguments.
const APPEND: &str = "exit-on-shutdown console=com1 dom0_mem=64M";
/// QEMU's log of interrupts, in the machine's work directory.
const LOG: &str = "int.log";
/// What a domain says in the end.
pub const DONE: &str = "loads-are-done";
/// Batches of each measurement.
pub const BATCHES: u32 = 8;
/// How many requests or packets there are at a time.
pub const DEPTHS: [u32; 3] = [1, 8, 32];

/// What is booted.
pub struct Scene {
    image: BootImage,
    _scripts: TempDir,
}

impl Scene {
    /// Builds it. Domain0 has `arguments` and runs `script`; with the kernel `mini-guest` and the initrd `NAME.cpio` it can make a domain that runs the script NAME.
    ///
    /// # Errors
    /// A failed build.
    pub fn prepare(arguments: &str, script: &str, others: &[(&str, &str)]) -> Result<Self> {
        let dir = tempfile::tempdir_in(workspace::scratch()?)?;
        let kernel = MINI_GUEST.build_one()?;
        let module = |name: &str, file: &Path, args: &str| Module {
            name: name.into(),
            file: file.into(),
            args: args.into(),
        };
        let first = dir.path().join("dom0");
        tree(script, &first)?;
        let mut modules = vec![
            module("dom0", &kernel, arguments),
            module("initrd", &first, ""),
            module("module2", &kernel, "mini-guest"),
        ];
        for (number, (name, script)) in (3..).zip(others) {
            let file = dir.path().join(name);
            tree(script, &file)?;
            modules.push(module(&format!("module{number}"), &file, &format!("{name}.cpio")));
        }
        let image = BootImage {
            hypervisor: HYPERVISOR.build_one()?,
            append: APPEND.into(),
            modules,
        };
        Ok(Self { image, _scripts: dir })
    }

    /// Boots it in a work directory, with a device of QEMU, until somebody is [`DONE`]. Gives what it said, and what entered the hypervisor between any two marks.
    ///
    /// # Errors
    /// A machine that ends otherwise than it should.
    pub fn run(&self, work: &Path, mut device: Vec<String>) -> Result<(String, Vec<Entries>)> {
        device.extend(["-icount", "shift=0,sleep=on", "-d", "int", "-D", LOG].map(String::from));
        let machine = Machine {
            arguments: device,
            reactions: vec![(DONE.into(), "quit".into())],
            ..Machine::default()
        };
        let running = machine.start(&self.image, work)?;
        let console = Console {
            keyboard: &mut Keyboard::idle(),
            is_shown: false,
            log: None,
            deadline: Some(Instant::now() + LIMIT),
            symbols: self.image.symbols(),
        };
        let Record { ending, text } = console.attend(running)?;
        ensure!(
            ending == Ending::Reset,
            "the measuring machine: {ending}\n{}",
            fixture::tail(&text)
        );
        let log = File::open(work.join(LOG)).context("QEMU has written no log of interrupts")?;
        Ok((text, entries::parts(BufReader::new(log))?))
    }
}

/// Packs the programs with a script that is run first.
fn tree(script: &str, out: &Path) -> Result<()> {
    let tree = tempfile::tempdir_in(workspace::scratch()?)?;
    initrd::populate(tree.path())?;
    std::fs::write(tree.path().join("etc/rc"), script)?;
    initrd::from_user(tree.path(), out).map(drop)
}

/// What a program said that measures, in the order of the lines: of lines `DOMAIN: PROGRAM: LOAD TICKS RUNS` those of a domain, or of Domain0 without a name.
pub struct Said {
    load: String,
    ticks: u64,
    runs: u64,
}

/// Reads such lines.
///
/// # Errors
/// A line that is none.
pub fn said(text: &str, program: &str, domain: Option<&str>) -> Result<Vec<Said>> {
    let mut said = Vec::new();
    for line in text.lines() {
        let Some((before, rest)) = line.split_once(&format!("{program}: ")) else {
            continue;
        };
        // Domain0's shell may have asked for its next line before that.
        let speaker = before
            .split_whitespace()
            .last()
            .and_then(|word| word.strip_suffix(':'));
        if speaker != domain {
            continue;
        }
        let words: Vec<&str> = rest.split_whitespace().collect();
        let [load, ticks, runs] = words[..] else {
            bail!("{line:?}");
        };
        let number = |digits: &str| {
            digits
                .parse::<u64>()
                .with_context(|| format!("no number: {line:?}"))
        };
        said.push(Said {
            load: load.replace(':', "_"),
            ticks: number(ticks)?,
            runs: number(runs)?,
        });
    }
    Ok(said)
}

/// How many parts loads make of the log: each is done twice, with a mark at its beginning and its end.
pub fn parts_of(loads: usize) -> usize {
    4 * loads - 1
}

/// Adds what `who` said of its loads, and what the log has from the beginning of the first one to the end of the last one. The second time of each counts.
pub fn add(numbers: &mut Numbers, who: &str, said: Vec<Said>, parts: &[Entries]) {
    for (said, part) in said.into_iter().zip(parts.iter().skip(2).step_by(4)) {
        let Said { load, ticks, runs } = said;
        for (what, number) in [
            ("ticks", ticks),
            ("runs", runs),
            ("calls", part.calls),
            ("events", part.events),
            ("interrupts", part.interrupts),
        ] {
            numbers.insert(format!("{who}_{load}_{what}"), number);
        }
    }
}
