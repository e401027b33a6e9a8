//! The pair of 8259 interrupt controllers.
//!
//! Lines 0–7 arrive at vectors [`VECTOR_BASE`] up, lines 8–15 at the eight after them. Everything is masked until
//! a line is asked for. Line 2 is the cascade.
//!
//! Source: Intel 8259A data sheet; Intel 82371AB (PIIX4) data sheet, edge/level control registers.

use crate::port::Port;

/// Vector of line 0.
pub const VECTOR_BASE: u8 = 0xE0;
/// Lines of both controllers.
pub const LINES: u8 = 16;

const CASCADE: u8 = 2;
/// ICW1: edge triggered, cascade, ICW4 follows.
const INITIALIZE: u8 = 0x11;
/// ICW4: 8086 mode, normal end of interrupt.
const MODE_8086: u8 = 0x01;
const EOI: u8 = 0x20;
/// OCW3: the next read of the command port gives the in-service register.
const READ_IN_SERVICE: u8 = 0x0B;
/// OCW3: the next read of the command port gives the request register.
const READ_REQUESTED: u8 = 0x0A;

const MASTER_COMMAND: Port<u8> = pic_port(0x20);
const MASTER_DATA: Port<u8> = pic_port(0x21);
const SLAVE_COMMAND: Port<u8> = pic_port(0xA0);
const SLAVE_DATA: Port<u8> = pic_port(0xA1);

/// Edge/level control: a bit per line of the first controller, 1: level.
const MASTER_LEVEL: Port<u8> = pic_port(0x4D0);
/// The same of the second.
const SLAVE_LEVEL: Port<u8> = pic_port(0x4D1);

const fn pic_port(number: u16) -> Port<u8> {
    // SAFETY: used for the standard ports of the PC's 8259s, which this module owns. They reach no memory,
    // and their interrupts arrive at vectors whose gates exist before interrupts are turned on.
    unsafe { Port::new(number) }
}

/// Both controllers as one of sixteen lines.
#[derive(Debug)]
pub struct Pic {
    /// Masked lines, a bit each, as the hardware has them.
    masked: u16,
}

/// What an interrupt from the controllers was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledged {
    /// A device on this line; it has been acknowledged.
    Line(u8),
    /// No line is in service: noise (line 7 or 15 without a request).
    Spurious,
}

impl Pic {
    /// Moves the vectors, masks every line. The controllers of a machine that has none swallow the writes.
    #[must_use]
    pub fn init() -> Self {
        MASTER_COMMAND.write(INITIALIZE);
        SLAVE_COMMAND.write(INITIALIZE);
        MASTER_DATA.write(VECTOR_BASE);
        SLAVE_DATA.write(VECTOR_BASE + 8);
        MASTER_DATA.write(1 << CASCADE);
        SLAVE_DATA.write(CASCADE);
        MASTER_DATA.write(MODE_8086);
        SLAVE_DATA.write(MODE_8086);
        let mut pic = Self { masked: 0xFFFF };
        pic.write_masks();
        pic
    }

    /// Whether 8259s answer: a mask register keeps what is written.
    #[must_use]
    pub fn is_present(&mut self) -> bool {
        let present = [0x5A, 0xA5].into_iter().all(|pattern| {
            SLAVE_DATA.write(pattern);
            SLAVE_DATA.read() == pattern
        });
        self.write_masks();
        present
    }

    /// Lets a line through, and the cascade for one of the second controller's.
    pub fn unmask(&mut self, line: u8) {
        if line < LINES {
            self.masked &= !(1 << line);
            if line >= 8 {
                self.masked &= !(1 << CASCADE);
            }
            self.write_masks();
        }
    }

    /// Holds a line back.
    pub fn mask(&mut self, line: u8) {
        if line < LINES && line != CASCADE {
            self.masked |= 1 << line;
            self.write_masks();
        }
    }

    /// Whether a line is held back.
    #[must_use]
    pub const fn is_masked(&self, line: u8) -> bool {
        line >= LINES || self.masked & (1 << line) != 0
    }

    /// Answers the interrupt that came at `vector` (one of the sixteen from [`VECTOR_BASE`]), so that further
    /// ones may come. Unless its line `stays_open`, it is held back first: a level-triggered one would come again at
    /// once, before its device has been served.
    pub fn acknowledge(&mut self, vector: u8, stays_open: impl FnOnce(u8) -> bool) -> Acknowledged {
        let line = vector.wrapping_sub(VECTOR_BASE);
        match line {
            7 if !is_in_service(MASTER_COMMAND, 7) => return Acknowledged::Spurious,
            15 if !is_in_service(SLAVE_COMMAND, 7) => {
                // The first controller saw a true request of its cascade line.
                MASTER_COMMAND.write(EOI);
                return Acknowledged::Spurious;
            }
            0..LINES => {}
            _ => return Acknowledged::Spurious,
        }
        if !stays_open(line) {
            self.mask(line);
        }
        if line >= 8 {
            SLAVE_COMMAND.write(EOI);
        }
        MASTER_COMMAND.write(EOI);
        Acknowledged::Line(line)
    }

    /// Has a line interrupt as long as its device asks (the edge/level control registers of PCI chipsets; of a machine
    /// without them nothing answers at their ports).
    pub fn make_level(&mut self, line: u8) {
        if line < LINES {
            let register = if line < 8 { MASTER_LEVEL } else { SLAVE_LEVEL };
            register.write(register.read() | 1 << (line % 8));
        }
    }

    /// Lines that would interrupt now: their device asks, and they are not held back.
    #[must_use]
    pub fn requested(&self) -> u16 {
        MASTER_COMMAND.write(READ_REQUESTED);
        SLAVE_COMMAND.write(READ_REQUESTED);
        u16::from_le_bytes([MASTER_COMMAND.read(), SLAVE_COMMAND.read()]) & !self.masked
    }

    fn write_masks(&mut self) {
        let [master, slave] = self.masked.to_le_bytes();
        MASTER_DATA.write(master);
        SLAVE_DATA.write(slave);
    }
}

fn is_in_service(command: Port<u8>, bit: u8) -> bool {
    command.write(READ_IN_SERVICE);
    command.read() & (1 << bit) != 0
}
