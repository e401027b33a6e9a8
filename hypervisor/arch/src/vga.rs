//! VGA text mode: 80 by 25 character cells at physical 0xB8000.
//!
//! Each cell is a byte of the adapter's own character set (code page 437) and an attribute byte. The adapter's
//! memory is slow to read, so the screen's content is kept beside it and only ever written out.
//!
//! Source: IBM VGA technical reference; ports as in the FreeVGA documentation.

use crate::port::Port;
use core::ptr::NonNull;
use volatile::VolatilePtr;

/// Physical address of the text buffer.
pub const TEXT_BASE: u64 = 0xB8000;
/// Columns.
pub const COLUMNS: usize = 80;
/// Rows.
pub const ROWS: usize = 25;
/// Bytes of the text buffer that are used.
pub const TEXT_BYTES: usize = COLUMNS * ROWS * 2;

/// What the screen shows, a character each.
pub type Cells = [u8; COLUMNS * ROWS];

/// Light grey on black.
const ATTRIBUTE: u16 = 0x07 << 8;
const BLANK: u8 = b' ';

const CRTC_INDEX: Port<u8> = vga_port(0x3D4);
const CRTC_DATA: Port<u8> = vga_port(0x3D5);
const GRAPHICS_INDEX: Port<u8> = vga_port(0x3CE);
const GRAPHICS_DATA: Port<u8> = vga_port(0x3CF);
const MISC_READ: Port<u8> = vga_port(0x3CC);

const fn vga_port(number: u16) -> Port<u8> {
    // SAFETY: used for the five registers above; the adapter reaches no memory but its own.
    unsafe { Port::new(number) }
}

const CURSOR_HIGH: u8 = 0x0E;
const CURSOR_LOW: u8 = 0x0F;
/// Graphics controller register 6: bit 0 set in graphics modes; bits 3:2 = 3 maps 0xB8000.
const MISCELLANEOUS: u8 = 6;

/// The screen in text mode.
#[derive(Debug)]
pub struct VgaText {
    base: NonNull<u16>,
    cells: &'static mut Cells,
    row: usize,
    column: usize,
}

// SAFETY: the pointer is to device memory that is mapped for good, and nothing else writes it.
unsafe impl Send for VgaText {}

impl VgaText {
    /// Whether a VGA is there and shows colour text at 0xB8000, by its own registers. For machines whose boot
    /// loader does not say.
    ///
    /// # Safety
    /// `base` is where [`TEXT_BASE`] is mapped, uncached, for [`TEXT_BYTES`] bytes.
    #[must_use]
    pub unsafe fn is_present(base: NonNull<u16>) -> bool {
        if MISC_READ.read() & 1 == 0 || !cursor_register_holds() {
            return false;
        }
        GRAPHICS_INDEX.write(MISCELLANEOUS);
        if GRAPHICS_DATA.read() & 0b1101 != 0b1100 {
            return false;
        }
        // SAFETY: the caller maps the first cell.
        let cell = unsafe { VolatilePtr::new(base) };
        let saved = cell.read();
        cell.write(!saved);
        let holds = cell.read() == !saved;
        cell.write(saved);
        holds
    }

    /// Takes the screen over and clears it; `cells` is where its content is kept.
    ///
    /// # Safety
    /// `base` is where the text buffer is mapped, uncached, for [`TEXT_BYTES`] bytes and for good; nothing else
    /// uses it; the adapter is in 80 by 25 text mode.
    #[must_use]
    pub unsafe fn new(base: NonNull<u16>, cells: &'static mut Cells) -> Self {
        cells.fill(BLANK);
        let mut screen = Self {
            base,
            cells,
            row: 0,
            column: 0,
        };
        (0..COLUMNS * ROWS).for_each(|index| screen.write_cell(index));
        screen.move_cursor();
        screen
    }

    /// Writes text; line feed, carriage return, backspace and tab act, other control bytes are left out.
    pub fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.put(byte);
        }
        self.move_cursor();
    }

    fn put(&mut self, byte: u8) {
        match byte {
            b'\n' => self.new_line(),
            b'\r' => self.column = 0,
            0x08 => self.column = self.column.saturating_sub(1),
            b'\t' => self.column = ((self.column & !7) + 8).min(COLUMNS - 1),
            0x20..=0x7E => {
                if self.column == COLUMNS {
                    self.new_line();
                }
                self.set(self.row * COLUMNS + self.column, byte);
                self.column += 1;
            }
            _ => {}
        }
    }

    fn set(&mut self, index: usize, cell: u8) {
        if let Some(kept) = self.cells.get_mut(index) {
            *kept = cell;
            self.write_cell(index);
        }
    }

    fn new_line(&mut self) {
        self.column = 0;
        if self.row + 1 < ROWS {
            self.row += 1;
            return;
        }
        for index in 0..self.cells.len() {
            let below = self.cells.get(index + COLUMNS).copied().unwrap_or(BLANK);
            if self.cells[index] != below {
                self.set(index, below);
            }
        }
    }

    fn write_cell(&mut self, index: usize) {
        let Some(&cell) = self.cells.get(index) else {
            return;
        };
        // SAFETY: `index` is inside the screen, which is mapped in whole (`new`).
        let place = unsafe { self.base.add(index) };
        // SAFETY: as above; the cell is aligned, being an element of an aligned array.
        unsafe { VolatilePtr::new(place) }.write(ATTRIBUTE | u16::from(cell));
    }

    fn move_cursor(&mut self) {
        let position = (self.row * COLUMNS + self.column.min(COLUMNS - 1)) as u16;
        let [low, high] = position.to_le_bytes();
        CRTC_INDEX.write(CURSOR_HIGH);
        CRTC_DATA.write(high);
        CRTC_INDEX.write(CURSOR_LOW);
        CRTC_DATA.write(low);
    }
}

/// Whether the cursor position register keeps two patterns, which it does on any VGA in colour mode.
fn cursor_register_holds() -> bool {
    CRTC_INDEX.write(CURSOR_LOW);
    let saved = CRTC_DATA.read();
    let holds = [0x5A, 0xA5].into_iter().all(|pattern| {
        CRTC_DATA.write(pattern);
        CRTC_DATA.read() == pattern
    });
    CRTC_DATA.write(saved);
    holds
}
