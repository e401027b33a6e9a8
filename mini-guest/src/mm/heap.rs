//! The kernel heap: a list allocator over addresses of its own, to which pages are mapped as they are needed, and before it chains of small blocks.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::RefCell;
use core::ptr::{self, NonNull};

use guest_abi::addr::PAGE_SIZE;
use guest_abi::mmu::Pte;
use linked_list_allocator::Heap;

use super::batch::Batch;
use super::kernel_map::READ_WRITE;
use super::layout::HEAP_START;
use super::small_blocks::{Size, SmallBlocks};
use super::{alloc_frame, translate, with_kernel_map};
use crate::cell::OneCpu;

/// The heap grows by at least so many bytes at once.
const GROWTH: usize = 64 * 1024;

struct KernelHeap {
    heap: RefCell<Heap>,
    small: SmallBlocks,
}

#[global_allocator]
static HEAP: OneCpu<KernelHeap> = OneCpu::new(KernelHeap {
    heap: RefCell::new(Heap::empty()),
    small: SmallBlocks::new(),
});

// SAFETY: memory comes from the list allocator over pages that are the heap's alone, and from the chains of what it gave.
unsafe impl GlobalAlloc for OneCpu<KernelHeap> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match Size::of(layout) {
            Some(size) => match self.small.take(size) {
                Some(block) => block,
                None => self.take_from_list(size.layout()),
            },
            None => self.take_from_list(layout),
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(size) = Size::of(layout) {
            // SAFETY: the caller got the block from `alloc`, which gave it this size and its alignment.
            return unsafe { self.small.give(block, size) };
        }
        if let Some(block) = NonNull::new(block) {
            // SAFETY: the caller got the block from `alloc` with this layout.
            unsafe { self.heap.borrow_mut().deallocate(block, layout) }
        }
    }
}

impl KernelHeap {
    /// A block of the list's, which grows if it must.
    fn take_from_list(&self, layout: Layout) -> *mut u8 {
        let mut heap = self.heap.borrow_mut();
        if let Ok(block) = heap.allocate_first_fit(layout) {
            return block.as_ptr();
        }
        // Small blocks that are free may be one large one.
        self.small.drain(|block, layout| {
            if let Some(block) = NonNull::new(block) {
                // SAFETY: it came from the list with this layout.
                unsafe { heap.deallocate(block, layout) }
            }
        });
        if let Ok(block) = heap.allocate_first_fit(layout) {
            return block.as_ptr();
        }
        grow(&mut heap, layout.size() + layout.align());
        heap.allocate_first_fit(layout)
            .map_or(ptr::null_mut(), NonNull::as_ptr)
    }
}

/// Maps pages behind the heap's end: `wanted` bytes and a little more, or as much as there is.
fn grow(heap: &mut Heap, wanted: usize) {
    let limit = with_kernel_map(|map| map.heap_size()).unwrap_or(0) as usize;
    let room = limit.saturating_sub(heap.size());
    let pages = wanted
        .max(GROWTH)
        .min(room)
        .div_ceil(PAGE_SIZE)
        .min(room / PAGE_SIZE);
    let start = HEAP_START as usize + heap.size();
    let mut mapped = 0;
    let mut batch = Batch::new();
    while mapped < pages {
        let Ok(frame) = alloc_frame(0) else { break };
        let entry = Pte::new(translate::mfn(frame), READ_WRITE);
        let address = (start + mapped * PAGE_SIZE) as u32;
        // SAFETY: nothing is mapped there yet, and the frame is ours alone.
        with_kernel_map(|map| unsafe { map.set(&mut batch, address, entry) });
        mapped += 1;
    }
    batch.flush();
    if mapped == 0 {
        return;
    }
    if heap.size() == 0 {
        // SAFETY: the pages were just mapped, at addresses that are the heap's.
        unsafe { heap.init(HEAP_START as *mut u8, mapped * PAGE_SIZE) }
    } else {
        // SAFETY: the pages were just mapped behind its end.
        unsafe { heap.extend(mapped * PAGE_SIZE) }
    }
}

/// Maps a part of the heap at once, of this share of the domain's memory, so that what the kernel usually needs does not
/// come and go with the programs.
pub(super) fn begin(pages: u32) {
    const SHARE: u32 = 64;
    grow(&mut HEAP.heap.borrow_mut(), (pages / SHARE) as usize * PAGE_SIZE);
}

/// Gives the heap a fixed piece of memory: for guests that do without [`super::init`].
///
/// # Panics
/// Where there is a heap already.
pub fn init_static(memory: &'static mut [u8]) {
    let mut heap = HEAP.heap.borrow_mut();
    assert_eq!(heap.size(), 0, "the heap exists");
    // SAFETY: the memory is given away for ever.
    unsafe { heap.init(memory.as_mut_ptr(), memory.len()) }
}

/// Bytes of the heap in use, and bytes mapped for it.
#[must_use]
pub fn usage() -> (usize, usize) {
    let heap = HEAP.heap.borrow();
    (heap.used() - HEAP.small.kept(), heap.size())
}

/// Bytes by which the heap could still grow in its address space, and bytes free inside it.
#[must_use]
pub fn room() -> (usize, usize) {
    let limit = with_kernel_map(|map| map.heap_size()).unwrap_or(0) as usize;
    let heap = HEAP.heap.borrow();
    (limit.saturating_sub(heap.size()), heap.free() + HEAP.small.kept())
}
