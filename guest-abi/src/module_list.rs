//! The boot modules of Domain0, listed where `mod_start` points.
//!
//! With [`StartFlags::MODULE_LIST`](crate::start_info::StartFlags::MODULE_LIST) set, `mod_start` is the
//! linear address of a [`ModuleListHeader`], `count` [`ModuleEntry`]s and their command lines, `mod_len`
//! bytes in all, mapped at start. Entry 0 is the initial RAM disk (of length 0 if the loader gave none),
//! the others are the loader's further modules in its order.
//!
//! A module's frames belong to Domain0 like its other memory: consecutive pseudo-physical frames from `pfn`
//! on, found in the phys-to-machine list. The RAM disk is mapped at start (`virt` not 0); the others need
//! not be, and Domain0 maps them when it builds a domain from one. It may free them.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::addr::{GuestVirt, PAGE_SIZE, Pfn};

/// [`ModuleListHeader::magic`]: "XLML", little-endian.
pub const MODULE_LIST_MAGIC: u32 = u32::from_le_bytes(*b"XLML");

/// The start of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ModuleListHeader {
    /// [`MODULE_LIST_MAGIC`].
    pub magic: u32,
    /// How many entries follow.
    pub count: u32,
}

layout!(ModuleListHeader, size 8, magic @ 0, count @ 4);

/// One module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ModuleEntry {
    /// First pseudo-physical frame.
    pub pfn: Pfn,
    /// Linear address of the first byte, 0 if the module is not mapped at start.
    pub virt: GuestVirt,
    /// Length in bytes. The last frame's rest is zero.
    pub len: u64,
    /// Byte offset of the module's command line from the start of the list.
    pub cmdline_offset: u32,
    /// Length of the command line in bytes. It is not ended by a NUL.
    pub cmdline_len: u32,
}

layout!(ModuleEntry, size 24, pfn @ 0, virt @ 4, len @ 8, cmdline_offset @ 16, cmdline_len @ 20);

impl ModuleEntry {
    /// How many frames the module has.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.len.div_ceil(PAGE_SIZE as u64)
    }
}

/// A list that was checked: every entry and every command line lies inside it.
#[derive(Clone, Copy, Debug)]
pub struct ModuleList<'a> {
    bytes: &'a [u8],
    entries: &'a [u8],
}

/// Why bytes are not a module list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleListError {
    /// Shorter than its header or its entries.
    Truncated,
    /// The magic number is wrong.
    BadMagic(u32),
    /// The command line of this entry lies outside the list.
    CommandLineOutside(u32),
}

impl core::fmt::Display for ModuleListError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Truncated => f.write_str("module list is cut short"),
            Self::BadMagic(found) => write!(f, "module list begins with {found:#x}"),
            Self::CommandLineOutside(index) => {
                write!(f, "command line of module {index} lies outside the list")
            }
        }
    }
}

impl core::error::Error for ModuleListError {}

impl<'a> ModuleList<'a> {
    /// Checks the `mod_len` bytes at `mod_start`.
    ///
    /// # Errors
    /// The bytes are no module list.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ModuleListError> {
        let (header, rest) =
            ModuleListHeader::read_from_prefix(bytes).map_err(|_| ModuleListError::Truncated)?;
        if header.magic != MODULE_LIST_MAGIC {
            return Err(ModuleListError::BadMagic(header.magic));
        }
        let entries = usize::try_from(header.count)
            .ok()
            .and_then(|count| count.checked_mul(size_of::<ModuleEntry>()))
            .and_then(|len| rest.get(..len))
            .ok_or(ModuleListError::Truncated)?;
        let list = Self { bytes, entries };
        for (index, entry) in (0..).zip(list.iter()) {
            list.command_line(&entry)
                .ok_or(ModuleListError::CommandLineOutside(index))?;
        }
        Ok(list)
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = ModuleEntry> + use<'a> {
        self.entries
            .chunks_exact(size_of::<ModuleEntry>())
            .filter_map(|entry| ModuleEntry::read_from_bytes(entry).ok())
    }

    /// The command line of an entry, or `None` where it lies outside the list (not of this list's entries).
    #[must_use]
    pub fn command_line(&self, entry: &ModuleEntry) -> Option<&'a [u8]> {
        let start = usize::try_from(entry.cmdline_offset).ok()?;
        let end = start.checked_add(usize::try_from(entry.cmdline_len).ok()?)?;
        self.bytes.get(start..end)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    fn list(entries: &[ModuleEntry], text: &[u8]) -> Vec<u8> {
        let header = ModuleListHeader {
            magic: MODULE_LIST_MAGIC,
            count: entries.len() as u32,
        };
        [header.as_bytes(), entries.as_bytes(), text].concat()
    }

    #[test]
    fn entries_and_their_command_lines_are_found() {
        let initrd = ModuleEntry {
            pfn: Pfn::new(300),
            virt: GuestVirt::new(0xC012_C000),
            len: 4097,
            ..Default::default()
        };
        let guest = ModuleEntry {
            pfn: Pfn::new(302),
            len: 8192,
            cmdline_offset: 56,
            cmdline_len: 3,
            ..Default::default()
        };
        let bytes = list(&[initrd, guest], b"web");
        let list = ModuleList::parse(&bytes).unwrap();
        assert_eq!(list.iter().collect::<Vec<_>>(), [initrd, guest]);
        assert_eq!(list.command_line(&guest), Some(&b"web"[..]));
        assert_eq!(list.command_line(&initrd), Some(&b""[..]));
        assert_eq!((initrd.frames(), guest.frames()), (2, 2));
    }

    #[test]
    fn lists_that_lie_are_refused() {
        let entry = ModuleEntry {
            cmdline_offset: 30,
            cmdline_len: 3,
            ..Default::default()
        };
        let bytes = list(&[entry], b"");
        assert_eq!(
            ModuleList::parse(&bytes).err(),
            Some(ModuleListError::CommandLineOutside(0))
        );
        assert_eq!(
            ModuleList::parse(&bytes[..31]).err(),
            Some(ModuleListError::Truncated)
        );
        assert_eq!(
            ModuleList::parse(&bytes[..7]).err(),
            Some(ModuleListError::Truncated)
        );
        assert_eq!(
            ModuleList::parse(&[0; 8]).err(),
            Some(ModuleListError::BadMagic(0))
        );
        let huge = ModuleListHeader {
            magic: MODULE_LIST_MAGIC,
            count: u32::MAX,
        };
        assert_eq!(
            ModuleList::parse(huge.as_bytes()).err(),
            Some(ModuleListError::Truncated)
        );
        let wrap = ModuleEntry {
            cmdline_offset: u32::MAX,
            cmdline_len: u32::MAX,
            ..Default::default()
        };
        assert_eq!(
            ModuleList::parse(&list(&[wrap], b"")).err(),
            Some(ModuleListError::CommandLineOutside(0))
        );
    }
}
