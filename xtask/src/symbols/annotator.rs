//! A stream of output with names beside the addresses in it.

use super::trace::{Kernel, REGISTERS, frame_address, names_another_domain};
use super::{Images, Symbols, is_32_bit};
use crate::cli::SymbolizeArgs;
use crate::{build, workspace};
use anyhow::{Context, Result};
use std::io::{Read, Write};
use std::path::PathBuf;

/// Lines longer than this are no stack trace.
const LONGEST_LINE: usize = 1024;

impl Symbols {
    /// The text to append to `line` if it shows code addresses; `kernel` is that of the domain that `info` shows.
    fn annotation(&mut self, line: &str, kernel: &Kernel) -> Option<String> {
        let (address, is_return) = frame_address(line)?;
        // A return address is the instruction after the call; the call is what the trace means.
        let address = if is_return {
            address.checked_sub(1)?
        } else {
            address
        };
        if line.starts_with(REGISTERS) {
            return match kernel {
                Kernel::Domain0 => self.describe(address),
                Kernel::Named(kernel) => self.describe_in_module(address, kernel),
                Kernel::Unknown => None,
            };
        }
        if u32::try_from(address).is_ok() && names_another_domain(line) {
            return None;
        }
        self.describe(address)
    }
}

/// Passes a byte stream on as it comes, and adds what is known about a line's address before the line's end.
pub struct Annotator {
    symbols: Symbols,
    /// The kernel of the domain that `info` shows.
    kernel: Kernel,
    line: Vec<u8>,
    has_return: bool,
}

impl Annotator {
    /// An annotator with these symbols.
    pub fn new(symbols: Symbols) -> Self {
        Self {
            symbols,
            kernel: Kernel::Unknown,
            line: Vec::new(),
            has_return: false,
        }
    }

    /// Passes `bytes` on to `out`. A carriage return waits for the byte after it.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for byte in bytes {
            if *byte == b'\n' {
                let line = String::from_utf8_lossy(&self.line);
                if let Some(kernel) = Kernel::of_line(&line) {
                    self.kernel = kernel;
                }
                let annotation = self.symbols.annotation(&line, &self.kernel);
                if let Some(text) = annotation {
                    out.extend(b" ");
                    out.extend(text.bytes());
                }
                self.line.clear();
            } else if *byte != b'\r' && self.line.len() < LONGEST_LINE {
                self.line.push(*byte);
            }
            if self.has_return {
                out.push(b'\r');
            }
            self.has_return = *byte == b'\r';
            if !self.has_return {
                out.push(*byte);
            }
        }
    }
}

/// The subcommand `symbolize`: standard input to standard output.
///
/// # Errors
/// A named file that is no ELF file; a broken pipe.
pub fn symbolize(args: &SymbolizeArgs) -> Result<()> {
    let mut files = args.elf.clone();
    for file in &files {
        is_32_bit(file).with_context(|| format!("{} is not an ELF file", file.display()))?;
    }
    if files.is_empty() {
        files = built()?;
    }
    let mut annotator = Annotator::new(Symbols::of(Images {
        files,
        modules: Vec::new(),
    }));
    let (mut stdin, mut stdout) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut buffer = [0; 4096];
    loop {
        let count = stdin.read(&mut buffer).context("cannot read standard input")?;
        let mut out = Vec::new();
        // A last line without an end is a line too.
        annotator.feed(if count == 0 { b"\n" } else { &buffer[..count] }, &mut out);
        stdout
            .write_all(&out)
            .and_then(|()| stdout.flush())
            .context("cannot write standard output")?;
        if count == 0 {
            return Ok(());
        }
    }
}

/// The hypervisor and the mini-guest, as last built.
fn built() -> Result<Vec<PathBuf>> {
    let scratch = workspace::scratch()?;
    let files =
        [build::HYPERVISOR, build::MINI_GUEST].map(|package| scratch.join(package.name).join(package.name));
    Ok(files.into_iter().filter(|file| file.is_file()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_without_symbols_passes_unchanged() {
        let text = b"a\r\nb\r\r\n\rprogress\r100%\n  #1 0xffff828000000000\r\n\xff\xfe partial";
        for size in 1..text.len() {
            let mut annotator = Annotator::new(Symbols::of(Images::default()));
            let mut out = Vec::new();
            text.chunks(size)
                .for_each(|chunk| annotator.feed(chunk, &mut out));
            assert_eq!(out, text, "in pieces of {size}");
        }
    }

    /// This test program in the place of every kernel: an address gets a name or not.
    #[test]
    fn only_kernels_that_are_known_have_names() {
        let this = std::env::current_exe().unwrap();
        let bytes = std::fs::read(&this).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        use object::{Object, ObjectSymbol};
        let symbol = file
            .symbols()
            .find(|s| s.name().is_ok_and(|n| n.contains("names_another_domain")) && s.size() > 0)
            .unwrap();
        let mut symbols = Symbols::of(Images {
            files: Vec::new(),
            modules: vec![("web".into(), this)],
        });
        let registers = format!("{REGISTERS}: cs:eip e019:{:08x} eflags 0", symbol.address());
        let mut is_named = |line: &str| {
            let kernel = Kernel::of_line(line).unwrap();
            symbols.annotation(&registers, &kernel).is_some()
        };
        assert!(is_named("kernel                 : web\r") && is_named("kernel                 : /boot/web"));
        assert!(
            !is_named("kernel                 : other") && !is_named("kernel                 : /tmp/web")
        );
        assert!(!is_named("id                     : 3"));
    }
}
