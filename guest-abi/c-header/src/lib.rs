//! The C header of the guest interface, written out of the crate that defines it.
//!
//! ```text
//!  interface   which structures, numbers, flags and constants there are, and in which order
//!  emit        how each of them is said in C
//! ```
//!
//! The header is part of the repository (`guest-abi/include/xenlite.h`), so that a guest in C needs no Rust; a test
//! compares it with what is generated, and another looks in guest-abi's sources for a structure that was forgotten.

mod emit;
mod interface;

/// Where the header lies in the repository.
pub const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../include/xenlite.h");

/// The header's text.
#[must_use]
pub fn header() -> String {
    let mut out = emit::Header::new();
    interface::describe(&mut out);
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_committed_header_is_the_generated_one() {
        let committed = std::fs::read_to_string(COMMITTED).expect("the header is in the repository");
        assert!(
            committed == header(),
            "guest-abi/include/xenlite.h is not what guest-abi says: run `cargo run -p c-header`"
        );
    }

    /// Every `layout!(Name, …)` below `dir`.
    fn structures(dir: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                structures(&path, found);
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            for after in source.split("layout!(").skip(1) {
                let name: String = after
                    .trim_start()
                    .chars()
                    .take_while(char::is_ascii_alphanumeric)
                    .collect();
                if !name.is_empty() {
                    found.push(name);
                }
            }
        }
    }

    #[test]
    fn no_structure_is_forgotten() {
        let mut found = Vec::new();
        structures(
            Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../src")),
            &mut found,
        );
        assert!(found.len() > 50, "found only {found:?}");
        let header = header();
        for name in found {
            let sized = format!("/* {name}:");
            assert!(header.contains(&sized), "{name} is not in the header");
        }
    }
}
