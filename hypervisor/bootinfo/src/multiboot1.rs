//! Multiboot 1: `qemu -kernel`, and loaders that know no newer protocol.
//!
//! The information is a structure of optional parts that point anywhere in memory, so it is read through a function
//! that the binary supplies. Source: Multiboot Specification 0.6.96, 3.3 "Boot information format":
//!
//! ```text
//!  0 flags  4 mem_lower  8 mem_upper  16 cmdline  20 mods_count  24 mods_addr  44 mmap_length  48 mmap_addr
//! 64 boot_loader_name  88 framebuffer_addr ...  110 colour information
//! ```
//!
//! Loaders differ in one thing that matters: most begin a command line with the file's name, GRUB 2 does not. It
//! is told by the loader's name.

use crate::error::BootError;
use crate::framebuffer::Framebuffer;
use crate::info::{BootInfo, MAX_MODULES};
use crate::memory_map::{LOW_MEMORY_END, MAX_ENTRIES, RawEntry};
use crate::range::PhysRange;
use crate::rsdp::Rsdp;
use crate::text::TEXT_LIMIT;
use crate::warning::BootWarning;
use crate::wire::{u32_at, u64_at};
use arrayvec::ArrayVec;

/// What EAX holds when a loader of this protocol enters.
pub const BOOT_MAGIC: u32 = 0x2BAD_B002;

/// Reads machine memory: `len` bytes at an address, or `None` where that is not memory that can be read.
pub type Reader<'a> = dyn Fn(u64, usize) -> Option<&'a [u8]> + 'a;

/// Bits of `flags`: which parts there are.
const HAS_SIZES: u32 = 1 << 0;
const HAS_CMD_LINE: u32 = 1 << 2;
const HAS_MODULES: u32 = 1 << 3;
const HAS_MEMORY_MAP: u32 = 1 << 6;
const HAS_LOADER_NAME: u32 = 1 << 9;
const HAS_FRAMEBUFFER: u32 = 1 << 12;

/// Bytes of the structure before the framebuffer's part.
const INFO_LEN: usize = 88;
/// Bytes of the framebuffer's part.
const FRAMEBUFFER_LEN: usize = 28;
/// Bytes of an entry of the module list.
const MODULE_LEN: usize = 16;
/// Bytes of a memory map entry behind its size word, at least.
const MAP_ENTRY_LEN: u32 = 20;

impl BootInfo {
    /// Fills this from the structure at `at` (what EBX held). `image` is where the hypervisor itself lies.
    ///
    /// # Errors
    /// What makes it unusable; this then holds nothing.
    pub fn read_multiboot1(&mut self, at: u64, read: &Reader<'_>, image: PhysRange) -> Result<(), BootError> {
        self.clear();
        let mut pieces = ArrayVec::new();
        let result = Source::open(at, read)
            .and_then(|source| source.fill(self, &mut pieces))
            .and_then(|()| self.check(image, &pieces));
        if result.is_err() {
            self.clear();
        }
        result
    }
}

/// The structure, and how to reach what it points to.
struct Source<'r, 'a> {
    at: u64,
    info: &'a [u8],
    flags: u32,
    read: &'r Reader<'a>,
}

/// Where the loader's structures lie: itself, the module list, the map.
type Pieces = ArrayVec<PhysRange, 3>;

impl<'r, 'a> Source<'r, 'a> {
    fn open(at: u64, read: &'r Reader<'a>) -> Result<Self, BootError> {
        let info = read(at, INFO_LEN).filter(|info| info.len() == INFO_LEN);
        let info = info.ok_or(BootError::Malformed {
            what: "multiboot structure",
        })?;
        let flags = u32_at(info, 0).unwrap_or(0);
        Ok(Self {
            at,
            info,
            flags,
            read,
        })
    }

    fn fill(&self, to: &mut BootInfo, pieces: &mut Pieces) -> Result<(), BootError> {
        pieces.push(PhysRange::new(self.at, self.at.saturating_add(INFO_LEN as u64)));
        let loader = self.string(HAS_LOADER_NAME, 64, "loader name")?;
        to.set_loader(loader)?;
        let begins_with_file = !loader.starts_with(b"GRUB ");
        let strip = |line: &'a [u8]| {
            if begins_with_file {
                without_first_word(line)
            } else {
                line
            }
        };
        to.set_cmd_line(strip(self.string(HAS_CMD_LINE, 16, "command line")?))?;
        self.read_memory(to, pieces)?;
        self.read_modules(to, pieces, strip)?;
        if self.flags & HAS_FRAMEBUFFER != 0 {
            let part = (self.read)(self.at.saturating_add(INFO_LEN as u64), FRAMEBUFFER_LEN);
            to.set_framebuffer(Framebuffer::decode(part.unwrap_or_default(), 22));
        }
        if let Some(rsdp) = Rsdp::search(self.read) {
            to.set_rsdp(Some(rsdp));
        }
        Ok(())
    }

    fn read_memory(&self, to: &mut BootInfo, pieces: &mut Pieces) -> Result<(), BootError> {
        if self.flags & HAS_MEMORY_MAP != 0 {
            let (len, at) = (self.word(44), u64::from(self.word(48)));
            let map = (self.read)(at, len as usize).filter(|map| map.len() == len as usize);
            let map = map.ok_or(BootError::Malformed { what: "memory map" })?;
            pieces.push(PhysRange::new(at, at + u64::from(len)));
            let entries = MapEntries(map);
            // The iterator ends at a broken entry as it does at the map's end; too many is for the map to say.
            let mut walk = entries.clone();
            let is_whole =
                walk.by_ref().nth(MAX_ENTRIES).is_some() || walk.0.len() < 4 + MAP_ENTRY_LEN as usize;
            if !is_whole {
                return Err(BootError::Malformed { what: "memory map" });
            }
            return to.set_memory(entries);
        }
        if self.flags & HAS_SIZES == 0 {
            return Err(BootError::NoMemoryMap);
        }
        to.warn(BootWarning::SizesOnly);
        to.set_memory(sizes_as_map(self.word(4), self.word(8)).into_iter())
    }

    fn read_modules(
        &self,
        to: &mut BootInfo,
        pieces: &mut Pieces,
        strip: impl Fn(&'a [u8]) -> &'a [u8],
    ) -> Result<(), BootError> {
        if self.flags & HAS_MODULES == 0 {
            return Ok(());
        }
        let (count, at) = (self.word(20) as usize, u64::from(self.word(24)));
        if count > MAX_MODULES {
            return Err(BootError::TooManyModules);
        }
        let len = count * MODULE_LEN;
        let list = (self.read)(at, len).filter(|list| list.len() == len);
        let list = list.ok_or(BootError::Malformed { what: "module list" })?;
        pieces.push(PhysRange::new(at, at + len as u64));
        for entry in list.chunks_exact(MODULE_LEN) {
            let word = |at| u32_at(entry, at).unwrap_or(0);
            let range = PhysRange::new(u64::from(word(0)), u64::from(word(4)));
            let line = self.string_at(word(8), "module command line")?;
            to.add_module(range, strip(line))?;
        }
        Ok(())
    }

    fn word(&self, at: usize) -> u32 {
        u32_at(self.info, at).unwrap_or(0)
    }

    /// The string whose address is at `at`, where `flag` says that there is one.
    fn string(&self, flag: u32, at: usize, what: &'static str) -> Result<&'a [u8], BootError> {
        if self.flags & flag == 0 {
            Ok(&[])
        } else {
            self.string_at(self.word(at), what)
        }
    }

    /// The string at `at`, which ends with a NUL nobody knows where.
    fn string_at(&self, at: u32, what: &'static str) -> Result<&'a [u8], BootError> {
        if at == 0 {
            return Ok(&[]);
        }
        let at = u64::from(at);
        let mut len = 0;
        while len <= TEXT_LIMIT {
            match (self.read)(at + len as u64, 1) {
                Some(&[0]) => return (self.read)(at, len).ok_or(BootError::Malformed { what }),
                Some(&[_]) => len += 1,
                _ => return Err(BootError::Malformed { what }),
            }
        }
        Err(BootError::TextTooLong)
    }
}

/// The entries of a memory map, up to the first that is broken.
#[derive(Clone)]
struct MapEntries<'a>(&'a [u8]);

impl Iterator for MapEntries<'_> {
    type Item = RawEntry;

    fn next(&mut self) -> Option<RawEntry> {
        // An entry's size does not count the size's own word.
        let size = u32_at(self.0, 0).filter(|&size| size >= MAP_ENTRY_LEN)?;
        let (entry, rest) = self.0.split_at_checked((size as usize).checked_add(4)?)?;
        self.0 = rest;
        Some(RawEntry {
            start: u64_at(entry, 4)?,
            len: u64_at(entry, 12)?,
            kind: u32_at(entry, 20)?,
        })
    }
}

/// Memory as old loaders tell it: KiB from 0, and KiB from 1 MiB up to the first hole.
pub(crate) fn sizes_as_map(lower_kib: u32, upper_kib: u32) -> [RawEntry; 2] {
    let ram = |start, kib| RawEntry {
        start,
        len: u64::from(kib) << 10,
        kind: 1,
    };
    [ram(0, lower_kib), ram(LOW_MEMORY_END, upper_kib)]
}

/// The line without its first word and the blanks around it.
fn without_first_word(line: &[u8]) -> &[u8] {
    let word = line.trim_ascii_start();
    let end = word
        .iter()
        .position(u8::is_ascii_whitespace)
        .unwrap_or(word.len());
    word[end..].trim_ascii_start()
}
