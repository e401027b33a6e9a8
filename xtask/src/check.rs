//! The subcommand `check`: all that is asked of a change before it lands.
//!
//! Format, lints and documentation of host and bare-metal crates with warnings denied, the models of lock-free code, the cost table,
//! then every test. Each step runs even if an earlier one failed; the last line says which did.

use crate::build::{self, BENCH_GUEST, HYPERVISOR, MINI_GUEST, PROGRAMS, Package, TEST_GUESTS};
use crate::cli::{Check, CheckArgs};
use crate::progress;
use crate::toolchain;
use crate::tools::{self, Tool};
use crate::{bench, workspace};
use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};

/// A step: what it belongs to, what it is called and does.
type Step = (Check, &'static str, fn() -> Result<()>);

const STEPS: [Step; 8] = [
    (Check::Format, "format", format),
    (Check::Lints, "lints of the host's crates", lint_host),
    (Check::Lints, "lints of the bare-metal crates", lint_bare_metal),
    (Check::Docs, "documentation of the host's crates", document_host),
    (
        Check::Docs,
        "documentation of the bare-metal crates",
        document_bare_metal,
    ),
    (Check::Models, "models", model),
    (Check::Costs, "cost table", bench::check),
    (Check::Tests, "tests", test),
];

/// Private items are documented too, so that links to them are good ones.
const RUSTDOCFLAGS: &str = "-D warnings -A rustdoc::private_intra_doc_links";

/// Runs the checks asked for; gives the exit status.
pub fn check(args: &CheckArgs) -> i32 {
    let mut failed = Vec::new();
    for (kind, name, run) in STEPS {
        let is_wanted = args.only.is_empty() || args.only.contains(&kind);
        if is_wanted && let Err(error) = run() {
            eprintln!("{name}: {error:#}");
            failed.push(name);
        }
    }
    if failed.is_empty() {
        eprintln!("all that was checked is fine");
        return crate::status::OK;
    }
    eprintln!("failed: {}", failed.join(", "));
    crate::status::FAILED
}

/// The cargo that runs the launcher itself.
pub fn host_cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace::root());
    command
}

/// Runs a command whose output matters only when it fails.
fn quietly(name: &str, command: &mut Command) -> Result<()> {
    let step = progress::Step::start(name);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    drop(step);
    if !output.status.success() {
        bail!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

fn format() -> Result<()> {
    quietly(
        "Checking the format",
        host_cargo().args(["fmt", "--all", "--check"]),
    )
}

fn lint_host() -> Result<()> {
    quietly(
        "Linting the host's crates",
        host_cargo().args(["clippy", "--all-targets", "--", "-D", "warnings"]),
    )
}

fn document_host() -> Result<()> {
    let mut command = host_cargo();
    command
        .args(["doc", "--no-deps", "--document-private-items"])
        .env("RUSTDOCFLAGS", RUSTDOCFLAGS);
    quietly("Documenting the host's crates", &mut command)
}

/// The bare-metal packages of this tree, with the libraries that only they are built from.
fn bare_metal() -> Vec<(Package<'static>, &'static [&'static str])> {
    let all: [(Package, &[&str]); 5] = [
        (HYPERVISOR, &["hv-arch"]),
        (MINI_GUEST, &[]),
        (PROGRAMS, &[]),
        (TEST_GUESTS, &[]),
        (BENCH_GUEST, &[]),
    ];
    all.into_iter().filter(|(package, _)| package.exists()).collect()
}

fn lint_bare_metal() -> Result<()> {
    tools::require(&[Tool::RustSources, Tool::Lld, Tool::Clippy])?;
    let toolchain = toolchain::find().context("no toolchain")?;
    let clippy = toolchain.clippy().context("no clippy")?;
    each_bare_metal(|package, libraries| {
        let inner = build::cargo(&toolchain, "clippy", package.target)?;
        // cargo-clippy by its path: cargo would find another toolchain's first.
        let mut command = build::scrubbed(&clippy);
        command.args(inner.get_args()).current_dir(workspace::root());
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
            .env("CARGO", &toolchain.cargo)
            .args(["--release", "-p", package.name]);
        command.args(libraries.iter().flat_map(|library| ["-p", library]));
        command
            .args(feature_args(package))
            .args(["--keep-going", "--", "-D", "warnings"]);
        quietly(&format!("Linting {}", package.name), &mut command)
    })
}

fn document_bare_metal() -> Result<()> {
    tools::require(&[Tool::RustSources, Tool::Lld])?;
    let toolchain = toolchain::find().context("no toolchain")?;
    each_bare_metal(|package, libraries| {
        let mut command = build::cargo(&toolchain, "doc", package.target)?;
        command.args([
            "--release",
            "--no-deps",
            "--document-private-items",
            "-p",
            package.name,
        ]);
        command
            .args(libraries.iter().flat_map(|library| ["-p", library]))
            .args(feature_args(package));
        command
            .env("RUSTDOC", toolchain.rustdoc())
            .env("RUSTDOCFLAGS", RUSTDOCFLAGS);
        quietly(&format!("Documenting {}", package.name), &mut command)
    })
}

/// Does something with every bare-metal package, and then says what went wrong with any of them.
fn each_bare_metal(run: impl Fn(&Package, &[&str]) -> Result<()>) -> Result<()> {
    let outcomes = bare_metal()
        .into_iter()
        .map(|(package, libraries)| run(&package, libraries));
    let failures: Vec<String> = outcomes
        .filter_map(|outcome| Some(format!("{:#}", outcome.err()?)))
        .collect();
    if !failures.is_empty() {
        bail!("{}", failures.join("\n"));
    }
    Ok(())
}

fn feature_args(package: &Package) -> Vec<String> {
    if package.features.is_empty() {
        Vec::new()
    } else {
        vec!["--features".into(), package.features.join(",")]
    }
}

/// Loom replaces the atomics, which needs builds of their own.
fn model() -> Result<()> {
    let models: [(&str, &[&str]); 2] = [
        ("guest-abi", &["--lib", "loom"]),
        ("hv-core", &["--test", "grant_loom"]),
    ];
    for (package, which) in models {
        let mut command = host_cargo();
        command
            .args(["test", "--release", "-p", package])
            .args(which)
            .arg("--target-dir")
            .arg(workspace::root().join("target/loom"))
            .env("RUSTFLAGS", "--cfg loom");
        quietly(&format!("Running the models of {package}"), &mut command)?;
    }
    Ok(())
}

fn test() -> Result<()> {
    let status = host_cargo()
        .arg("test")
        .stdin(Stdio::null())
        .status()
        .context("cannot run cargo test")?;
    if !status.success() {
        bail!("cargo test failed");
    }
    Ok(())
}
