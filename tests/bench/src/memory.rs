//! Pages to measure with, and where their page-table entries are.

use core::cell::UnsafeCell;
use core::ptr;

use guest_abi::addr::{GuestVirt, MachAddr, Pfn};
use mini_guest::mm::{
    self,
    kernel_map::{KernelMap, frame_of, read_entry},
    layout::{direct, top_slot},
    translate,
};

/// A free frame.
pub fn frame() -> Pfn {
    mm::alloc_frame(0).expect("the machine has memory to spare")
}

/// Runs `work` with the kernel's map.
pub fn with_map<R>(work: impl FnOnce(&KernelMap) -> R) -> R {
    mm::with_kernel_map(work).expect("memory is set up")
}

/// The L1 that maps `frame` in the direct map, and the entry's index.
pub fn entry_of(frame: Pfn) -> (Pfn, usize) {
    let at = direct(frame);
    let top = frame_of(read_entry(with_map(KernelMap::base), 3)).expect("the root has its slot 3");
    let l1 = frame_of(read_entry(top, top_slot(at))).expect("the direct map has its L1s");
    (l1, GuestVirt::new(at).table_index(1))
}

/// Machine address of that entry.
pub fn entry_address(frame: Pfn) -> MachAddr {
    let (l1, index) = entry_of(frame);
    translate::machine_address(l1, index as u32 * 8)
}

/// What turns an entry for `a` into one for `b`, in the low word.
pub fn flip(a: Pfn, b: Pfn) -> u32 {
    let bits = (translate::mfn(a).raw() ^ translate::mfn(b).raw()).checked_mul(4096);
    bits.expect("both frames below 4 GiB")
}

/// Something that the hypervisor reads while a loop runs.
#[repr(C, align(4096))]
pub struct Shared<T>(UnsafeCell<T>);

// SAFETY: one processor; Rust code writes only between runs of the loops.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Holds `value`.
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Where the value is.
    pub const fn get(&self) -> *mut T {
        self.0.get()
    }

    /// Replaces the value; gives its address.
    pub fn set(&self, value: T) -> u32 {
        // SAFETY: no loop runs now, and no reference to the value exists.
        unsafe { self.0.get().write_volatile(value) };
        ptr::from_ref(self) as u32
    }
}
