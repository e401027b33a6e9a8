//! Grants: how a domain lets another use its frames, revocably and frame by frame.
//!
//! The *granter* has a table of 8-byte entries in frames that it maps and writes ([`entry`]); an entry says who may
//! use which frame, and how. The *grantee* names granter and reference, and may map the frame, copy from and to it, or give
//! the granter a frame of its own through it. What is in use is kept where no guest can reach it:
//!
//! ```text
//!  granter                                        grantee
//!  shared entry   flags, domid, frame      ┌───── handle: granter, reference, uses, place ──► L1 entry with
//!       ▲                                  │                                                  the mark GRANTED
//!       │ READING, WRITING                 ▼                                                       │
//!  active word    frame, how often mapped by whom for what ── holds the frame ──► frame ◄── holds it, too
//! ```
//!
//! 1. While the [`active`] word of a grant counts any use it holds one reference to the frame; while it counts a writable
//!    one, a writable use of the frame besides. The counts are those of the handles that name the grant.
//! 2. Each L1 entry with the mark lies at the place of a handle of its domain that maps the same frame. A guest may drop
//!    the entry by itself; the handle then says nothing any more but that the grant is in use, until it is unmapped.
//! 3. READING and WRITING are set while the word counts uses, and cleared with the last; what else a guest writes into its
//!    table decides about later uses only.
//!
//! Each operation first takes all that it needs and may be refused, then tells the guest its answer, and then does
//! what cannot be refused. So neither a refusal nor an answer that cannot be written leaves anything behind.
//!
//! | module | what |
//! |---|---|
//! | [`entry`] | the protocol of the shared entry |
//! | [`active`] | the word that counts uses |
//! | [`books`] | a domain's frames of these tables, grown on demand |
//! | [`handles`] | the mappings of a grantee |
//! | [`map`], [`copy`], [`transfer`] | the operations |
//! | [`end`] | what a domain leaves behind |
//!
//! Source: Xen 4.x, `public/grant_table.h`, version 1 of the table.

pub mod active;
pub mod books;
pub mod copy;
pub mod end;
pub mod entry;
pub mod handles;
pub mod map;
#[cfg(test)]
mod tests;
pub mod transfer;

pub use self::books::{Grants, MAX_TABLE_FRAMES};
use crate::{
    domain::DomId,
    hypervisor::Hypervisor,
    mm::{MmError, Preempted, Stop},
    platform::Fault,
};

/// Why an operation on a grant is refused. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such domain, or one that dies.
    NoSuchDomain,
    /// The reference is beyond the table, or nothing was asked for.
    NoSuchReference,
    /// The entry does not grant that, or not to this domain, or names another frame than the one in use.
    NotGranted,
    /// The granter changed the entry again and again while it was judged.
    Unstable,
    /// A count is at its limit.
    TooManyUses,
    /// Bits that mean nothing.
    BadFlags,
    /// No mapping has this handle.
    NoSuchHandle,
    /// No entry of a page table is there, or not the one that was mapped.
    BadAddress,
    /// Not the address of the frame.
    BadDeviceAddress,
    /// No more handles.
    NoHandles,
    /// Not allowed.
    Denied,
    /// The frame cannot be used like that.
    BadFrame(MmError),
    /// Offset and length leave the page.
    BadRange,
    /// A table cannot have so many frames.
    TooManyFrames,
    /// No memory for the tables, or more of it than the domain may have.
    NoMemory,
}

/// Why an operation did not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// Work waits: the same operation, asked again, goes on.
    Preempted,
    /// It is refused.
    Refused(Refusal),
    /// The guest's memory for the answer cannot be written; nothing has changed.
    Unanswered,
}

impl From<Refusal> for Halt {
    fn from(why: Refusal) -> Self {
        Self::Refused(why)
    }
}

impl From<Preempted> for Halt {
    fn from(_: Preempted) -> Self {
        Self::Preempted
    }
}

impl From<Fault> for Halt {
    fn from(_: Fault) -> Self {
        Self::Unanswered
    }
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Preempted => Self::Preempted,
            Stop::Refused(MmError::NoFrames | MmError::OverQuota) => Refusal::NoMemory.into(),
            Stop::Refused(why) => Refusal::BadFrame(why).into(),
        }
    }
}

/// The slot of a domain that takes part in grants: the caller, or another one that does not die.
#[inline(always)]
fn partner(hv: &Hypervisor, id: DomId) -> Result<usize, Refusal> {
    let running = hv.running();
    if running.id == id {
        return Ok(hv.current);
    }
    hv.slot_of(id).ok_or(Refusal::NoSuchDomain)
}
