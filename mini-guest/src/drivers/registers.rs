//! Registers in memory: 32-bit words, each access one to the device.

use core::ptr::NonNull;

/// A range of registers, mapped for good.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    base: NonNull<u8>,
    len: usize,
}

impl Registers {
    /// `len` bytes of registers, mapped at `base` by [`io_memory::map`](super::io_memory::map).
    #[must_use]
    pub fn new(base: NonNull<u8>, len: usize) -> Self {
        Self { base, len }
    }

    /// A part of them.
    ///
    /// # Panics
    /// Beyond their end.
    #[must_use]
    pub fn part(&self, offset: usize, len: usize) -> Self {
        assert!(offset + len <= self.len);
        Self {
            // SAFETY: inside the range.
            base: unsafe { self.base.add(offset) },
            len,
        }
    }

    fn word(&self, offset: usize) -> NonNull<u32> {
        assert!(offset.is_multiple_of(4) && offset + 4 <= self.len);
        // SAFETY: inside the range.
        unsafe { self.base.add(offset) }.cast()
    }

    /// Reads the register at byte `offset`.
    #[must_use]
    pub fn get(&self, offset: usize) -> u32 {
        // SAFETY: mapped for good, aligned; no Rust object lies there.
        unsafe { self.word(offset).read_volatile() }
    }

    /// Writes it.
    pub fn set(&self, offset: usize, value: u32) {
        // SAFETY: as above.
        unsafe { self.word(offset).write_volatile(value) }
    }
}
