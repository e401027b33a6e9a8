//! Requests, and the pieces of memory that they are about.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::fmt;
use core::ptr::{self, NonNull};

use super::fair::Charge;
use super::{Client, SECTOR};

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// From the disk to memory.
    Read,
    /// From memory to the disk.
    Write,
    /// Everything whose completion was seen reaches the medium. No pieces, sector 0.
    Flush,
}

/// Why a request was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockError {
    /// The disk says so.
    Io,
    /// It reaches beyond the disk's end.
    OutOfRange,
    /// The disk cannot be written.
    ReadOnly,
    /// Pieces that are empty, too many, not of whole sectors, or of more than a page.
    Malformed,
    /// As much as the device takes is under way.
    Busy,
    /// The device was taken away, or does not answer any more.
    Gone,
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Io => "the disk reports an error",
            Self::OutOfRange => "beyond the end of the disk",
            Self::ReadOnly => "the disk is read-only",
            Self::Malformed => "malformed request",
            Self::Busy => "too many requests under way",
            Self::Gone => "the disk is gone",
        })
    }
}

/// A piece of memory inside one page: its machine address, for devices that reach memory themselves, and where the kernel
/// has it mapped, for those that cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    address: u64,
    len: u32,
    mapped: NonNull<u8>,
}

impl Segment {
    /// A piece of `len` bytes at machine address `address`, mapped at `mapped`.
    ///
    /// # Safety
    /// From the submission of a request with this piece until its completion the machine frame stays the caller's (or
    /// granted to it), `mapped` stays a mapping of it, writable unless the request is a write, and no Rust reference
    /// leads into it.
    #[must_use]
    pub const unsafe fn new(address: u64, len: u32, mapped: NonNull<u8>) -> Self {
        Self { address, len, mapped }
    }

    /// Its machine address.
    #[must_use]
    pub const fn address(&self) -> u64 {
        self.address
    }

    /// Its length in bytes.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether it has no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// `len` bytes of it from byte `offset` on.
    ///
    /// # Panics
    /// Beyond its end.
    #[must_use]
    pub fn part(&self, offset: u32, len: u32) -> Self {
        assert!(offset.checked_add(len).is_some_and(|end| end <= self.len));
        Self {
            address: self.address + u64::from(offset),
            len,
            // SAFETY: inside the piece.
            mapped: unsafe { self.mapped.add(offset as usize) },
        }
    }

    /// Where it is mapped.
    #[must_use]
    pub const fn pointer(&self) -> NonNull<u8> {
        self.mapped
    }

    /// Copies the piece's bytes out.
    ///
    /// # Panics
    /// Where the length is not the piece's.
    pub fn read(&self, into: &mut [u8]) {
        assert_eq!(into.len(), self.len as usize);
        // SAFETY: the promise of `new`: the piece is mapped and nobody has a reference into it.
        unsafe { ptr::copy_nonoverlapping(self.mapped.as_ptr(), into.as_mut_ptr(), into.len()) }
    }

    /// Copies bytes into the piece.
    ///
    /// # Panics
    /// Where the length is not the piece's.
    pub fn write(&self, bytes: &[u8]) {
        assert_eq!(bytes.len(), self.len as usize);
        // SAFETY: as above, and writable.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.mapped.as_ptr(), bytes.len()) }
    }
}

/// One request. Whoever holds it last drops it when it is complete: with that goes its part of what the disk has under way.
#[derive(Debug)]
pub struct Request {
    /// What to do.
    pub op: Op,
    /// First sector.
    pub sector: u64,
    /// The memory, consecutive on the disk.
    pub segments: Vec<Segment>,
    /// How many sectors that is.
    sectors: u64,
    /// The client's own number, which comes back in the completion.
    pub id: u64,
    /// Who is told.
    pub client: Rc<Client>,
    /// What it takes of a shared disk, from when the disk has it.
    pub(super) charge: Option<Charge>,
}

impl Request {
    /// A request of `client`, which calls it `id`.
    #[must_use]
    pub fn new(op: Op, sector: u64, segments: Vec<Segment>, id: u64, client: Rc<Client>) -> Box<Self> {
        let bytes: u64 = segments.iter().map(|segment| u64::from(segment.len)).sum();
        Box::new(Self {
            op,
            sector,
            sectors: bytes / SECTOR as u64,
            segments,
            id,
            client,
            charge: None,
        })
    }

    /// How many sectors it is about.
    #[must_use]
    pub const fn sectors(&self) -> u64 {
        self.sectors
    }

    /// Tells the client what came of it. Drivers call this exactly once for each request that they took.
    pub fn complete(&self, result: Result<(), BlockError>) {
        self.client.complete(self.id, result);
    }
}
