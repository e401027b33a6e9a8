//! The subcommand `size`: how big the hypervisor and the mini-guest are, by section.

use crate::build::{HYPERVISOR, MINI_GUEST};
use crate::elf::{Loaded, loaded};
use anyhow::Result;

/// Builds both and prints their sizes.
///
/// # Errors
/// A failed build.
pub fn size() -> Result<()> {
    for package in [HYPERVISOR, MINI_GUEST] {
        if !package.exists() {
            println!("{}: not in this tree", package.name);
            continue;
        }
        print!("{}", table(package.name, &loaded(&package.build_one()?)?));
    }
    Ok(())
}

fn table(name: &str, loaded: &Loaded) -> String {
    let mut text = format!("{name}\n");
    for section in &loaded.sections {
        text += &format!(
            "  {:<16} {:>#18x} {:>9}\n",
            section.name, section.address, section.size
        );
    }
    text + &format!(
        "  {:<16} {:>18} {:>9}\n  {:<16} {:>18} {:>9}\n",
        "in the file", "", loaded.file, "loaded", "", loaded.memory
    )
}
