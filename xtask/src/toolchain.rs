//! The toolchain of the bare-metal crates: a cargo, the rustc beside it, the library's sources of the very same version,
//! and a linker.
//!
//! `core` and `alloc` are built for our own targets, so sources and compiler must match to the version (mixed ones fail with
//! lang-item errors). Two places have such a pair: a rustup toolchain with the component `rust-src`, and a distribution's
//! packages (Debian's `rustc-web cargo-web rust-web-src`, which install beside a rustup in the home directory). The active
//! rustup toolchain is preferred, since it is the one that the user chose.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest compiler whose target files look like ours (a numeric pointer width, `rustc-abi`).
const OLDEST: (u32, u32) = (1, 95);

/// A matching set of tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    /// The inner cargo.
    pub cargo: PathBuf,
    /// Its compiler.
    pub rustc: PathBuf,
    /// What `rustc --version` says.
    pub version: String,
}

impl Toolchain {
    /// Its documentation tool.
    pub fn rustdoc(&self) -> PathBuf {
        self.rustc.with_file_name("rustdoc")
    }

    /// Its linter, if it has one.
    pub fn clippy(&self) -> Option<PathBuf> {
        let file = |name| Some(self.rustc.with_file_name(name)).filter(|file| file.is_file());
        file("clippy-driver").and(file("cargo-clippy"))
    }
}

/// Finds a toolchain that can build the bare-metal crates.
pub fn find() -> Option<Toolchain> {
    let active = sysroot_of(Path::new("rustc")).map(|root| root.join("bin"));
    active
        .into_iter()
        .chain([PathBuf::from("/usr/bin")])
        .find_map(|bin| at(&bin))
}

/// The toolchain with its programs in `bin`, if it is complete and new enough.
fn at(bin: &Path) -> Option<Toolchain> {
    let (cargo, rustc) = (bin.join("cargo"), bin.join("rustc"));
    if !cargo.is_file() {
        return None;
    }
    let sources = sysroot_of(&rustc)?.join("lib/rustlib/src/rust/library");
    let version = output(Command::new(&rustc).arg("--version"))?;
    let usable = sources.join("core/Cargo.toml").is_file() && release(&version)? >= OLDEST;
    usable.then_some(Toolchain {
        cargo,
        rustc,
        version,
    })
}

/// Finds the linker: a `ld.lld` of the system, or the `rust-lld` that rustup ships.
pub fn find_linker() -> Option<PathBuf> {
    crate::tools::find_program(&["ld.lld"]).or_else(|| {
        let host = format!(
            "lib/rustlib/{}-unknown-linux-gnu/bin/rust-lld",
            std::env::consts::ARCH
        );
        Some(sysroot_of(Path::new("rustc"))?.join(host)).filter(|lld| lld.is_file())
    })
}

/// Where `rustc` keeps its libraries; through rustup's proxy, of the active toolchain.
fn sysroot_of(rustc: &Path) -> Option<PathBuf> {
    let mut command = Command::new(rustc);
    // The directory decides about rustup's overrides.
    command
        .args(["--print", "sysroot"])
        .current_dir(crate::workspace::root());
    output(&mut command).map(PathBuf::from)
}

/// What a command prints, if it succeeds.
fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_string())
}

/// Major and minor number of a line such as `rustc 1.96.0 (ac68faa20 2026-05-25)`.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split_whitespace().nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(release("rustc 1.96.0 (ac68faa20 2026-05-25)"), Some((1, 96)));
        assert_eq!(
            release("rustc 1.97.0-nightly (e50aa6fba 2026-05-19)"),
            Some((1, 97))
        );
        assert!(release("rustc 1.100.0 (0 2027-01-01)").unwrap() > OLDEST);
        assert!(release("rustc 1.63.0").unwrap() < OLDEST);
        assert_eq!(release("rustc"), None);
    }

    /// A directory with programs that answer like a toolchain of this version, and its sources.
    fn toolchain(version: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let rustc = format!(
            "#!/bin/sh\nif [ \"$1\" = --print ]; then echo {}; else echo 'rustc {version}'; fi\n",
            root.display()
        );
        std::fs::create_dir_all(root.join("lib/rustlib/src/rust/library/core")).unwrap();
        std::fs::write(root.join("lib/rustlib/src/rust/library/core/Cargo.toml"), "").unwrap();
        std::fs::create_dir(root.join("bin")).unwrap();
        for name in ["cargo", "clippy-driver", "cargo-clippy"] {
            std::fs::write(root.join("bin").join(name), "").unwrap();
        }
        // By another process: a file that some thread of this one has open for writing cannot be run.
        let write = "printf %s \"$1\" >\"$0\" && chmod +x \"$0\"";
        let mut shell = Command::new("sh");
        assert!(
            shell
                .args(["-c", write])
                .arg(root.join("bin/rustc"))
                .arg(rustc)
                .status()
                .unwrap()
                .success()
        );
        dir
    }

    #[test]
    fn a_pair_with_sources_is_taken_if_it_is_new_enough() {
        let new = toolchain("1.95.0 (59807616e 2026-04-14)");
        let found = at(&new.path().join("bin")).unwrap();
        assert_eq!(found.cargo, new.path().join("bin/cargo"));
        assert_eq!(found.version, "rustc 1.95.0 (59807616e 2026-04-14)");
        assert_eq!(found.clippy(), Some(new.path().join("bin/cargo-clippy")));
        std::fs::remove_file(new.path().join("bin/clippy-driver")).unwrap();
        assert_eq!(found.clippy(), None);
        let old = toolchain("1.94.1 (0 2026-03-01)");
        assert_eq!(at(&old.path().join("bin")), None);
    }

    #[test]
    fn a_directory_without_sources_is_no_toolchain() {
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(at(empty.path()), None);
        std::fs::write(empty.path().join("cargo"), "").unwrap();
        assert_eq!(at(empty.path()), None);
    }
}
