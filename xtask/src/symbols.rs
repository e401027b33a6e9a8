//! Names for addresses: stack traces of the hypervisor and of guests get function, file and line.
//!
//! A machine's image has no symbol table; it prints frames as `#N 0xADDRESS` (faults as `at 0xADDRESS`, registers as
//! `cs:eip SELECTOR:ADDRESS`), and the launcher
//! looks the address up in the ELF file. Addresses below 4 GiB are a 32-bit guest's, all others the hypervisor's.
//!
//! A guest's addresses are looked up in Domain0's kernel. Of another domain, which a line names as `d3`, nobody here knows the kernel, so they stay
//! numbers; but `info` names the kernel (`kernel : NAME`) before the registers, and where that is a boot module, its symbols are used.

use crate::cli::SymbolizeArgs;
use crate::{build, workspace};
use addr2line::Loader;
use anyhow::{Context, Result};
use std::io::{Read, Write};
use std::path::PathBuf;

/// Lines longer than this are no stack trace.
const LONGEST_LINE: usize = 1024;

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

    /// What is at an address of the kernel that `info` names.
    fn describe_in_module(&self, address: u64, kernel: &str) -> Option<String> {
        let name = kernel.strip_prefix("/boot/").unwrap_or(kernel);
        let (_, file) = self.images.modules.iter().find(|(module, _)| module == name)?;
        describe(&Loader::new(file).ok()?, address)
    }
}

/// How the line of `info` with the instruction pointer begins.
const REGISTERS: &str = "registers ";

/// The kernel of the domain that `info` shows.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kernel {
    /// The tools do not know it.
    Unknown,
    /// Domain0's.
    Domain0,
    /// What the domain's settings name.
    Named(String),
}

impl Kernel {
    /// What a line of `info` says about it.
    fn of_line(line: &str) -> Option<Self> {
        let (label, value) = line.split_once(": ")?;
        match (label.trim_end(), value.trim()) {
            ("id", "0") => Some(Self::Domain0),
            ("id", _) => Some(Self::Unknown),
            ("kernel", name) => Some(Self::Named(name.into())),
            _ => None,
        }
    }
}

/// Whether a line of the hypervisor's log is about a domain that is not Domain0: it says `d3`, `d3:` or `(d3v0)`.
fn names_another_domain(line: &str) -> bool {
    line.split([' ', ':', '(', ')']).any(|word| {
        let number = word.strip_prefix('d').map(|number| number.trim_end_matches("v0"));
        number.is_some_and(|number| number.parse::<u16>().is_ok_and(|number| number > 0))
    })
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

/// The code address that a line of a trace shows, and whether it is a return address.
fn frame_address(line: &str) -> Option<(u64, bool)> {
    let hex = |text: &str| {
        let digits = text.strip_prefix("0x")?;
        let end = digits
            .find(|c: char| !c.is_ascii_hexdigit())
            .unwrap_or(digits.len());
        (8..=16)
            .contains(&end)
            .then(|| u64::from_str_radix(&digits[..end], 16).ok())?
    };
    if let Some((_, rest)) = line.split_once('#') {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .filter(|digits| *digits > 0);
        if let Some(digits) = digits {
            let number: u32 = rest[..digits].parse().ok()?;
            return hex(rest[digits..].trim_start()).map(|address| (address, number > 0));
        }
    }
    // An instruction pointer with its segment, in a line of registers: `cs:eip e019:c00003e1`.
    if let Some((_, rest)) = line.split_once("ip ")
        && let Some((_, address)) = rest
            .split_once(':')
            .filter(|(selector, _)| is_hex(selector, 4..=4))
    {
        let digits = address.split(|c: char| !c.is_ascii_hexdigit()).next()?;
        return is_hex(digits, 8..=16).then(|| u64::from_str_radix(digits, 16).ok().map(|at| (at, false)))?;
    }
    let (_, rest) = line.rsplit_once(" at 0x")?;
    // Take the prefix along again.
    hex(&line[line.len() - rest.len() - 2..]).map(|address| (address, false))
}

/// Whether a text is a hexadecimal number of so many digits.
fn is_hex(text: &str, digits: std::ops::RangeInclusive<usize>) -> bool {
    digits.contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_hexdigit())
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
    fn frames_and_faults_are_recognised() {
        assert_eq!(
            frame_address("  #0 0xffff828000101234"),
            Some((0xffff_8280_0010_1234, false))
        );
        assert_eq!(
            frame_address("(d0v0)  #12 0xc0101234 "),
            Some((0xc010_1234, true))
        );
        assert_eq!(
            frame_address("panicked at 0xffff828000101234, sorry"),
            Some((0xffff_8280_0010_1234, false))
        );
        for other in [
            "",
            "#",
            "#0",
            "#0 0x12",
            "#x 0xffff828000101234",
            "issue #5 is open",
            "at 0xzz",
            "C# at 0x1",
        ] {
            assert_eq!(frame_address(other), None, "{other}");
        }
    }

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
        assert_eq!(
            Kernel::of_line("id                     : 0"),
            Some(Kernel::Domain0)
        );
        assert_eq!(Kernel::of_line("memory                 : 1 KiB"), None);
        for (line, is_other) in [
            ("WARN  [    1.0] d3 killed: at 0xc0001000", true),
            ("d12: last saved eip e019:c0001000", true),
            ("(d3v0)  #1 0xc0001000", true),
            ("(d0v0)  #1 0xc0001000", false),
            ("d0: last saved eip e019:c0001000", false),
            ("dead beef d", false),
        ] {
            assert_eq!(names_another_domain(line), is_other, "{line}");
        }
    }

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
