//! A text console on a linear framebuffer, for machines that have no text mode (UEFI).
//!
//! Pixels of 15, 16, 24 or 32 bits with any layout of the three colours, and any pitch. The font is the kept
//! crate `noto-sans-mono-bitmap` in its smallest size, magnified on screens of very many pixels. The framebuffer
//! is slow to write and hopeless to read, so the characters shown are kept, only those that change are drawn, and
//! a full screen moves up by a quarter of its rows at once.

use core::ptr::NonNull;
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

/// Characters of the largest text screen; more rows than this allows are left blank.
pub const MAX_CELLS: usize = 300 * 68;
/// What the screen shows, a character each.
pub type Cells = [u8; MAX_CELLS];

const FONT: RasterHeight = RasterHeight::Size16;
const WEIGHT: FontWeight = FontWeight::Regular;
const GLYPH_WIDTH: usize = get_raster_width(WEIGHT, FONT);
const GLYPH_HEIGHT: usize = FONT.val();
/// Columns that are enough: with more, glyphs are magnified.
const MANY_COLUMNS: usize = 300;
/// Largest screen believed, in either direction.
const MAX_SIDE: u32 = 16_384;
/// Brightness of text, of 255.
const FOREGROUND: u32 = 208;

/// Where one colour is in a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Lowest bit.
    pub position: u8,
    /// Number of bits.
    pub size: u8,
}

/// What the boot loader says of the framebuffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes from one row to the next.
    pub pitch: u32,
    /// Bits per pixel.
    pub depth: u8,
    /// Red, green and blue.
    pub channels: [Channel; 3],
}

impl Layout {
    /// Bytes of the framebuffer, or `None` where the layout makes no sense: a depth other than 15, 16, 24, 32, a
    /// pitch shorter than a row, colours outside the pixel, no room for a single character.
    #[must_use]
    pub fn bytes(&self) -> Option<usize> {
        let bytes_per_pixel = self.bytes_per_pixel()?;
        let bits = u32::from(self.depth);
        let fits = |channel: &Channel| {
            (1..=8).contains(&channel.size) && u32::from(channel.position) + u32::from(channel.size) <= bits
        };
        let is_sane = (GLYPH_WIDTH as u32..=MAX_SIDE).contains(&self.width)
            && (GLYPH_HEIGHT as u32..=MAX_SIDE).contains(&self.height)
            && self.pitch / bytes_per_pixel as u32 >= self.width
            && self.pitch <= MAX_SIDE * 4
            && self.channels.iter().all(fits);
        is_sane.then_some(self.pitch as usize * self.height as usize)
    }

    const fn bytes_per_pixel(&self) -> Option<usize> {
        match self.depth {
            15 | 16 => Some(2),
            24 => Some(3),
            32 => Some(4),
            _ => None,
        }
    }

    /// A grey of this brightness (0 to 255) as a pixel.
    fn grey(&self, brightness: u32) -> u32 {
        self.channels.iter().fold(0, |pixel, channel| {
            pixel | (brightness >> (8 - u32::from(channel.size.min(8)))) << channel.position
        })
    }
}

/// The text screen.
#[derive(Debug)]
pub struct Framebuffer {
    base: NonNull<u8>,
    pitch: usize,
    bytes_per_pixel: usize,
    /// Pixels for sixteen steps from background to text.
    shades: [u32; 16],
    /// Screen pixels per font pixel, in both directions.
    scale: usize,
    columns: usize,
    rows: usize,
    row: usize,
    column: usize,
    cells: &'static mut Cells,
}

// SAFETY: the pointer is to device memory that is mapped for good, and nothing else writes it.
unsafe impl Send for Framebuffer {}

impl Framebuffer {
    /// Takes the screen over and clears it; `cells` is where its content is kept. `None` where
    /// [`Layout::bytes`] refuses the layout.
    ///
    /// # Safety
    /// `base` is where [`Layout::bytes`] bytes of the framebuffer are mapped, for good and best write-combining
    /// or write-through; nothing else uses it.
    #[must_use]
    pub unsafe fn new(base: NonNull<u8>, layout: Layout, cells: &'static mut Cells) -> Option<Self> {
        let bytes = layout.bytes()?;
        let bytes_per_pixel = layout.bytes_per_pixel()?;
        let (width, height) = (layout.width as usize, layout.height as usize);
        let wanted = (width / GLYPH_WIDTH).div_ceil(MANY_COLUMNS);
        // Whole characters fit: the layout has room for one of scale 1.
        let scale = wanted.min(height / GLYPH_HEIGHT).max(1);
        let columns = width / (GLYPH_WIDTH * scale);
        let rows = (height / (GLYPH_HEIGHT * scale)).min(MAX_CELLS / columns);
        cells.fill(b' ');
        // SAFETY: the caller maps so many bytes. A plain fill, which nothing reads back, may use wide stores.
        unsafe { base.write_bytes(0, bytes) };
        Some(Self {
            base,
            pitch: layout.pitch as usize,
            bytes_per_pixel,
            shades: core::array::from_fn(|step| layout.grey(step as u32 * FOREGROUND / 15)),
            scale,
            columns,
            rows,
            row: 0,
            column: 0,
            cells,
        })
    }

    /// Writes text; line feed, carriage return, backspace and tab act, other control bytes are left out.
    pub fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.put(byte);
        }
    }

    fn put(&mut self, byte: u8) {
        match byte {
            b'\n' => self.new_line(),
            b'\r' => self.column = 0,
            0x08 => self.column = self.column.saturating_sub(1),
            b'\t' => self.column = ((self.column & !7) + 8).min(self.columns - 1),
            0x20..=0x7E => {
                if self.column >= self.columns {
                    self.new_line();
                }
                self.set(self.row * self.columns + self.column, byte);
                self.column += 1;
            }
            _ => {}
        }
    }

    fn new_line(&mut self) {
        self.column = 0;
        self.row += 1;
        if self.row < self.rows {
            return;
        }
        let moved = (self.rows / 4).max(1);
        self.row = self.rows - moved;
        for index in 0..self.rows * self.columns {
            let source = index + moved * self.columns;
            let byte = if source < self.rows * self.columns {
                self.cells[source]
            } else {
                b' '
            };
            self.set(index, byte);
        }
    }

    /// Shows a character, where it is not shown already.
    fn set(&mut self, index: usize, byte: u8) {
        let Some(cell) = self.cells.get_mut(index) else {
            return;
        };
        if *cell == byte {
            return;
        }
        *cell = byte;
        let (column, row) = (index % self.columns, index / self.columns);
        if row >= self.rows {
            return;
        }
        let Some(glyph) = get_raster(char::from(byte), WEIGHT, FONT) else {
            return;
        };
        let left = column * GLYPH_WIDTH * self.scale * self.bytes_per_pixel;
        let top = row * GLYPH_HEIGHT * self.scale;
        for (y, line) in glyph.rows().enumerate() {
            for repeat in 0..self.scale {
                self.draw_line(left + (top + y * self.scale + repeat) * self.pitch, line);
            }
        }
    }

    /// Draws one line of pixels of a glyph, from a byte offset on.
    fn draw_line(&mut self, mut offset: usize, line: &[u8]) {
        for &intensity in line {
            let pixel = self.shades[usize::from(intensity >> 4)];
            for _ in 0..self.scale {
                // SAFETY: `set` draws whole characters at places inside the screen, hence inside the bytes that
                // `new` was given.
                let place = unsafe { self.base.add(offset) };
                match self.bytes_per_pixel {
                    // SAFETY: as above, for a whole pixel.
                    4 => unsafe { place.cast::<u32>().write_unaligned(pixel) },
                    // SAFETY: as above.
                    2 => unsafe { place.cast::<u16>().write_unaligned(pixel as u16) },
                    _ => {
                        let [low, middle, high, _] = pixel.to_le_bytes();
                        // SAFETY: as above.
                        unsafe { place.cast::<[u8; 3]>().write([low, middle, high]) };
                    }
                }
                offset += self.bytes_per_pixel;
            }
        }
    }
}
