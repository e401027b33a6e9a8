//! What an audit finds.

use crate::{domain::DomId, mm::Kind};
use guest_abi::addr::Mfn;

/// One thing that is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The reference count is not the number of references.
    References {
        /// The frame.
        mfn: Mfn,
        /// The frame table's count.
        kept: u32,
        /// Found.
        found: u32,
    },
    /// The count of typed uses is not their number.
    Uses {
        /// The frame.
        mfn: Mfn,
        /// The frame table's count.
        kept: u32,
        /// Found.
        found: u32,
    },
    /// Something uses the frame as another kind than it is.
    WrongKind {
        /// The frame.
        mfn: Mfn,
        /// What it is.
        is: Kind,
        /// What it is used as.
        used_as: Kind,
    },
    /// A valid table holds an entry that none may hold.
    BadEntry {
        /// The table.
        table: Mfn,
        /// Index of the entry.
        index: u16,
    },
    /// Something refers to a free frame, or to one that does not exist.
    Dangling {
        /// Number of the frame.
        frame: u64,
    },
    /// A table in use is not valid, or a pinned frame is no table.
    Invalid(Mfn),
    /// A domain does not own as many frames as it is charged for.
    Charged {
        /// The domain.
        domain: DomId,
        /// What it is charged for.
        kept: u32,
        /// Found.
        found: u32,
    },
    /// Nobody would find the frame: its owner does not exist, or does not look so far.
    Astray {
        /// The frame.
        mfn: Mfn,
        /// Whose it is.
        owner: DomId,
    },
    /// What is in use of a grant is not what handles say.
    Grant {
        /// The granter.
        domain: DomId,
        /// Its reference.
        reference: u32,
    },
    /// Handles of mappings are lost, or name nothing.
    Handles {
        /// Whose.
        domain: DomId,
        /// How many it believes to have in use.
        kept: u32,
        /// Found.
        found: u32,
    },
    /// The free lists are broken, or do not hold as many frames as the allocator believes.
    FreeList {
        /// What the allocator believes.
        kept: u32,
        /// Found.
        found: u32,
    },
}
