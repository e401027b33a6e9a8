//! What was wrong with the boot information but could be left out.

use crate::range::PhysRange;
use core::fmt;

/// Something that was ignored or cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootWarning {
    /// An entry of the memory map wraps or lies beyond what a processor can address: cut there.
    EntryCut {
        /// Its first address.
        start: u64,
        /// Its length as given.
        len: u64,
    },
    /// No memory map; RAM was taken from the two sizes that old loaders give.
    SizesOnly,
    /// RAM beyond what guests can be given is not used.
    RamBeyondLimit {
        /// How much.
        bytes: u64,
    },
    /// A structure that occurs once was given several times; the first counts.
    Repeated {
        /// Which one.
        what: &'static str,
    },
    /// The framebuffer's description makes no sense or is of a kind that is not supported.
    FramebufferIgnored {
        /// Why.
        why: &'static str,
    },
    /// The framebuffer is said to lie in RAM.
    FramebufferInRam(PhysRange),
    /// The ACPI root pointer's signature or checksum is wrong.
    RsdpIgnored,
}

impl fmt::Display for BootWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EntryCut { start, len } => {
                write!(
                    f,
                    "memory map entry of {len:#x} bytes at {start:#x} leaves the address space: cut"
                )
            }
            Self::SizesOnly => f.write_str("boot loader gave no memory map, only the amount of memory"),
            Self::RamBeyondLimit { bytes } => {
                write!(f, "{} MiB of RAM above 64 GiB are not used", bytes >> 20)
            }
            Self::Repeated { what } => write!(f, "boot information has several {what}: the first is used"),
            Self::FramebufferIgnored { why } => write!(f, "framebuffer ignored: {why}"),
            Self::FramebufferInRam(range) => write!(f, "framebuffer ignored: {range} is RAM"),
            Self::RsdpIgnored => f.write_str("ACPI root pointer ignored: bad signature or checksum"),
        }
    }
}
