//! The emulator tests: one list for `cargo test` (through `tests/emulator.rs`) and for the subcommand `test`.
//!
//! | group | what | where |
//! |---|---|---|
//! | `launcher::` | the launcher itself, with a stand-in for the hypervisor | [`launcher`] |
//! | `guest::` | one test guest each, as Domain0, judged by its verdict | [`guest`] |
//! | `system::` | the whole system, by what a person types and sees | [`system`] |
//! | `mutant::` | hypervisors with one check removed, which the guests must notice (with `--mutants`) | [`mutant`] |
//! | `coverage` | every call that one domain can issue was accepted and refused at least once | [`coverage`] |
//!
//! A test that cannot run (an emulator that is not there) is skipped with its reason, never passed; where the environment
//! variable `XENLITE_NO_SKIP` is set, as in CI, a skip is a failure.

pub mod command_line;
pub mod coverage;
pub mod fixture;
pub mod guest;
pub mod host;
pub mod launcher;
pub mod mutant;
pub mod system;

use crate::cli::TestArgs;
use crate::status;
use anyhow::{Context, Result};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The environment variable that makes a skip a failure.
pub const NO_SKIP: &str = "XENLITE_NO_SKIP";

/// Why a test did not pass.
#[derive(Debug)]
pub enum Stop {
    /// It cannot run here.
    Skip(String),
    /// It ran, and something is wrong.
    Fail(String),
}

/// What a test comes to.
pub type Outcome = std::result::Result<(), Stop>;

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Self::Fail(format!("{error:#}"))
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Fail(error.to_string())
    }
}

/// One test.
pub struct Test {
    name: String,
    run: Box<dyn FnOnce() -> Outcome + Send>,
}

impl Test {
    /// A test and its name.
    pub fn new(name: impl Into<String>, run: impl FnOnce() -> Outcome + Send + 'static) -> Self {
        Self {
            name: name.into(),
            run: Box::new(run),
        }
    }
}

/// What to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// Everything but the mutants.
    Tests,
    /// The mutants alone.
    Mutants,
}

/// Tests that were skipped, with their reasons.
static SKIPPED: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// The subcommand `test`. Gives the exit status: that of a failed verdict when a test failed.
///
/// # Errors
/// When the launcher does not know its own path.
pub fn command(args: &TestArgs) -> Result<i32> {
    let launcher = std::env::current_exe().context("where is the launcher?")?;
    let selection = if args.mutants {
        Selection::Mutants
    } else {
        Selection::Tests
    };
    let arguments = Arguments {
        filter: args.name.clone(),
        list: args.list,
        ..Arguments::default()
    };
    Ok(if run(&launcher, selection, arguments) == 0 {
        status::OK
    } else {
        status::FAILED
    })
}

/// Runs the tests; `launcher` is the program whose command line is tested. Gives the exit status.
pub fn run(launcher: &Path, selection: Selection, mut arguments: Arguments) -> i32 {
    let tests = match selection {
        Selection::Tests => all_tests(launcher),
        Selection::Mutants => mutant::tests(),
    };
    if arguments.list {
        // Nothing runs, so nothing is summed up.
        return i32::from(
            libtest_mimic::run(&arguments, tests.into_iter().map(trial).collect()).has_failed(),
        );
    }
    // A slow machine with one core still overlaps the waiting of one test with the work of another.
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    arguments.test_threads.get_or_insert(cores.max(2));
    let is_whole = arguments.filter.is_none() && arguments.skip.is_empty();
    let mut trials: Vec<Trial> = tests.into_iter().map(trial).collect();
    if is_whole && selection == Selection::Tests {
        let before = trials.len();
        trials.push(trial(Test::new("coverage", move || coverage::judge(before))));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    let skipped = std::mem::take(&mut *lock(&SKIPPED));
    if is_whole && selection == Selection::Tests {
        println!(
            "host tests: {}",
            host::count().unwrap_or_else(|error| format!("not counted: {error:#}"))
        );
    }
    println!(
        "emulator tests: {} ran ({} passed, {} failed), {} skipped; the logs are in {}",
        conclusion.num_passed + conclusion.num_failed,
        conclusion.num_passed,
        conclusion.num_failed,
        skipped.len(),
        crate::workspace::display(&fixture::logs()),
    );
    for (name, reason) in &skipped {
        println!("skipped: {name}: {reason}");
    }
    if conclusion.has_failed() { 101 } else { 0 }
}

/// Every test but the mutants and the coverage.
fn all_tests(launcher: &Path) -> Vec<Test> {
    let launcher: PathBuf = launcher.to_path_buf();
    [
        launcher::tests(&launcher),
        guest::tests(),
        system::tests(&launcher),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The test as the harness takes it.
fn trial(test: Test) -> Trial {
    let name = test.name.clone();
    Trial::ignorable_test(test.name, move || {
        let _running = coverage::Running;
        match (test.run)() {
            Ok(()) => Ok(Completion::Completed),
            Err(Stop::Fail(why)) => Err(Failed::from(why)),
            Err(Stop::Skip(reason)) if std::env::var_os(NO_SKIP).is_some() => {
                Err(Failed::from(format!("skipped, and {NO_SKIP} is set: {reason}")))
            }
            Err(Stop::Skip(reason)) => {
                lock(&SKIPPED).push((name, reason.clone()));
                Ok(Completion::ignored_with(reason))
            }
        }
    })
}

/// Locks; a test that panicked while it held the lock left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Fails a test with a formatted reason, unless the condition holds.
#[macro_export]
macro_rules! check {
    ($condition:expr, $($why:tt)+) => {{
        let is_so: bool = $condition;
        if !is_so {
            return Err($crate::suite::Stop::Fail(format!($($why)+)));
        }
    }};
}
