//! A machine by the launcher itself, whose domains run scripts.

use crate::initrd;
use crate::suite::command_line::{Finished, dialog};
use crate::suite::{Stop, fixture};
use std::path::{Path, PathBuf};

/// The initial file system of domains, `file` in `dir`, with these scripts in `/etc`.
pub(super) fn archive(dir: &Path, file: &str, scripts: &[(&str, impl AsRef<[u8]>)]) -> Result<PathBuf, Stop> {
    let tree = fixture::copied_program_tree()?;
    for (name, script) in scripts {
        std::fs::write(tree.path().join("etc").join(name), script)?;
    }
    let archive = dir.join(file);
    initrd::from_user(tree.path(), &archive)?;
    Ok(archive)
}

/// Boots with these modules and with `more` of the launcher's arguments, starting no domains by itself; types each step's keys when there is its text, and
/// expects an orderly end.
pub(super) fn boot(
    name: &str,
    launcher: &Path,
    more: &[&str],
    modules: &[&Path],
    steps: &[(&str, &[u8])],
) -> Result<Finished, Stop> {
    boot_with(name, launcher, "", more, modules, steps)
}

/// The same, with these words on Domain0's command line.
pub(super) fn boot_with(
    name: &str,
    launcher: &Path,
    words: &str,
    more: &[&str],
    modules: &[&Path],
    steps: &[(&str, &[u8])],
) -> Result<Finished, Stop> {
    let modules: Vec<String> = modules
        .iter()
        .map(|module| module.display().to_string())
        .collect();
    let dom0 = format!(",autostart=no {words}");
    let mut arguments = vec!["--timeout", "300", "--dom0", dom0.trim_end()];
    arguments.extend(modules.iter().flat_map(|module| ["--module", module]));
    arguments.extend(more);
    let finished = dialog(launcher, &arguments, steps)?;
    fixture::keep_log(name, &finished.output)?;
    finished.expect_status(0)
}
