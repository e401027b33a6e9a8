//! The screen that the loader has set up.
//!
//! Both protocols describe it alike (Multiboot 1, "framebuffer_*"; Multiboot 2, tag 8): address, pitch, width,
//! height, bits per pixel, type, and for direct colour the place of each component.

use crate::range::PhysRange;
use crate::wire::{u32_at, u64_at};

/// Wider or higher screens do not exist yet.
const MAX_SIDE: u32 = 32768;
/// First address that no x86 processor can form.
const PHYS_END: u64 = 1 << 52;

/// What a screen shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramebufferKind {
    /// Pixels whose components lie where these say.
    DirectColour {
        /// The red component.
        red: ColourField,
        /// The green component.
        green: ColourField,
        /// The blue component.
        blue: ColourField,
    },
    /// Cells of a character and an attribute byte; width and height count cells.
    Text,
}

/// Where a colour component lies in a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColourField {
    /// Its lowest bit.
    pub position: u8,
    /// Its number of bits.
    pub size: u8,
}

/// A screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framebuffer {
    /// Machine address of its first byte.
    pub addr: u64,
    /// Bytes from one line to the next.
    pub pitch: u32,
    /// Pixels or cells in a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// Bits in a pixel: 16, 24 or 32 (15 is given as 16); 16 in a text screen's cell.
    pub bits: u8,
    /// What it shows.
    pub kind: FramebufferKind,
}

impl Framebuffer {
    /// The memory that the screen occupies.
    #[must_use]
    pub fn range(&self) -> PhysRange {
        PhysRange::new(
            self.addr,
            self.addr
                .saturating_add(u64::from(self.pitch) * u64::from(self.height)),
        )
    }

    /// Decodes a description whose colour information begins at `colour`: the two protocols differ there.
    ///
    /// # Errors
    /// Why it is not used, in words.
    pub(crate) fn decode(bytes: &[u8], colour: usize) -> Result<Self, &'static str> {
        let word = |at| u32_at(bytes, at).ok_or("its description is cut short");
        let byte = |at: usize| bytes.get(at).copied().ok_or("its description is cut short");
        let addr = u64_at(bytes, 0).ok_or("its description is cut short")?;
        let (pitch, width, height) = (word(8)?, word(12)?, word(16)?);
        let bits = if byte(20)? == 15 { 16 } else { byte(20)? };
        let field = |n: usize| -> Result<ColourField, &'static str> {
            let field = ColourField {
                position: byte(colour + 2 * n)?,
                size: byte(colour + 2 * n + 1)?,
            };
            let end = u32::from(field.position) + u32::from(field.size);
            let is_sane = (1..=16).contains(&field.size) && end <= u32::from(bits);
            if is_sane {
                Ok(field)
            } else {
                Err("a colour lies outside its pixels")
            }
        };
        let kind = match byte(21)? {
            0 => return Err("it has a palette"),
            1 if !matches!(bits, 16 | 24 | 32) => return Err("its pixels have an unknown size"),
            1 => FramebufferKind::DirectColour {
                red: field(0)?,
                green: field(1)?,
                blue: field(2)?,
            },
            2 if bits != 16 => return Err("its text cells have an unknown size"),
            2 => FramebufferKind::Text,
            _ => return Err("it is of an unknown type"),
        };
        let sides = 1..=MAX_SIDE;
        if !sides.contains(&width) || !sides.contains(&height) {
            return Err("its size is absurd");
        }
        if pitch < width * u32::from(bits / 8) {
            return Err("its lines overlap");
        }
        let framebuffer = Self {
            addr,
            pitch,
            width,
            height,
            bits,
            kind,
        };
        let end = addr.checked_add(u64::from(pitch) * u64::from(height));
        if addr == 0 || end.is_none_or(|end| end > PHYS_END) {
            return Err("it leaves the address space");
        }
        Ok(framebuffer)
    }
}
