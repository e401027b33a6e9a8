//! What the driver needs of the machine: registers, and pages that the card reaches.

use crate::linux::Errno;

/// A page that the card and its driver share. Offsets beyond its end are errors of the driver.
pub trait Page {
    /// Machine address of byte `offset`.
    fn address(&self, offset: usize) -> u64;
    /// Copies bytes out of it.
    fn read(&self, offset: usize, into: &mut [u8]);
    /// Copies bytes into it.
    fn write(&self, offset: usize, from: &[u8]);
    /// Reads a word that the card may be writing.
    fn word(&self, offset: usize) -> u32;
    /// Writes a word that the card may be reading, after everything that was written before.
    fn set_word(&self, offset: usize, value: u32);
}

/// The card, as the machine shows it.
pub trait Hardware {
    /// Memory for the card.
    type Page: Page;

    /// Takes a page, zeroed.
    ///
    /// # Errors
    /// ENOMEM.
    fn page(&self) -> Result<Self::Page, Errno>;
    /// Reads the register at byte `register`.
    fn get(&self, register: usize) -> u32;
    /// Writes it, after everything that was written before.
    fn set(&self, register: usize, value: u32);
}
