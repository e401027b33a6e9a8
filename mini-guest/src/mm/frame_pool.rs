//! Memory for network frames: half pages of the direct map, so each lies in one frame and the hypervisor can copy to it and from it.
//!
//! Half pages that were given back are kept for the next frame. There are never more than [`MOST`].

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use guest_abi::addr::{Mfn, PAGE_SIZE};

use super::layout::{direct, direct_pfn};
use super::{alloc_user_frame, translate};
use crate::cell::OneCpu;
use crate::net::FRAME;

/// Bytes of a half page.
const HALF: usize = PAGE_SIZE / 2;
/// Most half pages: 4 MiB.
pub const MOST: usize = 2048;
const _: () = assert!(FRAME <= HALF);

/// Half pages that are free.
static FREE: OneCpu<RefCell<Vec<u32>>> = OneCpu::new(RefCell::new(Vec::new()));
/// How many there are, free or not.
static MADE: OneCpu<Cell<usize>> = OneCpu::new(Cell::new(0));

/// A half page with a frame at its beginning, not shared yet. Free again when dropped.
#[derive(Debug)]
pub struct Slot {
    address: u32,
    len: usize,
}

impl Slot {
    /// A half page for a frame of `len` bytes; `None` where there is no memory, or that is too long.
    #[must_use]
    pub fn take(len: usize) -> Option<Self> {
        if len > FRAME {
            return None;
        }
        let mut free = FREE.borrow_mut();
        if free.is_empty() && MADE.get() < MOST {
            let frame = alloc_user_frame().ok()?;
            MADE.set(MADE.get() + PAGE_SIZE / HALF);
            free.extend([direct(frame), direct(frame) + HALF as u32]);
        }
        let address = free.pop()?;
        Some(Self { address, len })
    }

    /// A half page with these bytes.
    #[must_use]
    pub fn with(bytes: &[u8]) -> Option<Self> {
        let mut slot = Self::take(bytes.len())?;
        slot.buffer()[..bytes.len()].copy_from_slice(bytes);
        Some(slot)
    }

    /// Where it is: machine frame, and the first byte in it.
    #[must_use]
    pub fn place(&self) -> (Mfn, u16) {
        let offset = self.address % PAGE_SIZE as u32;
        // Below the size of a page.
        (translate::mfn(direct_pfn(self.address)), offset as u16)
    }

    /// Room for a longest frame, from its beginning.
    pub fn buffer(&mut self) -> &mut [u8; FRAME] {
        // SAFETY: this slot's own memory, initialized, as large as that, with no other reference while this one lives.
        unsafe { &mut *(self.address as *mut [u8; FRAME]) }
    }

    /// Says how long the frame is, at most [`FRAME`].
    pub fn set_len(&mut self, len: usize) {
        self.len = len.min(FRAME);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        FREE.borrow_mut().push(self.address);
    }
}

/// A frame that several may hold, and nobody changes.
#[derive(Clone, Debug)]
pub struct Frame(Rc<Slot>);

impl Frame {
    /// Where it is: machine frame, and the first byte in it.
    #[must_use]
    pub fn place(&self) -> (Mfn, u16) {
        self.0.place()
    }

    /// Its bytes, to be changed while nobody else holds it.
    pub fn bytes(&mut self) -> Option<&mut [u8]> {
        let slot = Rc::get_mut(&mut self.0)?;
        let len = slot.len;
        Some(&mut slot.buffer()[..len])
    }
}

impl From<Slot> for Frame {
    fn from(slot: Slot) -> Self {
        Self(Rc::new(slot))
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the slot's own memory, initialized, and no longer than that; nobody writes there while it is shared.
        unsafe { core::slice::from_raw_parts(self.0.address as *const u8, self.0.len) }
    }
}
