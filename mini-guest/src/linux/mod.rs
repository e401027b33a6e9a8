//! The Linux i386 interface that programs see: numbers and structures, no behaviour.
//!
//! `docs/syscalls.md` is the contract; this is its vocabulary.

pub mod errno;
pub mod file;
pub mod process;
pub mod signal;
pub mod socket;
pub mod terminal;
pub mod time;

pub use errno::Errno;

/// A structure as bytes, built field by field in order: how results are laid out for a program.
#[derive(Clone, Copy, Debug)]
pub struct Packed<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Default for Packed<N> {
    fn default() -> Self {
        Self { bytes: [0; N], at: 0 }
    }
}

impl<const N: usize> Packed<N> {
    /// All zero, the next field at offset 0.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes to offset `at`, for the next field.
    #[must_use]
    pub fn at(mut self, at: usize) -> Self {
        self.at = at;
        self
    }

    /// Writes raw bytes.
    ///
    /// # Panics
    /// Where they do not fit.
    #[must_use]
    pub fn bytes(mut self, field: &[u8]) -> Self {
        self.bytes[self.at..self.at + field.len()].copy_from_slice(field);
        self.at += field.len();
        self
    }

    /// Writes a 16-bit field.
    #[must_use]
    pub fn u16(self, field: u16) -> Self {
        self.bytes(&field.to_le_bytes())
    }

    /// Writes a 32-bit field.
    #[must_use]
    pub fn u32(self, field: u32) -> Self {
        self.bytes(&field.to_le_bytes())
    }

    /// Writes a 64-bit field.
    #[must_use]
    pub fn u64(self, field: u64) -> Self {
        self.bytes(&field.to_le_bytes())
    }

    /// The structure.
    #[must_use]
    pub fn finish(self) -> [u8; N] {
        self.bytes
    }
}

/// The little-endian 32-bit word at byte `at` of `bytes`, 0 where they end before.
#[must_use]
pub fn word(bytes: &[u8], at: usize) -> u32 {
    match bytes.get(at..).and_then(<[u8]>::first_chunk::<4>) {
        Some(word) => u32::from_le_bytes(*word),
        None => 0,
    }
}
