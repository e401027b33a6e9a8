//! Byte rings: the two streams of a [console](super::console) or [store](super::xenstore) page.
//!
//! Indices are free-running `u32` and the place is the index modulo the ring's size. Only indices are
//! touched here: [`readable`](ByteRing::readable) and [`writable`](ByteRing::writable) give the next
//! stretch of the buffer, the caller copies it, and [`consume`](ByteRing::consume) or
//! [`produce`](ByteRing::produce) moves the index. Each side does so with its own index alone. A stretch
//! ends where the buffer does, so one message may take two rounds.
//!
//! Source: Xen 4.x, `public/io/console.h`, `public/io/xs_wire.h`.

use core::ops::Range;
use core::sync::atomic::{AtomicU32, Ordering, fence};

/// One stream: its two indices in the shared page and its size.
#[derive(Clone, Copy, Debug)]
pub struct ByteRing<'a> {
    prod: &'a AtomicU32,
    cons: &'a AtomicU32,
    size: u32,
}

/// The other side's index makes no sense: the ring would hold more bytes than it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overrun {
    /// How many bytes it would hold.
    pub claimed: u32,
}

impl core::fmt::Display for Overrun {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "ring claims {} bytes", self.claimed)
    }
}

impl core::error::Error for Overrun {}

impl<'a> ByteRing<'a> {
    /// A stream of `size` bytes.
    ///
    /// # Panics
    /// `size` is not a power of two.
    #[must_use]
    pub const fn new(prod: &'a AtomicU32, cons: &'a AtomicU32, size: usize) -> Self {
        assert!(size.is_power_of_two() && size <= 1 << 31);
        Self {
            prod,
            cons,
            size: size as u32,
        }
    }

    /// How many bytes wait to be read.
    ///
    /// # Errors
    /// The indices make no sense.
    pub fn len(&self) -> Result<u32, Overrun> {
        let cons = self.cons.load(Ordering::Acquire);
        let claimed = self.prod.load(Ordering::Acquire).wrapping_sub(cons);
        if claimed > self.size {
            Err(Overrun { claimed })
        } else {
            Ok(claimed)
        }
    }

    /// Whether nothing waits to be read.
    ///
    /// # Errors
    /// The indices make no sense.
    pub fn is_empty(&self) -> Result<bool, Overrun> {
        self.len().map(|len| len == 0)
    }

    /// For the reader: where the next bytes are; empty if there are none.
    ///
    /// # Errors
    /// The indices make no sense.
    pub fn readable(&self) -> Result<Range<usize>, Overrun> {
        let len = self.len()?;
        Ok(self.stretch(self.cons.load(Ordering::Relaxed), len))
    }

    /// For the writer: where there is room; empty if there is none.
    ///
    /// # Errors
    /// The indices make no sense.
    pub fn writable(&self) -> Result<Range<usize>, Overrun> {
        let len = self.len()?;
        Ok(self.stretch(self.prod.load(Ordering::Relaxed), self.size - len))
    }

    /// For the reader: `count` bytes, at most as many as [`Self::readable`] gave, were copied out.
    pub fn consume(&self, count: usize) {
        // The copy is over before the writer may use the room.
        let cons = self.cons.load(Ordering::Relaxed);
        self.cons
            .store(cons.wrapping_add(count as u32), Ordering::Release);
        fence(Ordering::SeqCst);
    }

    /// For the writer: `count` bytes, at most as many as [`Self::writable`] gave, were copied in.
    pub fn produce(&self, count: usize) {
        // The bytes are there before the reader may look.
        let prod = self.prod.load(Ordering::Relaxed);
        self.prod
            .store(prod.wrapping_add(count as u32), Ordering::Release);
        fence(Ordering::SeqCst);
    }

    fn stretch(&self, index: u32, len: u32) -> Range<usize> {
        let start = index & (self.size - 1);
        start as usize..(start + len.min(self.size - start)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in_across_the_end() {
        let (prod, cons) = (AtomicU32::new(u32::MAX - 2), AtomicU32::new(u32::MAX - 2));
        let ring = ByteRing::new(&prod, &cons, 8);
        let mut buffer = [0u8; 8];
        let text = b"hello, ring of eight bytes";
        let (mut written, mut read) = (0, 0);
        while read < text.len() {
            let room = ring.writable().unwrap();
            let count = room.len().min(text.len() - written).min(5);
            buffer[room.start..room.start + count].copy_from_slice(&text[written..written + count]);
            ring.produce(count);
            written += count;

            let there = ring.readable().unwrap();
            let count = there.len().min(3);
            assert_eq!(
                &buffer[there.start..there.start + count],
                &text[read..read + count]
            );
            ring.consume(count);
            read += count;
        }
        assert_eq!(ring.is_empty(), Ok(true));
    }

    #[test]
    fn a_full_ring_has_no_room_and_an_empty_one_no_bytes() {
        let (prod, cons) = (AtomicU32::new(5), AtomicU32::new(5));
        let ring = ByteRing::new(&prod, &cons, 4);
        assert!(ring.readable().unwrap().is_empty());
        assert_eq!(ring.writable().unwrap(), 1..4);
        ring.produce(3);
        assert_eq!(ring.writable().unwrap(), 0..1);
        ring.produce(1);
        assert!(ring.writable().unwrap().is_empty());
        assert_eq!(ring.readable().unwrap(), 1..4);
    }

    #[test]
    fn indices_that_lie_are_refused() {
        let (prod, cons) = (AtomicU32::new(5), AtomicU32::new(0));
        let ring = ByteRing::new(&prod, &cons, 4);
        assert_eq!(ring.readable(), Err(Overrun { claimed: 5 }));
        cons.store(6, Ordering::Relaxed);
        assert_eq!(ring.writable(), Err(Overrun { claimed: u32::MAX }));
    }
}
