//! Refusals: what an operation found wrong, and the one map from that to the wire's error numbers.

use crate::{mm::MmError, platform::Fault};
use guest_abi::errno::Errno;

/// Why a hypercall is refused. The guest is to blame; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HvError {
    /// A guest pointer could not be followed.
    Fault,
    /// Not allowed to this caller.
    Denied,
    /// No such domain.
    NoSuchDomain,
    /// No such call or command.
    NotImplemented,
    /// An argument makes no sense.
    Invalid,
    /// Nothing left of a bounded resource.
    NoSpace,
    /// Out of memory.
    NoMemory,
    /// In use.
    Busy,
    /// No such device.
    NoDevice,
    /// The caller was built against another version of this interface.
    Version,
    /// More than one call takes.
    TooBig,
    /// Nothing there to be read.
    NoData,
    /// Page tables, frames and their types.
    Mm(MmError),
}

impl HvError {
    /// The error number that travels to the guest.
    #[must_use]
    pub fn errno(self) -> Errno {
        match self {
            Self::Fault => Errno::Fault,
            Self::Denied => Errno::Perm,
            Self::NoSuchDomain => Errno::Srch,
            Self::NotImplemented => Errno::NoSys,
            Self::Invalid => Errno::Inval,
            Self::NoSpace => Errno::NoSpc,
            Self::NoMemory => Errno::NoMem,
            Self::Busy => Errno::Busy,
            Self::NoDevice => Errno::NoDev,
            Self::Version => Errno::Access,
            Self::TooBig => Errno::TooBig,
            Self::NoData => Errno::NoData,
            Self::Mm(e) => e.errno(),
        }
    }
}

impl From<Fault> for HvError {
    fn from(_: Fault) -> Self {
        Self::Fault
    }
}

impl From<MmError> for HvError {
    fn from(e: MmError) -> Self {
        Self::Mm(e)
    }
}
