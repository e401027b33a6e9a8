//! Names for addresses: stack traces of the hypervisor and of guests get function, file and line.
//!
//! A machine's image has no symbol table; it prints frames as `#N 0xADDRESS` (faults as `at 0xADDRESS`, registers as
//! `cs:eip SELECTOR:ADDRESS`), and the launcher looks the address up in the ELF file. Addresses below 4 GiB are a 32-bit guest's, all others the hypervisor's.
//!
//! A guest's addresses are looked up in Domain0's kernel. Of another domain, which a line names as `d3`, nobody here knows the kernel, so they stay
//! numbers; but `info` names the kernel (`kernel : NAME`) before the registers, and where that is a boot module, its symbols are used.

mod annotator;
mod trace;

use crate::workspace;
use addr2line::Loader;
use std::io::Read;
use std::path::PathBuf;

pub use annotator::{Annotator, symbolize};

/// The ELF files of what runs.
#[derive(Clone, Debug, Default)]
pub struct Images {
    /// The hypervisor's and Domain0's kernel.
    pub files: Vec<PathBuf>,
    /// Boot modules for other domains, by the names that Domain0 has for them.
    pub modules: Vec<(String, PathBuf)>,
}

/// The symbols of some ELF files, read when the first address asks for them.
pub struct Symbols {
    images: Images,
    loaders: Option<Vec<(bool, Loader)>>,
}

impl Symbols {
    /// The symbols of these files; one that cannot be read has none.
    pub fn of(images: Images) -> Self {
        Self {
            images,
            loaders: None,
        }
    }

    /// What is at `address`: functions from the innermost inlined one outwards, with file and line.
    pub fn describe(&mut self, address: u64) -> Option<String> {
        let is_guest = u32::try_from(address).is_ok();
        let loaders = self.loaders.get_or_insert_with(|| {
            self.images
                .files
                .iter()
                .filter_map(|file| Some((is_32_bit(file)?, Loader::new(file).ok()?)))
                .collect()
        });
        loaders
            .iter()
            .filter(|(for_guest, _)| *for_guest == is_guest)
            .find_map(|(_, loader)| describe(loader, address))
    }

    /// What is at an address of the kernel that `info` names.
    fn describe_in_module(&self, address: u64, kernel: &str) -> Option<String> {
        let name = kernel.strip_prefix("/boot/").unwrap_or(kernel);
        let (_, file) = self.images.modules.iter().find(|(module, _)| module == name)?;
        describe(&Loader::new(file).ok()?, address)
    }
}

/// Whether an ELF file is a 32-bit one; `None` when it is none.
fn is_32_bit(file: &std::path::Path) -> Option<bool> {
    let mut head = [0; 5];
    std::fs::File::open(file).ok()?.read_exact(&mut head).ok()?;
    head.starts_with(b"\x7fELF").then_some(head[4] == 1)
}

fn describe(loader: &Loader, address: u64) -> Option<String> {
    let mut frames = loader.find_frames(address).ok()?;
    let mut described = Vec::new();
    while let Ok(Some(frame)) = frames.next() {
        let name = frame
            .function
            .as_ref()
            .and_then(|function| Some(function.demangle().ok()?.into_owned()));
        let name = name
            .or_else(|| loader.find_symbol(address).map(demangled))
            .unwrap_or_else(|| "?".into());
        let place = frame
            .location
            .and_then(|location| Some((location.file?, location.line?)));
        described.push(match place {
            Some((file, line)) => format!("{name} ({}:{line})", short(file)),
            None => name,
        });
    }
    if described.is_empty() {
        described.push(demangled(loader.find_symbol(address)?));
    }
    Some(described.join(" in "))
}

fn demangled(symbol: &str) -> String {
    addr2line::demangle_auto(symbol.into(), None).into_owned()
}

/// A source file relative to the repository or to the library's root.
fn short(file: &str) -> &str {
    let root = workspace::root().to_str().unwrap_or("\0");
    if let Some(ours) = file.strip_prefix(root) {
        return ours.trim_start_matches('/');
    }
    file.split_once("/library/").map_or(file, |(_, library)| library)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_this_program_gets_its_name_before_the_line_end() {
        let this = std::env::current_exe().unwrap();
        let loader = Loader::new(&this).unwrap();
        // Any address that the loader itself knows will do: the symbol table is what we look up in.
        let bytes = std::fs::read(&this).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        use object::{Object, ObjectSymbol};
        let symbol = file
            .symbols()
            .find(|s| s.name().is_ok_and(|n| n.contains("frame_address")))
            .unwrap();
        assert!(
            describe(&loader, symbol.address())
                .unwrap()
                .contains("frame_address")
        );
    }
}
