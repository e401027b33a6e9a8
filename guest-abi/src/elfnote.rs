//! The ELF notes by which a guest kernel's image says what it is.
//!
//! Notes of owner [`OWNER`] in a `PT_NOTE` segment (or a section of type `SHT_NOTE`). The first kind is what
//! makes an image one of ours; the others are optional. Each kind at most once; unknown kinds are ignored.
//! Numbers are 4 bytes, little-endian.

use crate::version::INTERFACE_VERSION;

/// The notes' owner, without the NUL that ends it in the file.
pub const OWNER: &str = "xenlite";

open_number! {
    /// The kind of a note.
    NoteType: u32 {
        /// The interface that the kernel was written for: a `u32`, [`ABI_VERSION`].
        ABI_VERSION = 1, "abi_version";
        /// Linear address of pseudo-physical frame 0: a `u32`, page-aligned. Default: the lowest load
        /// address.
        VIRT_BASE = 2, "virt_base";
        /// Linear address of the first instruction: a `u32`. Default: the ELF header's entry.
        ENTRY = 3, "entry";
        /// What the builder should switch on: a `u32` of [`ImageFlags`].
        FLAGS = 4, "flags";
        /// The kernel's name and version for reports: text without a NUL.
        KERNEL_NAME = 5, "kernel_name";
    }
}

/// What [`NoteType::ABI_VERSION`] holds in an image for this interface: major version in bits 31:16. Another
/// major version is refused; a higher minor version asks for something this hypervisor does not have and is
/// refused too.
pub const ABI_VERSION: u32 = INTERFACE_VERSION;

/// What [`NoteType::FLAGS`] holds. Unknown bits are refused: the kernel asks for something it will not get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ImageFlags(u32);

bitflags::bitflags! {
    impl ImageFlags: u32 {
        /// Enable the writable-page-table assist before the kernel starts (Xen 2.0: `PT_MODE_WRITABLE`).
        const WRITABLE_PAGE_TABLES = 1 << 0;
        /// The kernel needs no padding behind its start region: in a domain whose memory ends before the padding would, the
        /// region ends there too. Other kernels are refused so little memory.
        const UNPADDED = 1 << 1;
    }
}
