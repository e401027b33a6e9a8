//! A ring of descriptors and its buffers, two to a page.
//!
//! The card has the descriptors from its head up to, not with, the tail. A ring whose head and tail are equal is empty for the card, so one
//! descriptor is always the driver's. What the card writes back may be anything: it is looked at as numbers alone, and every
//! descriptor is written anew, its address too, before the card gets it again.
//!
//! Source: the same manual, 3.2.3 (receive descriptors), 3.3.3 (legacy transmit descriptors).

use alloc::vec::Vec;

use guest_abi::addr::PAGE_SIZE;

use super::hardware::{Hardware, Page};
use super::registers::{BASE_HIGH, BASE_LOW, HEAD, LENGTH, TAIL};
use crate::linux::Errno;

/// Descriptors of a ring. Their bytes must be a multiple of 128, and those of both rings fit a page.
pub const COUNT: usize = 128;
/// Bytes of a descriptor.
const DESCRIPTOR: usize = 16;
/// Bytes of a ring's table.
pub const TABLE: usize = COUNT * DESCRIPTOR;
/// Bytes of a buffer.
pub const BUFFER: usize = PAGE_SIZE / 2;

/// Words of a descriptor: the address, then length and command, then what the card writes.
const LENGTH_WORD: usize = 8;
const STATUS_WORD: usize = 12;
/// Status: the card is done with it; a frame ends here.
const DONE: u32 = 1 << 0;
const END: u32 = 1 << 1;
/// Errors that the card found in a frame.
const ERRORS: u32 = 0xFF << 8;
/// Command: the frame ends here, the check sequence is put behind it, the status is reported.
const SEND: u32 = (1 << 0 | 1 << 1 | 1 << 3) << 24;

/// What came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A frame of so many bytes, at the front of the buffer.
    Good(usize),
    /// A frame that is damaged, too long for the buffer, or in several pieces, of which this was the last.
    Bad,
}

/// A ring of descriptors.
pub struct Ring<P> {
    pages: Vec<P>,
    /// Where its registers are.
    registers: usize,
    /// Where its table is in the page of tables.
    table: usize,
    /// The first descriptor that the card does not have, or has no more.
    next: usize,
    /// The oldest that it has.
    oldest: usize,
    /// The pieces of a frame before this one were not its end.
    is_in_pieces: bool,
}

const fn after(index: usize) -> usize {
    (index + 1) % COUNT
}

impl<P: Page> Ring<P> {
    /// An empty ring with its table at `table` in `tables`, of which the card is told at `registers`.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn new<H>(hardware: &H, tables: &P, table: usize, registers: usize) -> Result<Self, Errno>
    where
        H: Hardware<Page = P>,
    {
        let pages = (0..COUNT * BUFFER / PAGE_SIZE).map(|_| hardware.page());
        let pages = pages.collect::<Result<_, _>>()?;
        let base = tables.address(table);
        for (register, value) in [
            (BASE_LOW, base as u32),
            (BASE_HIGH, (base >> 32) as u32),
            (LENGTH, TABLE as u32),
            (HEAD, 0),
            (TAIL, 0),
        ] {
            hardware.set(registers + register, value);
        }
        Ok(Self {
            pages,
            registers,
            table,
            next: 0,
            oldest: 0,
            is_in_pieces: false,
        })
    }

    /// The page and offset of a descriptor's buffer.
    fn buffer(&self, index: usize) -> (&P, usize) {
        (
            &self.pages[index * BUFFER / PAGE_SIZE],
            index * BUFFER % PAGE_SIZE,
        )
    }

    /// Whether there is a descriptor that the card may get.
    pub fn has_room(&self) -> bool {
        after(self.next) != self.oldest
    }

    /// Writes the next descriptor, without the card being told.
    fn put(&mut self, tables: &P, command: u32) {
        let (page, offset) = self.buffer(self.next);
        let (address, at) = (page.address(offset), self.table + self.next * DESCRIPTOR);
        tables.set_word(at, address as u32);
        tables.set_word(at + 4, (address >> 32) as u32);
        tables.set_word(at + LENGTH_WORD, command);
        tables.set_word(at + STATUS_WORD, 0);
        self.next = after(self.next);
    }

    fn tell<H: Hardware>(&self, hardware: &H) {
        hardware.set(self.registers + TAIL, self.next as u32);
    }

    /// Gives the card whatever buffers it may get to write into.
    pub fn lend<H: Hardware>(&mut self, hardware: &H, tables: &P) {
        while self.has_room() {
            self.put(tables, 0);
        }
        self.tell(hardware);
    }

    /// Has the card send `frame`, which fits into a buffer; there must be room.
    pub fn send<H: Hardware>(&mut self, hardware: &H, tables: &P, frame: &[u8]) {
        let (page, offset) = self.buffer(self.next);
        page.write(offset, frame);
        self.put(tables, frame.len() as u32 | SEND);
        self.tell(hardware);
    }

    /// Takes back what the card has sent.
    pub fn reclaim(&mut self, tables: &P) {
        while self.oldest != self.next && self.status(tables) & DONE != 0 {
            self.oldest = after(self.oldest);
        }
    }

    fn status(&self, tables: &P) -> u32 {
        tables.word(self.table + self.oldest * DESCRIPTOR + STATUS_WORD)
    }

    /// Takes the oldest frame that came in, as much of it as `into` has room for; its length may be more. The card gets the buffer again.
    pub fn take<H: Hardware>(&mut self, hardware: &H, tables: &P, into: &mut [u8]) -> Option<Frame> {
        let room = into.len().min(BUFFER);
        loop {
            if self.oldest == self.next {
                return None;
            }
            let status = self.status(tables);
            if status & DONE == 0 {
                return None;
            }
            let length = tables.word(self.table + self.oldest * DESCRIPTOR + LENGTH_WORD) as u16;
            let length = usize::from(length);
            let (page, offset) = self.buffer(self.oldest);
            page.read(offset, &mut into[..length.min(room)]);
            self.oldest = after(self.oldest);
            self.lend(hardware, tables);
            let is_end = status & END != 0;
            let was_in_pieces = core::mem::replace(&mut self.is_in_pieces, !is_end);
            if is_end {
                let is_bad = was_in_pieces || status & ERRORS != 0 || length > BUFFER;
                return Some(if is_bad { Frame::Bad } else { Frame::Good(length) });
            }
        }
    }
}
