//! Free blocks of a few small sizes, kept apart from the heap's list: the kernel takes and gives back small objects all the time, and a list is looked through each
//! time.
//!
//! A block has a power of two of bytes, at least [`SMALLEST`] and at most [`LARGEST`], and begins at a multiple of that: so it lies in one page, and a device can be given its
//! address. What is free is a chain: each block's first word is the address of the next
//! one, 0 at the end. They stay here until the heap has nothing else to give ([`SmallBlocks::drain`]).

use core::alloc::Layout;
use core::cell::Cell;

/// Bytes of the smallest blocks.
const SMALLEST: usize = 16;
/// How many sizes there are: up to 1024 bytes.
const SIZES: usize = 7;
/// Bytes of the largest.
pub const LARGEST: usize = SMALLEST << (SIZES - 1);
const _: () = assert!(LARGEST <= crate::page::PAGE);

/// The chains.
#[derive(Debug)]
pub struct SmallBlocks {
    first: [Cell<usize>; SIZES],
    /// Bytes of all blocks in the chains.
    kept: Cell<usize>,
}

/// Which chain a layout's blocks are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(usize);

impl Size {
    /// The size of block that a layout is given; none where it is large.
    #[inline]
    #[must_use]
    pub fn of(layout: Layout) -> Option<Self> {
        let index =
            layout.size().max(SMALLEST).next_power_of_two().trailing_zeros() - SMALLEST.trailing_zeros();
        (index < SIZES as u32 && layout.align() <= SMALLEST << index).then_some(Self(index as usize))
    }

    /// What the heap is asked for.
    ///
    /// # Panics
    /// Never: the numbers are a layout.
    #[must_use]
    pub fn layout(self) -> Layout {
        Layout::from_size_align(SMALLEST << self.0, SMALLEST << self.0).expect("powers of two")
    }
}

impl SmallBlocks {
    /// No blocks.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            first: [const { Cell::new(0) }; SIZES],
            kept: Cell::new(0),
        }
    }

    /// Bytes that lie here.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.kept.get()
    }

    /// Takes a block, if there is one.
    #[inline]
    pub fn take(&self, size: Size) -> Option<*mut u8> {
        let block = self.first[size.0].get() as *mut usize;
        if block.is_null() {
            return None;
        }
        // SAFETY: a block in the chain is nobody else's, aligned, and its first word was written by `give`.
        self.first[size.0].set(unsafe { block.read() });
        self.kept.set(self.kept.get() - (SMALLEST << size.0));
        Some(block.cast())
    }

    /// Takes a block back.
    ///
    /// # Safety
    /// The block has that size and alignment, and nobody uses it any more.
    #[inline]
    pub unsafe fn give(&self, block: *mut u8, size: Size) {
        // SAFETY: the caller's promise.
        unsafe { block.cast::<usize>().write(self.first[size.0].get()) }
        self.first[size.0].set(block.addr());
        self.kept.set(self.kept.get() + (SMALLEST << size.0));
    }

    /// Gives all blocks to `each`, with their layouts.
    pub fn drain(&self, mut each: impl FnMut(*mut u8, Layout)) {
        for size in (0..SIZES).map(Size) {
            while let Some(block) = self.take(size) {
                each(block, size.layout());
            }
        }
    }
}

impl Default for SmallBlocks {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::alloc::{alloc, dealloc};

    fn size(bytes: usize) -> Option<Size> {
        Size::of(Layout::from_size_align(bytes, 8).unwrap())
    }

    #[test]
    fn sizes_are_powers_of_two_that_hold_what_is_asked() {
        for bytes in 0..=1024 {
            let layout = size(bytes).expect("small").layout();
            assert!(layout.size() >= bytes && layout.size() < 2 * bytes.max(SMALLEST));
        }
        assert_eq!(size(1025), None);
        assert_eq!(Size::of(Layout::from_size_align(16, 32).unwrap()), None);
        for size in (0..SIZES).map(Size) {
            let layout = size.layout();
            assert_eq!(layout.align(), layout.size(), "within a page");
            assert_eq!(Size::of(layout), Some(size));
        }
        assert_eq!(size(usize::MAX / 4), None);
    }

    #[test]
    fn blocks_come_back_by_size_and_all_of_them_go() {
        let blocks = SmallBlocks::new();
        let (small, large) = (size(16).unwrap(), size(300).unwrap());
        let mut made = Vec::new();
        for size in [small, large, small] {
            // SAFETY: the layout has bytes.
            let block = unsafe { alloc(size.layout()) };
            made.push((block, size.layout()));
            // SAFETY: just made so.
            unsafe { blocks.give(block, size) }
        }
        assert_eq!(blocks.kept(), 16 + 512 + 16);
        assert_eq!(blocks.take(large), Some(made[1].0));
        assert_eq!(blocks.take(large), None);
        assert_eq!(blocks.take(small), Some(made[2].0));
        // SAFETY: taken just now.
        unsafe { blocks.give(made[2].0, small) }
        let mut drained = Vec::new();
        blocks.drain(|block, layout| drained.push((block, layout)));
        assert_eq!(drained, [made[2], made[0]]);
        assert_eq!((blocks.kept(), blocks.take(small)), (0, None));
        for (block, layout) in made {
            // SAFETY: made with this layout.
            unsafe { dealloc(block, layout) }
        }
    }
}
