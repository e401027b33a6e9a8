//! The generic block layer: what a disk is, whoever drives it, and who uses it.
//!
//! A [`Device`] is asynchronous. [`Device::submit`] begins a request and comes back at once; when the disk has done it the
//! driver, in the interrupt's event, puts a [`Completion`] into the queue of the [`Client`] that the request names. Several
//! clients (the kernel's cache, the backends of other domains) share a disk without knowing of each other.
//!
//! | module | one line |
//! |---|---|
//! | [`request`] | requests, their pieces of memory, how they end |
//! | [`client`] | who submits requests, and the queue of what came of them |
//! | [`check`] | what every device refuses |
//! | [`ram`] | a disk that is memory |
//! | [`fair`] | shares of a disk that several use |
//! | [`partition`], [`table`] | parts of a disk, and where they are written down |
//! | [`extents`] | pieces of a disk as one: a file of a file system on it |
//! | [`cache`] | pages of a disk, and operations on them as a whole |
//! | [`load`] | requests that only measure what a device costs |
//! | [`registry`] | the disks by name |
//! | [`exports`] | which of them other domains use |
//!
//! Numbers of sectors are in units of [`SECTOR`] bytes everywhere, whatever the medium has.
//!
//! # Order
//! Requests that are under way at the same time may be done in any order. A flush concerns the writes that were complete
//! when it was submitted. Who wants an order waits for completions.
//!
//! # What a device holds
//! From `submit` until the completion the pieces of memory belong to the device: it may be writing there. A client that is
//! dropped earlier loses the completions, not the memory ([`Client::in_flight`] tells when that is free).

pub mod cache;
pub mod check;
pub mod client;
pub mod exports;
pub mod extents;
#[cfg(test)]
mod extents_tests;
pub mod fair;
pub mod load;
pub mod partition;
pub mod ram;
pub mod registry;
pub mod request;
pub mod table;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
pub mod testing;

use alloc::boxed::Box;

pub use client::{Client, Completion};
pub use registry::{Disks, Volume};
pub use request::{BlockError, Op, Request, Segment};

/// Bytes of a sector in every number of this layer.
pub const SECTOR: usize = 512;

/// What a disk is like. It does not change while the disk is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Sectors of [`SECTOR`] bytes.
    pub sectors: u64,
    /// Sectors per block of the medium: requests begin and end at multiples of it. 1 nearly always.
    pub block_sectors: u32,
    /// Writes are refused.
    pub is_read_only: bool,
    /// Writes may stay in a volatile cache until a flush. (Devices without one take flushes all the same.)
    pub has_cache: bool,
    /// Most pieces of a request.
    pub max_segments: usize,
    /// The processor copies the bytes of requests: no device reaches memory by itself.
    pub is_copying: bool,
    /// Most requests under way; more are refused with [`BlockError::Busy`].
    pub depth: usize,
}

/// A request that was not begun, and why.
#[derive(Debug)]
pub struct Refused {
    /// The request, unchanged.
    pub request: Box<Request>,
    /// [`BlockError::Busy`]: try again after a completion of this device. Anything else is final.
    pub error: BlockError,
}

/// A disk, or a part of one.
pub trait Device {
    /// What it is like.
    fn info(&self) -> Info;

    /// Begins `request`. Its completion goes to its client's queue, perhaps before this comes back.
    ///
    /// # Errors
    /// What [`check::request`] refuses; [`BlockError::Busy`]; [`BlockError::Gone`].
    fn submit(&self, request: Box<Request>) -> Result<(), Refused>;

    /// Goes on with what there was no room for, and completes what consists of several requests for another device. Who submits requests calls this before it looks
    /// at completions.
    fn go_on(&self) {}

    /// Whether it was taken away for good: every request fails.
    fn is_gone(&self) -> bool {
        false
    }

    /// The seat that its requests go through, where the disk is shared fairly.
    fn seat(&self) -> Option<&fair::Seat> {
        None
    }
}
