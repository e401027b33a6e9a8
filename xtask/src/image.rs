//! Forms of the hypervisor's ELF file that boot loaders take.
//!
//! QEMU's `-kernel` loads multiboot1 images, and only 32-bit ones: the 64-bit file is converted. Virtual addresses are cut to
//! their low halves by that, which nobody looks at; physical ones and the entry point stay.

use crate::tools::{self, Tool, find_program};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Writes a 32-bit copy of the ELF file `kernel` into `work`, for direct boot.
///
/// # Errors
/// When objcopy is missing or refuses the file.
pub fn elf32(kernel: &Path, work: &Path) -> Result<PathBuf> {
    objcopy(
        kernel,
        &work.join("xenlite32"),
        &["-O", "elf32-i386", "--strip-all"],
    )
}

/// Writes a copy of the ELF file `kernel` without symbols into `work`, for a boot image.
///
/// # Errors
/// When objcopy is missing or refuses the file.
pub fn stripped(kernel: &Path, work: &Path) -> Result<PathBuf> {
    objcopy(kernel, &work.join("xenlite"), &["--strip-all"])
}

fn objcopy(from: &Path, to: &Path, flags: &[&str]) -> Result<PathBuf> {
    tools::require(&[Tool::Objcopy])?;
    let program = find_program(&["objcopy"]).context("no objcopy")?;
    let output = Command::new(program)
        .args(flags)
        .arg(from)
        .arg(to)
        .output()
        .context("cannot run objcopy")?;
    if !output.status.success() {
        bail!(
            "objcopy refused {}: {}",
            from.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(to.to_path_buf())
}
