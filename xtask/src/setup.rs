//! Installing what is missing, through `scripts/setup`, and saying what to type where that is not possible.

use crate::tools::{self, Tool};
use crate::workspace;
use anyhow::{Context, Result, bail};
use std::io::{IsTerminal, Write};
use std::process::{Command, Stdio};

/// Installs everything (the subcommand `setup`).
///
/// # Errors
/// When the script fails.
pub fn setup_all() -> Result<()> {
    run_script(&["all"])
}

/// Names the missing tools and installs them if that needs no question, or if the user says yes.
///
/// # Errors
/// When nothing could be installed: the line to type.
pub fn install(missing: &[Tool]) -> Result<()> {
    let names = tools::names(missing);
    if !may_install() && !agreed(&names)? {
        bail!("missing: {names}\nInstall {}", advice(missing));
    }
    eprintln!("missing: {names}; installing through scripts/setup");
    let mut groups: Vec<&str> = missing.iter().map(|tool| tool.group()).collect();
    groups.dedup();
    run_script(&groups).with_context(|| format!("could not install {names}.\nBy hand: {}", advice(missing)))
}

/// Whether packages can be installed without asking anybody: as root, or by sudo without a password.
fn may_install() -> bool {
    let sudo = || {
        let mut command = Command::new("sudo");
        command
            .args(["-n", "true"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    rustix::process::geteuid().is_root() || sudo()
}

/// Asks on the terminal, if there is one.
fn agreed(names: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(false);
    }
    eprint!("missing: {names}\nInstall it with scripts/setup (asks for your password)? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}

fn run_script(groups: &[&str]) -> Result<()> {
    let script = workspace::root().join("scripts/setup");
    let mut command = crate::build::scrubbed("bash");
    // Standard output is the console's, and input may be meant for it.
    command
        .arg(&script)
        .args(groups)
        .stdin(Stdio::null())
        .stdout(std::io::stderr());
    let status = command
        .status()
        .with_context(|| format!("cannot run {}", script.display()))?;
    if !status.success() {
        bail!("scripts/setup {} failed", groups.join(" "));
    }
    Ok(())
}

/// The one line to type, for the distribution that this is, or for each.
fn advice(missing: &[Tool]) -> String {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    advice_for(missing, &release)
}

fn advice_for(missing: &[Tool], os_release: &str) -> String {
    const FAMILIES: [(&[&str], &str); 3] = [
        (&["debian", "ubuntu"], "sudo apt-get install"),
        (&["fedora", "rhel"], "sudo dnf install"),
        (&["arch"], "sudo pacman -S"),
    ];
    let ids: Vec<&str> = os_release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .flat_map(|ids| ids.trim_matches('"').split(' '))
        .collect();
    let line = |family: usize| {
        let mut packages: Vec<&str> = missing
            .iter()
            .flat_map(|tool| tool.packages()[family].split(' '))
            .collect();
        packages.sort_unstable();
        packages.dedup();
        format!("{} {}", FAMILIES[family].1, packages.join(" "))
    };
    match FAMILIES
        .iter()
        .position(|(names, _)| names.iter().any(|name| ids.contains(name)))
    {
        Some(family) => format!("it with: {}", line(family)),
        None => format!(
            "it; on Debian: {}; on Fedora: {}; on Arch: {}",
            line(0),
            line(1),
            line(2)
        ),
    }
}

/// Whether the host's C compiler makes static 32-bit programs (found out by making one).
pub fn gcc_makes_static_32_bit_programs() -> bool {
    let Ok(dir) = tempfile::tempdir() else {
        return false;
    };
    let source = dir.path().join("t.c");
    let mut command = Command::new("gcc");
    command
        .args(["-m32", "-static", "-o"])
        .arg(dir.path().join("t"))
        .arg(&source);
    std::fs::write(&source, "int main(void) { return 0; }\n").is_ok()
        && command.output().is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_to_type_fits_the_distribution() {
        let missing = [Tool::Qemu, Tool::Lld];
        let debian = advice_for(&missing, "NAME=\"Debian GNU/Linux\"\nID=debian\n");
        assert_eq!(debian, "it with: sudo apt-get install lld qemu-system-x86");
        let mint = advice_for(&missing, "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n");
        assert_eq!(mint, debian);
        assert_eq!(
            advice_for(&missing, "ID=fedora\n"),
            "it with: sudo dnf install lld qemu-system-x86-core"
        );
        assert_eq!(
            advice_for(&missing, "ID=arch\n"),
            "it with: sudo pacman -S lld qemu-system-x86"
        );
        let unknown = advice_for(&missing, "");
        assert!(
            ["apt-get", "dnf", "pacman"]
                .iter()
                .all(|tool| unknown.contains(tool)),
            "{unknown}"
        );
    }
}
