//! Inner builds of the bare-metal crates.
//!
//! Each is one run of the cargo of [`crate::toolchain`] with `-Zbuild-std` for one of the two target files. The environment
//! that the outer cargo and rustup left is removed first: it would name the wrong compiler. Builds of all feature sets
//! share one target directory per target, where cargo keeps every variant of every crate, so that a return to a variant costs
//! a relink of nothing; the finished program is copied to a name of its own (`target/boot/NAME`), under a lock, since the
//! next variant overwrites cargo's.

use crate::progress::Step;
use crate::toolchain::{self, Toolchain};
use crate::tools::{self, Tool};
use crate::workspace;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The two bare-metal targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The 64-bit hypervisor.
    Kernel,
    /// 32-bit guests and their programs.
    Guest,
}

impl Target {
    /// The target file's name without its ending.
    pub fn triple(self) -> &'static str {
        match self {
            Self::Kernel => "x86_64-xenlite",
            Self::Guest => "i686-xenlite-guest",
        }
    }

    /// The directory below `target/`.
    fn directory(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Guest => "guest",
        }
    }
}

/// The profile of what is built quickly: without optimization across crates, and incrementally.
const QUICK: &str = "quick";

/// While one works on a change, this variable builds everything for the machine by the profile [`QUICK`]: seconds instead of minutes. The machine is
/// slower then; what it costs is measured on the release profile only.
const QUICK_VARIABLE: &str = "XENLITE_QUICK";

/// Whether the person at the keyboard asked for quick builds.
pub fn quick() -> bool {
    std::env::var_os(QUICK_VARIABLE).is_some_and(|value| !value.is_empty() && value != "0")
}

/// The environment of an inner cargo that stays: where cargo keeps its downloads, and how it talks.
const KEPT: [&str; 3] = ["CARGO_HOME", "CARGO_TERM_COLOR", "CARGO_NET_OFFLINE"];

/// Whether an inner cargo must not see this variable.
fn is_scrubbed(variable: &str) -> bool {
    let foreign = [
        "RUSTC",
        "RUSTDOC",
        "RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
        "RUST_RECURSION_COUNT",
        "LD_LIBRARY_PATH",
    ];
    !KEPT.contains(&variable)
        && (variable.starts_with("CARGO") || variable.starts_with("RUSTC") || foreign.contains(&variable))
}

/// A command without the environment that the outer cargo left.
pub fn scrubbed(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_scrubbed) {
            command.env_remove(name);
        }
    }
    command
}

/// An inner cargo with everything that its environment and flags need for `target`.
pub fn cargo(toolchain: &Toolchain, subcommand: &str, target: Target) -> Result<Command> {
    let linker = toolchain::find_linker().context("no linker")?;
    let upper = target.triple().to_uppercase().replace('-', "_");
    let mut command = scrubbed(&toolchain.cargo);
    command
        .current_dir(workspace::root())
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTC", &toolchain.rustc)
        .env(format!("CARGO_TARGET_{upper}_LINKER"), linker)
        .arg(subcommand)
        .args([
            "--target",
            &format!("{}.json", target.triple()),
            "-Zjson-target-spec",
        ])
        .args([
            "-Zbuild-std=core,alloc,compiler_builtins",
            "-Zbuild-std-features=compiler-builtins-mem",
        ])
        .arg("--target-dir")
        .arg(workspace::target().join(target.directory()));
    Ok(command)
}

/// One package to build.
#[derive(Debug, Clone, Copy)]
pub struct Package<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its directory below the root.
    pub directory: &'a str,
    /// What it runs on.
    pub target: Target,
    /// Features that it is always built with.
    pub features: &'a [&'a str],
    /// Features of a mutant; they become part of its name.
    pub variant: &'a [&'a str],
    /// The profile: `release`, or [`QUICK`] for what is built quickly to run once.
    pub profile: &'a str,
}

/// The hypervisor.
pub const HYPERVISOR: Package = Package::new("hypervisor", "hypervisor", Target::Kernel, &[]);
/// Domain0's kernel.
pub const MINI_GUEST: Package = Package::new("mini-guest", "mini-guest", Target::Guest, &["kernel"]);
/// The binary of that package that is a kernel for domains of a few dozen pages.
pub const SMALL_GUEST: &str = "mini-guest-small";
/// The ring-3 programs.
pub const PROGRAMS: Package = Package::new("programs", "programs", Target::Guest, &[]);
/// The guest that measures costs.
pub const BENCH_GUEST: Package = Package::new("bench-guest", "tests/bench", Target::Guest, &[]);
/// The test guests.
pub const TEST_GUESTS: Package = Package::new("test-guests", "tests/guests", Target::Guest, &[]);

impl<'a> Package<'a> {
    /// A package without a variant.
    const fn new(name: &'a str, directory: &'a str, target: Target, features: &'a [&'a str]) -> Self {
        Self {
            name,
            directory,
            target,
            features,
            variant: &[],
            profile: "release",
        }
    }

    /// A mutant of it: with a feature that removes a check.
    #[must_use]
    pub const fn mutant(self, variant: &'a [&'a str]) -> Self {
        Self {
            variant,
            profile: QUICK,
            ..self
        }
    }

    /// Whether it is part of this tree.
    pub fn exists(&self) -> bool {
        workspace::has_package(self.directory)
    }

    /// Builds all of its binaries; the result maps their names to copies that nothing else writes to.
    ///
    /// # Errors
    /// A missing toolchain, or a failed build, whose output was then shown.
    pub fn build(&self) -> Result<BTreeMap<String, PathBuf>> {
        if !self.exists() {
            bail!("there is no package `{}` in this tree", self.name);
        }
        tools::require(&[Tool::RustSources, Tool::Lld])?;
        let toolchain = toolchain::find().context("no toolchain")?;
        let mut command = cargo(&toolchain, "build", self.target)?;
        let profile = if quick() { QUICK } else { self.profile };
        command.args([
            "--profile",
            profile,
            "--bins",
            "-p",
            self.name,
            "--message-format=json-render-diagnostics",
        ]);
        let features = [self.features, self.variant].concat();
        if !features.is_empty() {
            command.arg("--features").arg(features.join(","));
        }
        let variant = match (profile, self.variant) {
            ("release", []) => String::new(),
            (_, []) => format!("-{profile}-none"),
            (_, features) => format!("-{}", features.join("-")),
        };
        let _lock = lock()?;
        let built = run_cargo(command, &format!("Building {}{variant}", self.name))?;
        let home = workspace::scratch()?.join(format!("{}{variant}", self.name));
        std::fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
        built
            .into_iter()
            .map(|(name, file)| Ok((name.clone(), place(&file, &home.join(name))?)))
            .collect()
    }

    /// Builds the package and gives the binary of its own name.
    ///
    /// # Errors
    /// As for [`Self::build`].
    pub fn build_one(&self) -> Result<PathBuf> {
        self.build_bin(self.name)
    }

    /// Builds the package and gives its binary `name`.
    ///
    /// # Errors
    /// As for [`Self::build`].
    pub fn build_bin(&self, name: &str) -> Result<PathBuf> {
        let mut built = self.build()?;
        built
            .remove(name)
            .with_context(|| format!("package `{}` has no binary `{name}`", self.name))
    }
}

/// Builds a guest kernel that is a package of its own in `directory`, outside this workspace, and gives its only binary.
///
/// # Errors
/// As for [`Package::build`]; a package that has not exactly one binary.
pub fn foreign_guest(directory: &std::path::Path) -> Result<PathBuf> {
    tools::require(&[Tool::RustSources, Tool::Lld])?;
    let toolchain = toolchain::find().context("no toolchain")?;
    let mut command = cargo(&toolchain, "build", Target::Guest)?;
    let directory = directory
        .canonicalize()
        .with_context(|| format!("cannot find {}", directory.display()))?;
    command
        .args([
            "--release",
            "--bins",
            "--message-format=json-render-diagnostics",
            "--manifest-path",
        ])
        .arg(directory.join("Cargo.toml"));
    let _lock = lock()?;
    let built = run_cargo(command, &format!("Building {}", directory.display()))?;
    let [(name, file)] = &Vec::from_iter(built)[..] else {
        bail!("{}: a guest is a package with one binary", directory.display());
    };
    let home = workspace::scratch()?.join("guests");
    std::fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
    place(file, &home.join(name))
}

/// Copies a finished program to where it stays, in one move: a machine may be loading the older one just now.
fn place(file: &std::path::Path, to: &std::path::Path) -> Result<PathBuf> {
    let temporary = to.with_extension("new");
    std::fs::copy(file, &temporary)
        .and_then(|_| std::fs::rename(&temporary, to))
        .with_context(|| format!("cannot copy {} to {}", file.display(), to.display()))?;
    Ok(to.to_path_buf())
}

/// Waits for other launchers that are building in this tree; the lock goes with the file.
fn lock() -> Result<File> {
    let path = workspace::scratch()?.join(".lock");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)
        .with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// Runs an inner cargo as one step; its output is shown only when it fails. Gives the programs it made.
fn run_cargo(mut command: Command, name: &str) -> Result<BTreeMap<String, PathBuf>> {
    let step = Step::start(name);
    let color = if std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        "always"
    } else {
        "never"
    };
    command
        .env("CARGO_TERM_COLOR", color)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    let mut messages = child.stdout.take().expect("piped");
    let collector = std::thread::spawn(move || {
        let mut text = String::new();
        messages.read_to_string(&mut text).map(|_| text)
    });
    let mut shown = String::new();
    for line in BufReader::new(child.stderr.take().expect("piped")).lines() {
        let line = line.context("cannot read cargo's output")?;
        step.detail(&line);
        shown.push_str(&line);
        shown.push('\n');
    }
    let messages = collector
        .join()
        .expect("the collector does not panic")
        .context("cannot read cargo's output")?;
    let status = child.wait().context("cannot wait for cargo")?;
    drop(step);
    if !status.success() {
        eprint!("{shown}");
        bail!("{} failed", name.replacen("Building", "building", 1));
    }
    Ok(executables(&messages))
}

/// The programs that cargo's messages name.
fn executables(messages: &str) -> BTreeMap<String, PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| {
            let name = message.pointer("/target/name")?.as_str()?.to_string();
            Some((name, PathBuf::from(message.get("executable")?.as_str()?)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outer_cargo_leaves_no_trace_in_the_inner_ones_environment() {
        for gone in [
            "CARGO",
            "CARGO_MANIFEST_DIR",
            "CARGO_TARGET_DIR",
            "RUSTC",
            "RUSTC_WRAPPER",
            "RUSTFLAGS",
            "RUSTDOC",
            "RUSTUP_TOOLCHAIN",
            "RUST_RECURSION_COUNT",
            "LD_LIBRARY_PATH",
        ] {
            assert!(is_scrubbed(gone), "{gone}");
        }
        for kept in [
            "PATH",
            "HOME",
            "CARGO_HOME",
            "CARGO_TERM_COLOR",
            "CARGO_NET_OFFLINE",
            "RUST_BACKTRACE",
        ] {
            assert!(!is_scrubbed(kept), "{kept}");
        }
    }

    #[test]
    fn programs_are_read_from_cargos_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"core"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"ls"},"executable":"/t/ls"}"#,
            "\n",
            "not json\n",
            r#"{"reason":"build-finished","success":true}"#,
            "\n",
        );
        assert_eq!(
            executables(messages),
            BTreeMap::from([("ls".to_string(), PathBuf::from("/t/ls"))])
        );
    }
}
