//! The heap: a linked list of free blocks in the memory below the program break, which grows as needed.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};

use linked_list_allocator::Heap;
use spin::Mutex;

use crate::sys;

/// The break is moved by at least this much, so that small allocations need few system calls.
const GROWTH: usize = 64 * 1024;

struct BreakHeap(Mutex<Heap>);

#[global_allocator]
static HEAP: BreakHeap = BreakHeap(Mutex::new(Heap::empty()));

/// Moves the break up so that a block of `layout` will fit; false when the kernel refuses.
fn grow(heap: &mut Heap, layout: Layout) -> bool {
    // The block, its alignment and the allocator's own bookkeeping.
    let Some(wanted) = layout
        .size()
        .checked_add(layout.align())
        .and_then(|size| size.checked_add(64))
    else {
        return false;
    };
    let wanted = wanted.max(GROWTH).next_multiple_of(4096);
    let old = if heap.size() == 0 {
        sys::brk(0).next_multiple_of(16)
    } else {
        sys::brk(0)
    };
    let Some(new) = old.checked_add(wanted) else {
        return false;
    };
    if old == 0 || sys::brk(new) != new {
        return false;
    }
    if heap.size() == 0 {
        // SAFETY: the kernel has just given us old..new, and nobody else moves the break.
        unsafe { heap.init(old as *mut u8, wanted) };
    } else {
        // SAFETY: the heap ends at the old break, since only this function moves it.
        unsafe { heap.extend(wanted) };
    }
    true
}

// SAFETY: blocks come from the linked-list allocator under a lock; a refused growth gives a null pointer.
unsafe impl GlobalAlloc for BreakHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let mut heap = self.0.lock();
        loop {
            match heap.allocate_first_fit(layout) {
                Ok(block) => return block.as_ptr(),
                Err(()) if grow(&mut heap, layout) => {}
                Err(()) => return ptr::null_mut(),
            }
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: the caller gives back what `alloc` gave for this layout.
            unsafe { self.0.lock().deallocate(block, layout) };
        }
    }
}
