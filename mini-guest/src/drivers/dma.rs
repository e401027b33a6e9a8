//! Machine addresses of the kernel's memory, as devices need them.
//!
//! Consecutive pages of a domain are not consecutive in the machine. Everything here is one page or a part of one.

use core::ptr::NonNull;

use guest_abi::addr::{PAGE_SIZE, Pfn};

use crate::block::Segment;
use crate::linux::Errno;
use crate::mm::kernel_map::{self, read_entry};
use crate::mm::layout::{direct, direct_pfn};
use crate::mm::{alloc_frame, put_frame, translate, with_kernel_map};

/// A zeroed page that a device and its driver share.
#[derive(Debug)]
pub struct DmaPage {
    frame: Pfn,
}

impl DmaPage {
    /// Takes a page.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn new() -> Result<Self, Errno> {
        let frame = alloc_frame(0).map_err(|_| Errno::ENOMEM)?;
        // SAFETY: the frame was just taken.
        unsafe { kernel_map::zero_frame(frame) };
        Ok(Self { frame })
    }

    /// Machine address of byte `offset`.
    #[must_use]
    pub fn address(&self, offset: usize) -> u64 {
        assert!(offset < PAGE_SIZE);
        translate::machine_address(self.frame, offset as u32).raw()
    }

    /// Where byte `offset` is mapped. What is there is reached by volatile accesses alone.
    #[must_use]
    pub fn pointer(&self, offset: usize) -> NonNull<u8> {
        assert!(offset < PAGE_SIZE);
        let start = NonNull::new(direct(self.frame) as *mut u8).expect("the direct map is not at 0");
        // SAFETY: inside the page.
        unsafe { start.add(offset) }
    }

    /// `len` bytes of it as a piece of a request.
    ///
    /// # Safety
    /// As for [`Segment::new`].
    #[must_use]
    pub unsafe fn segment(&self, offset: usize, len: usize) -> Segment {
        assert!(offset + len <= PAGE_SIZE);
        // SAFETY: the caller's promise; the page is ours as long as `self` lives.
        unsafe { Segment::new(self.address(offset), len as u32, self.pointer(offset)) }
    }

    /// Gives the page away for good.
    #[must_use]
    pub fn leak(self) -> NonNull<u8> {
        let at = self.pointer(0);
        core::mem::forget(self);
        at
    }

    /// A page that was given away.
    ///
    /// # Safety
    /// `at` came from [`DmaPage::leak`], once.
    #[must_use]
    pub unsafe fn from_leaked(at: NonNull<u8>) -> Self {
        Self {
            frame: direct_pfn(at.as_ptr() as u32),
        }
    }
}

impl Drop for DmaPage {
    fn drop(&mut self) {
        put_frame(self.frame);
    }
}

/// The machine address of what the kernel has mapped at `at`: memory of its own or a frame of another domain that was granted.
///
/// # Panics
/// Where nothing is mapped.
#[must_use]
pub fn machine_address(at: NonNull<u8>) -> u64 {
    let address = at.as_ptr() as u32;
    let place = with_kernel_map(|map| map.l1_of(address)).flatten();
    let (table, index) = place.expect("an address of the kernel");
    let frame = read_entry(table, index).mfn().expect("a mapped address");
    frame.addr().raw() + u64::from(address) % PAGE_SIZE as u64
}
