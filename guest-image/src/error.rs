//! Why a kernel image is refused: one variant per reason, one line each.

use core::fmt;
use guest_abi::addr::HV_START;
use guest_abi::elfnote::{ABI_VERSION, NoteType};

/// A kernel image that cannot be a guest of this interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageError {
    /// Shorter than an ELF header.
    TooShort {
        /// Bytes in the file.
        len: usize,
    },
    /// The file begins as a compressed stream.
    Compressed {
        /// The format, as its tool is called.
        format: &'static str,
    },
    /// The magic number is not ELF's.
    NotElf,
    /// An ELF file, but not of the 32-bit class.
    Not32Bit,
    /// Not little-endian code for the i386.
    NotI386 {
        /// `e_machine` as found.
        machine: u16,
    },
    /// Not an executable linked for a fixed address.
    NotExecutable {
        /// `e_type` as found.
        kind: u16,
    },
    /// A header table lies outside the file, or its entries have a wrong size.
    BadHeaders,
    /// No segment to load.
    NothingToLoad,
    /// More segments to load than the loader keeps.
    TooManySegments {
        /// The limit.
        limit: usize,
    },
    /// A segment's bytes lie outside the file.
    SegmentOutsideFile {
        /// Program header index.
        index: usize,
    },
    /// A segment has more bytes in the file than in memory.
    SegmentShrinks {
        /// Program header index.
        index: usize,
    },
    /// A segment wraps around or reaches into the hypervisor's addresses.
    SegmentOutsideGuest {
        /// Program header index.
        index: usize,
        /// Its first address.
        start: u32,
        /// Its size in memory.
        size: u32,
    },
    /// Two segments want the same addresses.
    SegmentsOverlap {
        /// Program header index of one.
        first: usize,
        /// Program header index of the other.
        second: usize,
    },
    /// The entry point is in no executable segment.
    EntryOutsideImage {
        /// The entry point.
        entry: u32,
    },
    /// A xenlite note whose contents are not what its kind holds (one 32-bit word; for the name, text).
    BadNote {
        /// Note type.
        kind: u32,
    },
    /// A xenlite note of one kind twice.
    RepeatedNote {
        /// Note type.
        kind: u32,
    },
    /// A Xen 2.0 kernel with two-level page tables.
    Xen20,
    /// A kernel for another version of Xen's interface.
    OtherXen,
    /// No note says which interface the kernel was made for.
    NoAbiNote,
    /// Made for a version of the interface that does not exist here.
    UnknownAbi {
        /// The version the image asks for.
        version: u32,
    },
    /// The flags note has bits that this interface does not define.
    UnknownFlags {
        /// Those bits.
        bits: u32,
    },
    /// The virtual address of frame 0 is not page-aligned.
    UnalignedBase {
        /// That address.
        base: u32,
    },
    /// The virtual address of frame 0 lies above the first segment.
    BaseAboveImage {
        /// That address.
        base: u32,
        /// The lowest address of a segment.
        lowest: u32,
    },
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use ImageError as E;
        match *self {
            E::TooShort { len } => write!(f, "kernel image is too short to be an ELF file ({len} bytes)"),
            E::Compressed { format } => {
                write!(f, "kernel image is compressed with {format}: decompress it first")
            }
            E::NotElf => f.write_str("kernel image is not an ELF file"),
            E::Not32Bit => f.write_str("kernel image is not a 32-bit ELF file: this guest interface is 32-bit"),
            E::NotI386 { machine } => {
                write!(f, "kernel image is for another processor (ELF machine {machine}; i386 is 3)")
            }
            E::NotExecutable { kind } => {
                write!(f, "kernel image is not linked as a fixed-address executable (ELF type {kind}; wanted 2)")
            }
            E::BadHeaders => {
                f.write_str("kernel image has a header table outside the file or with a wrong entry size")
            }
            E::NothingToLoad => f.write_str("kernel image has no segment to load"),
            E::TooManySegments { limit } => write!(f, "kernel image has more than {limit} segments to load"),
            E::SegmentOutsideFile { index } => {
                write!(f, "kernel image is truncated: the bytes of segment {index} lie outside the file")
            }
            E::SegmentShrinks { index } => {
                write!(f, "kernel image: segment {index} is larger in the file than in memory")
            }
            E::SegmentOutsideGuest { index, start, size } => write!(
                f,
                "kernel image: segment {index} ({size:#x} bytes at {start:#010x}) does not end below {HV_START:#010x}"
            ),
            E::SegmentsOverlap { first, second } => {
                write!(f, "kernel image: segments {first} and {second} overlap in memory")
            }
            E::EntryOutsideImage { entry } => {
                write!(f, "kernel image: entry point {entry:#010x} is in no executable segment")
            }
            E::BadNote { kind } => {
                write!(f, "kernel image: xenlite note {} does not hold what it should", NoteType::new(kind))
            }
            E::RepeatedNote { kind } => {
                write!(f, "kernel image has xenlite note {} more than once", NoteType::new(kind))
            }
            E::Xen20 => f.write_str(
                "kernel image is for Xen 2.0 (XEN_VER=2.0): it builds two-level page tables, \
                 guests here use three levels (PAE)",
            ),
            E::OtherXen => f.write_str(
                "kernel image is for a later Xen interface (Xen notes or __xen_guest), which is not provided here",
            ),
            E::NoAbiNote => f.write_str("kernel image carries no xenlite note: it is not a kernel for this interface"),
            E::UnknownAbi { version } => {
                write!(f, "kernel image wants version {version:#x} of the guest interface; this is {ABI_VERSION:#x}")
            }
            E::UnknownFlags { bits } => {
                write!(f, "kernel image asks for features {bits:#x}, which do not exist here")
            }
            E::UnalignedBase { base } => {
                write!(f, "kernel image: virtual base {base:#010x} is not at the start of a page")
            }
            E::BaseAboveImage { base, lowest } => write!(
                f,
                "kernel image: virtual base {base:#010x} is above its lowest load address {lowest:#010x}"
            ),
        }
    }
}

impl core::error::Error for ImageError {}
