//! Why the machine cannot be started with what the loader gave: one variant per reason, one line each.

use crate::info::MAX_MODULES;
use crate::memory_map::{MAX_ENTRIES, MAX_REGIONS};
use crate::range::PhysRange;
use crate::text::TEXT_LIMIT;
use core::fmt;

/// What is wrong with the boot information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootError {
    /// A structure of the loader cannot be read or contradicts itself.
    Malformed {
        /// Which one.
        what: &'static str,
    },
    /// Neither a memory map nor the amount of memory is given.
    NoMemoryMap,
    /// The memory map has more entries than are looked at.
    TooManyEntries,
    /// The memory map has more distinct regions than are kept.
    TooManyRegions,
    /// No RAM above 1 MiB.
    NoRam,
    /// No module at all.
    NoKernel,
    /// More modules than are kept.
    TooManyModules,
    /// All texts together are too long.
    TextTooLong,
    /// A module ends before it starts.
    ModuleReversed(ModuleAt),
    /// A module does not start on a page boundary.
    ModuleUnaligned(ModuleAt),
    /// A module's pages are not all RAM.
    ModuleOutsideRam(ModuleAt),
    /// A module lies on the hypervisor's own image.
    ModuleOverlapsImage(ModuleAt),
    /// A module lies on the loader's own structures, so one of the two is garbage.
    ModuleOverlapsInfo(ModuleAt),
    /// Two modules lie on each other.
    ModulesOverlap(ModuleAt, ModuleAt),
}

/// A module in a message: its number and where the loader says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModuleAt {
    /// Its number, from 0.
    pub index: usize,
    /// Its bytes.
    pub range: PhysRange,
}

impl fmt::Display for ModuleAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self.index {
            0 => " (Domain0's kernel)",
            1 => " (Domain0's ramdisk)",
            _ => "",
        };
        write!(
            f,
            "boot module {}{role} at [{:#x}, {:#x})",
            self.index, self.range.start, self.range.end
        )
    }
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { what } => write!(f, "boot information: malformed {what}"),
            Self::NoMemoryMap => f.write_str("boot loader gave no memory map"),
            Self::TooManyEntries => write!(f, "memory map has more than {MAX_ENTRIES} entries"),
            Self::TooManyRegions => write!(f, "memory map has more than {MAX_REGIONS} regions"),
            Self::NoRam => f.write_str("memory map has no RAM above 1 MiB"),
            Self::NoKernel => f.write_str("no boot module: the first must be Domain0's kernel"),
            Self::TooManyModules => write!(f, "more than {MAX_MODULES} boot modules"),
            Self::TextTooLong => write!(f, "command lines have more than {TEXT_LIMIT} bytes together"),
            Self::ModuleReversed(module) => write!(f, "{module} ends before it starts"),
            Self::ModuleUnaligned(module) => write!(f, "{module} does not start on a page boundary"),
            Self::ModuleOutsideRam(module) => write!(f, "{module} is not wholly in RAM"),
            Self::ModuleOverlapsImage(module) => write!(f, "{module} lies on the hypervisor's image"),
            Self::ModuleOverlapsInfo(module) => write!(f, "{module} lies on the boot information"),
            Self::ModulesOverlap(first, second) => write!(f, "{first} and {second} lie on each other"),
        }
    }
}

impl core::error::Error for BootError {}
