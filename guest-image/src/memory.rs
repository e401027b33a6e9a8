//! The memory of a domain under construction, addressed by its own frame numbers.

use crate::builder::BuildError;
use guest_abi::addr::{Mfn, PAGE_SIZE, Pfn};

/// How the builder reaches the frames of the domain.
///
/// The hypervisor implements it over its direct map, Domain 0's builder over foreign mappings, the tests over a
/// vector. The builder names only frames below the `nr_pages` of its request, and never crosses a page in one
/// call. What it does not write keeps the content that the frame had, so frames must hold nothing secret.
pub trait BuildMemory {
    /// Why a frame could not be reached.
    type Error;

    /// The machine frame behind `pfn`, or `None` where the domain has no such frame.
    fn mfn_of(&self, pfn: Pfn) -> Option<Mfn>;

    /// Copies `bytes` to `offset` in the frame; `offset + bytes.len()` is at most a page.
    ///
    /// # Errors
    /// Where the frame cannot be written.
    fn write(&mut self, pfn: Pfn, offset: usize, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Zeroes `len` bytes from `offset` in the frame; `offset + len` is at most a page.
    ///
    /// # Errors
    /// Where the frame cannot be written.
    fn zero(&mut self, pfn: Pfn, offset: usize, len: usize) -> Result<(), Self::Error>;
}

const PAGE: u64 = PAGE_SIZE as u64;

/// Copies `bytes` to byte `at` of the domain's pseudo-physical memory, page by page.
pub(crate) fn write_at<M: BuildMemory>(
    mem: &mut M,
    at: u64,
    bytes: &[u8],
) -> Result<(), BuildError<M::Error>> {
    let (mut at, mut rest) = (at, bytes);
    while !rest.is_empty() {
        let offset = (at % PAGE) as usize;
        let (now, later) = rest.split_at(rest.len().min(PAGE_SIZE - offset));
        mem.write(pfn_of(at), offset, now).map_err(BuildError::Memory)?;
        at += now.len() as u64;
        rest = later;
    }
    Ok(())
}

/// Zeroes bytes `from` up to `to` of the domain's pseudo-physical memory, page by page.
pub(crate) fn zero_range<M: BuildMemory>(
    mem: &mut M,
    from: u64,
    to: u64,
) -> Result<(), BuildError<M::Error>> {
    let mut at = from;
    while at < to {
        let offset = (at % PAGE) as usize;
        let len = (PAGE - at % PAGE).min(to - at);
        mem.zero(pfn_of(at), offset, len as usize)
            .map_err(BuildError::Memory)?;
        at += len;
    }
    Ok(())
}

/// The frame of byte `at`; offsets stay below `nr_pages` pages, whose number has 32 bits.
fn pfn_of(at: u64) -> Pfn {
    Pfn::new((at / PAGE) as u32)
}

/// Bytes that [`WordWriter`] collects: divides a page, small on a hypervisor's stack.
const BATCH: usize = 512;

/// Writes a table of words from the start of a frame, in batches.
pub(crate) struct WordWriter<'m, M> {
    mem: &'m mut M,
    at: u64,
    batch: [u8; BATCH],
    filled: usize,
}

impl<'m, M: BuildMemory> WordWriter<'m, M> {
    /// A table that begins with frame `first`.
    pub fn new(mem: &'m mut M, first: Pfn) -> Self {
        Self {
            mem,
            at: u64::from(first.raw()) * PAGE,
            batch: [0; BATCH],
            filled: 0,
        }
    }

    /// The machine frame behind `pfn`.
    pub fn mfn_of(&self, pfn: Pfn) -> Result<Mfn, BuildError<M::Error>> {
        self.mem.mfn_of(pfn).ok_or(BuildError::NoFrame(pfn))
    }

    /// Appends a word of `N` bytes, little-endian; all words of a table have one size, a power of two.
    pub fn push<const N: usize>(&mut self, word: [u8; N]) -> Result<(), BuildError<M::Error>> {
        self.batch[self.filled..self.filled + N].copy_from_slice(&word);
        self.filled += N;
        if self.filled == BATCH {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Writes what is left, and zeroes from there to the end of the page.
    pub fn finish(mut self) -> Result<(), BuildError<M::Error>> {
        self.flush()?;
        zero_range(self.mem, self.at, self.at.next_multiple_of(PAGE))
    }

    fn flush(&mut self) -> Result<(), BuildError<M::Error>> {
        write_at(self.mem, self.at, &self.batch[..self.filled])?;
        self.at += self.filled as u64;
        self.filled = 0;
        Ok(())
    }
}
