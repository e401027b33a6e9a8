//! What the launcher reads from ELF files: sections and what gets loaded.

use anyhow::{Context, Result};
use object::{Object, ObjectSection, ObjectSegment, SectionFlags};
use std::path::Path;

/// A section that is part of the running program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: u64,
    /// Its size in bytes.
    pub size: u64,
}

/// What is loaded from a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The sections, by address.
    pub sections: Vec<Section>,
    /// The memory of all loaded segments, zero-filled parts included.
    pub memory: u64,
    /// The part of it that comes from the file.
    pub file: u64,
}

/// Reads what would be loaded from `path`.
///
/// # Errors
/// When it is no ELF file.
pub fn loaded(path: &Path) -> Result<Loaded> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file =
        object::File::parse(&*bytes).with_context(|| format!("{} is not an ELF file", path.display()))?;
    let mut loaded = Loaded::default();
    for segment in file.segments() {
        loaded.memory += segment.size();
        loaded.file += segment.file_range().1;
    }
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags, .. } = section.flags() else {
            continue;
        };
        if sh_flags.contains(object::elf::SHF_ALLOC) && section.size() > 0 {
            let name = section.name().unwrap_or("?").to_string();
            loaded.sections.push(Section {
                name,
                address: section.address(),
                size: section.size(),
            });
        }
    }
    loaded.sections.sort_by_key(|section| section.address);
    Ok(loaded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_the_host_is_measured() {
        let this = loaded(&std::env::current_exe().unwrap()).unwrap();
        assert!(
            this.sections
                .iter()
                .any(|section| section.name == ".text" && section.size > 1000)
        );
        assert!(this.memory >= this.file && this.file > 10_000);
        let sections: u64 = this.sections.iter().map(|section| section.size).sum();
        assert!(
            this.memory <= sections + 100_000,
            "{} in sections, {} loaded",
            sections,
            this.memory
        );
    }

    #[test]
    fn text_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "text").unwrap();
        assert!(loaded(file.path()).is_err());
    }
}
