//! Machine memory: frames, their owners, counts and types; validated page tables.

use guest_abi::errno::Errno;

/// Why a frame or page-table operation is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MmError {
    /// Placeholder.
    Refused,
}

impl MmError {
    /// The error number that travels to the guest.
    #[must_use]
    pub fn errno(self) -> Errno {
        Errno::Inval
    }
}
