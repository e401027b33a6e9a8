//! Handles: what a domain has mapped by grants, and where.
//!
//! A handle is two words in a frame of the domain's [`super::books`]:
//!
//! ```text
//!  in use   first  63 in use | 50:48 uses | 47:32 granter's slot | 31:0 reference
//!           second 41 the place was named by machine address | 40:32 index | 31:0 table
//!  free     first  next free handle + 1, or 0
//! ```
//!
//! The granter's slot stays its own as long as the handle is in use, because the grant holds a frame of the granter's. A
//! handle that was given back is the next to be given out.

use super::{
    Halt,
    active::Uses,
    books::{self, Grants},
};
use crate::{
    mm::{Mmu, Place},
    platform::{FrameMemory, Platform},
};
use guest_abi::addr::Mfn;

/// Handles in a frame.
pub const PER_FRAME: u32 = 256;
const IN_USE: u64 = 1 << 63;
const SLOT_SHIFT: u32 = 32;
const USES_SHIFT: u32 = 48;
const INDEX_SHIFT: u32 = 32;
const BY_ADDRESS: u64 = 1 << 41;

/// A mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    /// Slot of the granter.
    pub slot: usize,
    /// Its reference.
    pub reference: u32,
    /// What for.
    pub uses: Uses,
    /// The entry that maps the frame, where it is for a host.
    pub place: Place,
    /// Whether the guest named that entry by its machine address.
    pub is_by_address: bool,
}

impl Handle {
    const fn words(self) -> [u64; 2] {
        let by_address = if self.is_by_address { BY_ADDRESS } else { 0 };
        [
            IN_USE
                | (self.uses.bits() as u64) << USES_SHIFT
                | (self.slot as u64) << SLOT_SHIFT
                | self.reference as u64,
            by_address | (self.place.index as u64) << INDEX_SHIFT | self.place.table.raw() as u64,
        ]
    }

    const fn from_words([first, second]: [u64; 2]) -> Option<Self> {
        if first & IN_USE == 0 {
            return None;
        }
        Some(Self {
            slot: (first >> SLOT_SHIFT) as u16 as usize,
            reference: first as u32,
            uses: Uses::from_bits_truncate((first >> USES_SHIFT) as u8),
            place: Place {
                table: Mfn::new(second as u32),
                index: (second >> INDEX_SHIFT & 511) as usize,
            },
            is_by_address: second & BY_ADDRESS != 0,
        })
    }
}

impl Grants {
    /// Frame and first word of handle `number`, if there is such a one.
    #[inline(always)]
    fn place_of<M: FrameMemory>(&self, memory: &M, number: u32) -> Option<(Mfn, usize)> {
        let frame = self.handle_frame(memory, number / PER_FRAME)?;
        Some((frame, (number % PER_FRAME) as usize * 2))
    }

    /// The mapping `number`, if there is one.
    #[inline(always)]
    #[must_use]
    pub fn handle<M: FrameMemory>(&self, memory: &M, number: u32) -> Option<Handle> {
        let (frame, word) = self.place_of(memory, number)?;
        Handle::from_words([memory.read_entry(frame, word), memory.read_entry(frame, word + 1)])
    }

    /// How many handles there are, in use or not.
    #[must_use]
    pub const fn handles(&self) -> u32 {
        self.handle_frames as u32 * PER_FRAME
    }

    /// How many of them were ever in use.
    #[must_use]
    pub const fn handles_begun(&self) -> u32 {
        self.first_fresh
    }

    /// How many free handles the list of them has, or `None` where it is broken.
    #[must_use]
    pub fn free_list_length<M: FrameMemory>(&self, memory: &M) -> Option<u32> {
        let (mut length, mut at) = (0, self.first_free);
        while let Some(number) = at {
            let (frame, word) = self.place_of(memory, number)?;
            let next = memory.read_entry(frame, word);
            length += 1;
            if next & IN_USE != 0 || number >= self.first_fresh || length > self.first_fresh {
                return None;
            }
            at = (next as u32).checked_sub(1);
        }
        Some(length)
    }

    /// The handle that comes next; there is one.
    const fn next(&self) -> u32 {
        match self.first_free {
            Some(number) => number,
            None => self.first_fresh,
        }
    }

    /// Makes free handle `number` that of a mapping.
    #[inline(always)]
    pub(super) fn take<M: FrameMemory>(&mut self, memory: &M, number: u32, handle: Handle) {
        let Some((frame, word)) = self.place_of(memory, number) else {
            return;
        };
        if self.first_free == Some(number) {
            self.first_free = (memory.read_entry(frame, word) as u32).checked_sub(1);
        } else {
            self.first_fresh = self.first_fresh.max(number + 1);
        }
        self.used += 1;
        let [first, second] = handle.words();
        memory.write_entry(frame, word, first);
        memory.write_entry(frame, word + 1, second);
    }

    /// Makes what is left of mapping `number` `handle`.
    pub(super) fn change<M: FrameMemory>(&self, memory: &M, number: u32, handle: Handle) {
        if let Some((frame, word)) = self.place_of(memory, number) {
            memory.write_entry(frame, word, handle.words()[0]);
        }
    }

    /// Mapping `number` is no more.
    #[inline(always)]
    pub(super) fn give_back<M: FrameMemory>(&mut self, memory: &M, number: u32) {
        if let Some((frame, word)) = self.place_of(memory, number) {
            let next = self.first_free.map_or(0, |next| next + 1);
            memory.write_entry(frame, word, next.into());
            self.first_free = Some(number);
            self.used -= 1;
        }
    }
}

/// A free handle of the domain in `slot`.
///
/// # Errors
/// None, and no memory for more. Or a pause.
#[inline(always)]
pub(super) fn free<P: Platform>(mmu: &mut Mmu<'_, P>, slot: usize) -> Result<u32, Halt> {
    let grants = books::of(mmu, slot);
    if grants.first_free.is_none() && grants.first_fresh == grants.handles() {
        books::add_handle_frame(mmu, slot)?;
    }
    Ok(books::of(mmu, slot).next())
}
