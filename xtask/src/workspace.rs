//! Where things are: the repository, its packages, the build directories.

use std::path::{Path, PathBuf};

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the launcher's package is one level below the root")
}

/// The directory for everything that is built.
pub fn target() -> PathBuf {
    root().join("target")
}

/// A directory below [`target`] for boot images, made when it is missing.
///
/// # Errors
/// When it cannot be created.
pub fn scratch() -> anyhow::Result<PathBuf> {
    use anyhow::Context;
    let dir = target().join("boot");
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir)
}

/// Whether the package in directory `dir` is part of this workspace.
pub fn has_package(dir: &str) -> bool {
    root().join(dir).join("Cargo.toml").is_file()
}

/// `path` as a person at the root would write it.
pub fn display(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}
