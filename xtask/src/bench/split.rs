//! What requests of a disk and packets cost: the machine runs its usual kernel and programs, under a counter of instructions that stands still while the machine idles.

use super::entries::{self, Entries};
use super::{LIMIT, Numbers};
use crate::boot_image::{BootImage, Module};
use crate::build::{HYPERVISOR, MINI_GUEST};
use crate::console::{Console, Record};
use crate::keyboard::Keyboard;
use crate::machine::Machine;
use crate::quiet::disk::QuietDisk;
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
/// What is done, as `diskcost` calls it.
pub const KINDS: [&str; 2] = ["read", "write"];
/// Bytes of requests.
pub const SIZES: [u32; 2] = [4096, 65_536];
/// How many there are at a time.
pub const DEPTHS: [u32; 3] = [1, 8, 32];
/// Batches of each measurement.
pub const BATCHES: u32 = 8;
/// QEMU's log of interrupts, in the machine's work directory.
const LOG: &str = "int.log";
/// What the other domain says in the end.
const DONE: &str = "loads-are-done";

/// The loads as `diskcost` takes them.
fn loads() -> Vec<String> {
    let mut loads = Vec::new();
    for kind in KINDS {
        for size in SIZES {
            loads.extend(DEPTHS.map(|depth| format!("{kind}:{size}:{depth}")));
        }
    }
    loads
}

/// Packs the programs with a script that is run first.
fn tree(script: &str, out: &Path) -> Result<()> {
    let tree = tempfile::tempdir_in(workspace::scratch()?)?;
    initrd::populate(tree.path())?;
    std::fs::write(tree.path().join("etc/rc"), script)?;
    initrd::from_user(tree.path(), out).map(drop)
}

/// What Domain0 does: all loads, then the other domain.
fn first_script() -> String {
    let loads = loads().join(" ");
    format!(
        "xl autostart\ndiskcost -n {BATCHES} /dev/vda {loads}\n\
         create load --kernel mini-guest --initrd load.cpio --memory 24M --show --disk vda\n"
    )
}

/// What that does: the same.
fn second_script() -> String {
    let loads = loads().join(" ");
    format!("diskcost -n {BATCHES} /dev/xvda {loads}\necho {DONE}\n")
}

/// What is booted.
pub struct Prepared {
    image: BootImage,
    _scripts: TempDir,
}

/// Builds it.
///
/// # Errors
/// A failed build.
pub fn prepare() -> Result<Prepared> {
    let dir = tempfile::tempdir_in(workspace::scratch()?)?;
    let [first, second] = ["first", "second"].map(|name| dir.path().join(name));
    tree(&first_script(), &first)?;
    tree(&second_script(), &second)?;
    let kernel = MINI_GUEST.build_one()?;
    let module = |name: &str, file: &Path, args: &str| Module {
        name: name.into(),
        file: file.into(),
        args: args.into(),
    };
    let image = BootImage {
        hypervisor: HYPERVISOR.build_one()?,
        append: APPEND.into(),
        modules: vec![
            module("dom0", &kernel, "autostart=no"),
            module("initrd", &first, ""),
            module("module2", &kernel, "mini-guest"),
            module("module3", &second, "load.cpio"),
        ],
    };
    Ok(Prepared { image, _scripts: dir })
}

/// Measures once.
///
/// # Errors
/// A machine that ends otherwise than it should; numbers that are missing.
pub fn measure(Prepared { image, .. }: &Prepared) -> Result<Numbers> {
    let work = tempfile::tempdir_in(workspace::scratch()?)?;
    let mut arguments = QuietDisk::arguments(work.path(), &[]);
    arguments.extend(["-icount", "shift=0,sleep=on", "-d", "int", "-D", LOG].map(String::from));
    let machine = Machine {
        arguments,
        reactions: vec![(DONE.into(), "quit".into())],
        ..Machine::default()
    };
    let disk = QuietDisk::start(work.path(), Vec::new())?;
    let running = machine.start(image, work.path())?;
    let console = Console {
        keyboard: &mut Keyboard::idle(),
        is_shown: false,
        log: None,
        deadline: Some(Instant::now() + LIMIT),
        symbols: image.symbols(),
    };
    let Record { ending, text } = console.attend(running)?;
    disk.end()?;
    ensure!(
        ending == Ending::Reset,
        "the measuring machine: {ending}\n{}",
        fixture::tail(&text)
    );
    let log = File::open(work.path().join(LOG)).context("QEMU has written no log of interrupts")?;
    numbers(&text, &entries::parts(BufReader::new(log))?)
}

/// What both domains say, and what the log says of each measurement.
fn numbers(text: &str, parts: &[Entries]) -> Result<Numbers> {
    let mut said = Vec::new();
    for line in text.lines() {
        let Some((before, rest)) = line.split_once("diskcost: ") else {
            continue;
        };
        let words: Vec<&str> = rest.split_whitespace().collect();
        let [load, ticks, runs] = words[..] else {
            bail!("{line:?}");
        };
        let who = if before.contains("load: ") {
            "split"
        } else {
            "native"
        };
        let number = |digits: &str| {
            digits
                .parse::<u64>()
                .with_context(|| format!("no number: {line:?}"))
        };
        said.push((
            format!("{who}_{}", load.replace(':', "_")),
            number(ticks)?,
            number(runs)?,
        ));
    }
    // Each domain asks for the version at its boot, and before and behind each load, which is done twice: the second time counts.
    let each = loads().len();
    let marks = 1 + 4 * each;
    ensure!(
        said.len() == 2 * each && parts.len() == 2 * marks - 1,
        "{} numbers and {} parts in\n{}",
        said.len(),
        parts.len(),
        fixture::tail(text)
    );
    let mut numbers = Numbers::new();
    for (n, (key, ticks, runs)) in said.into_iter().enumerate() {
        let part = parts[n / each * marks + n % each * 4 + 3];
        for (what, number) in [
            ("ticks", ticks),
            ("runs", runs),
            ("calls", part.calls),
            ("events", part.events),
            ("interrupts", part.interrupts),
        ] {
            numbers.insert(format!("{key}_{what}"), number);
        }
    }
    Ok(numbers)
}
