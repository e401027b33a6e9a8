//! What the tests share: programs that are built once, when the first test asks for them, and the way to boot a machine.

use super::{Outcome, Stop, lock};
use crate::boot_image::{BootImage, Module};
use crate::build::{self, Package};
use crate::console::{Console, Record};
use crate::keyboard::Keyboard;
use crate::machine::Machine;
use crate::tools::{self, Tool};
use crate::workspace;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// How long a machine may take if its test does not say otherwise; generous, since all cores are in use.
pub const LIMIT: Duration = Duration::from_secs(120);

type Built = Result<BTreeMap<String, PathBuf>, String>;

/// Builds a package once for all tests. A package that is not in this tree is a reason to skip.
fn built_once(
    cell: &'static OnceLock<Built>,
    package: &Package,
) -> Result<&'static BTreeMap<String, PathBuf>, Stop> {
    if !package.exists() {
        return Err(Stop::Skip(format!(
            "the package `{}` is not in this tree",
            package.name
        )));
    }
    let built = cell.get_or_init(|| package.build().map_err(|error| format!("{error:#}")));
    built.as_ref().map_err(|error| Stop::Fail(error.clone()))
}

fn only(built: &BTreeMap<String, PathBuf>, name: &str) -> Result<PathBuf, Stop> {
    built
        .get(name)
        .cloned()
        .ok_or_else(|| Stop::Fail(format!("there is no program `{name}`")))
}

/// The hypervisor.
pub fn hypervisor() -> Result<PathBuf, Stop> {
    static BUILT: OnceLock<Built> = OnceLock::new();
    only(built_once(&BUILT, &build::HYPERVISOR)?, build::HYPERVISOR.name)
}

/// Domain0's kernel.
pub fn mini_guest() -> Result<PathBuf, Stop> {
    only(kernels()?, build::MINI_GUEST.name)
}

/// The kernel for small domains.
pub fn small_guest() -> Result<PathBuf, Stop> {
    only(kernels()?, build::SMALL_GUEST)
}

fn kernels() -> Result<&'static BTreeMap<String, PathBuf>, Stop> {
    static BUILT: OnceLock<Built> = OnceLock::new();
    built_once(&BUILT, &build::MINI_GUEST)
}

/// A test guest.
pub fn test_guest(name: &str) -> Result<PathBuf, Stop> {
    static BUILT: OnceLock<Built> = OnceLock::new();
    only(built_once(&BUILT, &build::TEST_GUESTS)?, name)
}

/// The default initial file system, as a directory.
fn program_tree() -> Result<&'static Path, Stop> {
    static TREE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    if !build::PROGRAMS.exists() {
        return Err(Stop::Skip("the package `programs` is not in this tree".into()));
    }
    let make = || {
        let tree = workspace::scratch()?.join("tests-root");
        // What an older run left; nothing there is as good.
        let _ = std::fs::remove_dir_all(&tree);
        std::fs::create_dir_all(&tree)?;
        crate::initrd::populate(&tree)?;
        Ok(tree)
    };
    let tree = TREE.get_or_init(|| make().map_err(|error: anyhow::Error| format!("{error:#}")));
    tree.as_deref().map_err(|error| Stop::Fail(error.clone()))
}

/// A new directory with a copy of the default initial file system.
///
/// # Errors
/// A failed build.
pub fn copied_program_tree() -> Result<tempfile::TempDir, Stop> {
    let tree = tempfile::tempdir()?;
    crate::initrd::copy_tree(program_tree()?, tree.path())?;
    Ok(tree)
}

/// The default initial file system, packed.
///
/// # Errors
/// A failed build.
pub fn programs() -> Result<PathBuf, Stop> {
    static PACKED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let tree = program_tree()?;
    let pack = || crate::initrd::from_user(tree, &workspace::scratch()?.join("tests.cpio"));
    PACKED
        .get_or_init(|| pack().map_err(|error| format!("{error:#}")))
        .clone()
        .map_err(Stop::Fail)
}

/// The default initial file system for other domains, packed.
///
/// # Errors
/// A failed build.
pub fn domain_initrd() -> Result<PathBuf, Stop> {
    static PACKED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let pack = || crate::initrd::of_domain(&workspace::scratch()?.join(crate::boot_image::DOMAIN_INITRD));
    PACKED
        .get_or_init(|| pack().map_err(|error| format!("{error:#}")))
        .clone()
        .map_err(Stop::Fail)
}

/// Makes sure of tools, one test at a time; what cannot be had is a reason to skip.
///
/// # Errors
/// Names what is missing.
pub fn need(wanted: &[Tool]) -> Outcome {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = lock(&ONE_AT_A_TIME);
    tools::require(wanted).map_err(|error| {
        let text = format!("{error:#}");
        Stop::Skip(text.replace('\n', "; "))
    })
}

/// The tools that a machine needs.
pub fn tools_of(machine: &Machine) -> Vec<Tool> {
    use crate::cli::{Boot, Emulator};
    let mut tools = match machine.emulator {
        Emulator::Qemu => vec![Tool::Qemu, Tool::Objcopy],
        Emulator::Bochs => vec![
            Tool::Bochs,
            Tool::BochsBios,
            Tool::VgaBios,
            Tool::Script,
            Tool::Objcopy,
        ],
    };
    if machine.boot != Boot::Direct {
        tools.extend([Tool::GrubBios, Tool::GrubEfi, Tool::Xorriso, Tool::Mtools]);
    }
    if machine.boot == Boot::Uefi {
        tools.push(Tool::Ovmf);
    }
    tools
}

/// A boot module with the name that its position gives it.
pub fn module(name: &str, file: &Path, args: &str) -> Module {
    Module {
        name: name.into(),
        file: file.to_path_buf(),
        args: args.into(),
    }
}

/// Where the logs of the tests go.
pub fn logs() -> PathBuf {
    workspace::target().join("test-logs")
}

/// Boots `image` on `machine` for the test `name` and attends it to its end. The log is kept.
///
/// # Errors
/// A missing tool (skip); a machine that cannot be started.
pub fn boot(
    name: &str,
    machine: &Machine,
    image: &BootImage,
    mut keyboard: Keyboard,
    limit: Duration,
) -> Result<Record, Stop> {
    need(&tools_of(machine))?;
    let work = tempfile::tempdir_in(workspace::scratch()?)?;
    let running = machine.start(image, work.path())?;
    let console = Console {
        keyboard: &mut keyboard,
        is_shown: false,
        log: None,
        deadline: Some(Instant::now() + limit),
        symbols: image.symbols(),
    };
    let record = console.attend(running)?;
    keep_log(name, &record.text)?;
    Ok(record)
}

/// What the domains printed: a text of the console without the lines of the hypervisor's log, which may come between any two others.
pub fn without_log(text: &str) -> String {
    text.lines()
        .filter(|line| !is_log(line))
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// Whether a line is `LEVEL [SECONDS.MICROSECONDS] …`.
fn is_log(line: &str) -> bool {
    let rest = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"]
        .iter()
        .find_map(|level| line.strip_prefix(level));
    let time = rest.and_then(|rest| rest.trim_start().strip_prefix('[')?.split_once("] "));
    time.is_some_and(|(time, _)| {
        time.trim_start()
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    })
}

/// Keeps what a test's machine printed.
///
/// # Errors
/// When the log cannot be written.
pub fn keep_log(name: &str, text: &str) -> Outcome {
    std::fs::create_dir_all(logs())?;
    std::fs::write(logs().join(format!("{}.log", name.replace("::", "-"))), text)?;
    Ok(())
}

/// The last lines of a log, for a failure's message.
pub fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(25)..].join("\n")
}

#[test]
fn the_log_is_told_from_what_domains_print() {
    let text = "one\r\nDEBUG [    1.006449] a counter: 5 Hz\r\nDEBUG [x] not the log\nINFO  [12345.000001] turning off\nWARN\n";
    assert_eq!(without_log(text), "one\nDEBUG [x] not the log\nWARN\n");
}
