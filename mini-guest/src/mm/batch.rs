//! Page-table updates gathered into few hypercalls.

use arrayvec::ArrayVec;
use guest_abi::addr::{GuestVirt, MachAddr, Pfn};
use guest_abi::mmu::{Extended, MmuUpdate, Pte};

use super::translate::{machine_address, mfn};
use crate::hypercall;
use crate::linux::Errno;

/// Requests in one hypercall.
const CAPACITY: usize = 128;

/// Updates that will be made in order, at the latest when the batch is dropped.
///
/// The kernel asks only for what it knows to be allowed, so a refusal means that its picture of its own tables is
/// wrong: it stops with a report of the request.
#[derive(Default)]
pub struct Batch {
    requests: ArrayVec<MmuUpdate, CAPACITY>,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds any request.
    ///
    /// # Safety
    /// What the request changes must be mappings that the caller has the use of alone.
    pub unsafe fn push(&mut self, request: MmuUpdate) {
        if self.requests.is_full() {
            self.flush();
        }
        self.requests.push(request);
    }

    /// Writes entry `index` of page table `table`.
    ///
    /// # Safety
    /// As for [`Batch::push`].
    pub unsafe fn set(&mut self, table: Pfn, index: usize, entry: Pte) {
        assert!(index < 512);
        // SAFETY: the caller's promise.
        unsafe { self.push(MmuUpdate::normal(machine_address(table, index as u32 * 8), entry)) }
    }

    /// Pins `table` as an L3.
    pub fn pin_l3(&mut self, table: Pfn) {
        // SAFETY: a pin changes no mapping.
        unsafe {
            self.push(MmuUpdate::extended(Extended::Pin {
                level: 3,
                frame: mfn(table).addr(),
            }))
        }
    }

    /// Unpins `table`.
    pub fn unpin(&mut self, table: Pfn) {
        // SAFETY: the tables may lose their types, but no mapping in force changes.
        unsafe {
            self.push(MmuUpdate::extended(Extended::Unpin {
                frame: mfn(table).addr(),
            }))
        }
    }

    /// Loads `table` as the base.
    ///
    /// # Safety
    /// It maps the kernel as the table before did.
    pub unsafe fn load_base(&mut self, table: Pfn) {
        // SAFETY: the caller's promise.
        unsafe {
            self.push(MmuUpdate::extended(Extended::NewBasePtr {
                l3: mfn(table).addr(),
            }))
        }
    }

    /// Flushes the whole TLB at the end of the hypercall that holds this request.
    pub fn flush_tlb(&mut self) {
        // SAFETY: a flush changes no mapping.
        unsafe { self.push(MmuUpdate::extended(Extended::TlbFlush)) }
    }

    /// Flushes one address.
    pub fn flush_page(&mut self, address: u32) {
        // SAFETY: as above.
        unsafe {
            self.push(MmuUpdate::extended(Extended::Invlpg {
                address: GuestVirt::new(address),
            }))
        }
    }

    /// Makes the hypercall.
    ///
    /// # Panics
    /// Where the hypervisor refuses.
    pub fn flush(&mut self) {
        if self.requests.is_empty() {
            return;
        }
        // SAFETY: `push` made the caller of each request promise what this needs.
        if let Err(error) = unsafe { hypercall::mmu_update(&self.requests) } {
            let request = self.requests.get(error.done as usize);
            panic!(
                "page-table update {request:x?} (number {}) refused: {}",
                error.done, error.errno
            );
        }
        self.requests.clear();
    }
}

/// Writes one entry of a table of ours, which maps `address`, where the hypervisor may refuse.
///
/// # Errors
/// What it answers.
///
/// # Safety
/// Nobody uses what is mapped at `address`.
pub unsafe fn try_update(place: MachAddr, entry: Pte, address: u32) -> Result<(), Errno> {
    let flush = MmuUpdate::extended(Extended::Invlpg {
        address: GuestVirt::new(address),
    });
    // SAFETY: the caller's promise.
    unsafe { hypercall::mmu_update(&[MmuUpdate::normal(place, entry), flush]) }
        .map_err(|error| Errno::from_hypervisor(error.errno))
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.flush();
    }
}
