//! Why an operation on frames and page tables is refused or pauses.

use super::frame::Kind;
use guest_abi::{addr::Mfn, errno::Errno};

/// Why a frame or page-table operation is refused. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MmError {
    /// No frame of RAM has this number.
    NoSuchFrame,
    /// The frame is free, the hypervisor's, or another domain's.
    NotOwned(Mfn),
    /// The frame is in use as something else, or cannot be used like that at all.
    TypeConflict {
        /// The frame.
        mfn: Mfn,
        /// What it is.
        have: Kind,
        /// What it would have had to become.
        want: Kind,
    },
    /// A count of the frame is at its limit.
    CountLimit(Mfn),
    /// A present entry has bits that its level does not admit.
    ForbiddenBits {
        /// Level of the table, 1 to 3.
        level: u8,
    },
    /// A non-present entry names a frame of RAM, on which a processor may speculate.
    LeakyNonPresent {
        /// Level of the table, 1 to 3.
        level: u8,
    },
    /// The slot belongs to the hypervisor or may not change.
    ReservedSlot {
        /// Level of the table, 2 or 3.
        level: u8,
        /// The slot.
        slot: u16,
    },
    /// Slot 3 of an L3 must be present.
    NoTopDirectory,
    /// An L2 named as if it were an L1, beyond what the rule for linear maps admits.
    LinearMap(Mfn),
    /// I/O memory, and no right to it.
    IoDenied,
    /// The entry changed while it was judged.
    Raced,
    /// The frame is pinned already.
    AlreadyPinned(Mfn),
    /// The frame is not pinned.
    NotPinned(Mfn),
    /// Tables of this kind cannot be pinned.
    NotPinnable(Kind),
    /// Something besides its allocation still refers to the frame.
    InUse(Mfn),
    /// A descriptor in the page is not safe.
    BadDescriptor(Mfn),
    /// An LDT that does not begin a page, is too long, or reaches too far.
    BadLdt,
    /// A request that is not well-formed.
    BadRequest,
    /// Only for domains with a privilege that the caller lacks.
    Denied,
    /// No grant of the receiver's invites the page.
    NotInvited,
    /// No page table maps the address.
    NotMapped,
    /// The domain may not own that many frames.
    OverQuota,
    /// No domain has this number, or it takes no frames.
    NoSuchDomain,
    /// No free block is large enough.
    NoFrames,
}

const _: () = assert!(size_of::<MmError>() == 8, "errors travel in a register");

impl MmError {
    /// The error number that travels to the guest.
    #[must_use]
    pub const fn errno(self) -> Errno {
        match self {
            Self::NoFrames => Errno::NoMem,
            _ => Errno::Inval,
        }
    }
}

/// Work waits for the hypervisor: the operation stopped where it can be continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preempted;

/// Why an operation that may take long did not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// See [`Preempted`]: the same operation, asked again, goes on.
    Preempted,
    /// It is refused.
    Refused(MmError),
}

impl From<MmError> for Stop {
    fn from(e: MmError) -> Self {
        Self::Refused(e)
    }
}

impl From<Preempted> for Stop {
    fn from(_: Preempted) -> Self {
        Self::Preempted
    }
}
