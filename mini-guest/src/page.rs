//! A page of memory for the kernel's own bulk data: the bytes of files.
//!
//! In the guest it is a frame, reached through the direct map, so that memory goes back to the programs when a file is removed (the
//! heap never shrinks). On the host, where the tests of files run, it is a box. A page for disks is made of frames that may be granted for long.

#[cfg(not(target_os = "none"))]
use alloc::boxed::Box;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use crate::block::Segment;
use crate::linux::Errno;

/// Bytes in a page.
pub const PAGE: usize = 4096;

/// A zeroed page of one's own.
#[derive(Debug)]
pub struct Page(Store);

#[cfg(not(target_os = "none"))]
type Store = Box<[u8; PAGE]>;
#[cfg(target_os = "none")]
type Store = Frame;

/// A frame, and whose it is when the page is given back.
#[cfg(target_os = "none")]
#[derive(Debug)]
struct Frame {
    pfn: guest_abi::addr::Pfn,
    is_for_disks: bool,
}

#[cfg(not(target_os = "none"))]
impl Page {
    /// A page of zeroes.
    ///
    /// # Errors
    /// None here; ENOMEM in the guest.
    pub fn new() -> Result<Self, Errno> {
        Ok(Self(Box::new([0; PAGE])))
    }

    /// A page of zeroes for what a disk reads and writes.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn for_disk() -> Result<Self, Errno> {
        Self::new()
    }
}

#[cfg(target_os = "none")]
impl Page {
    /// A page of zeroes.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn new() -> Result<Self, Errno> {
        Self::of(false, crate::mm::alloc_user_frame)
    }

    /// A page of zeroes for what a disk reads and writes. Where another domain has the disk, its frame may stay granted, and is used for such pages alone.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn for_disk() -> Result<Self, Errno> {
        Self::of(true, crate::mm::disk_frames::take)
    }

    fn of(
        is_for_disks: bool,
        take: impl Fn() -> Result<guest_abi::addr::Pfn, crate::mm::frames::OutOfFrames>,
    ) -> Result<Self, Errno> {
        let pfn = take().or_else(|_| {
            crate::process::page_cache::shrink();
            take().map_err(|_| Errno::ENOMEM)
        })?;
        Ok(Self(Frame { pfn, is_for_disks }))
    }

    fn bytes(&self) -> *mut u8 {
        crate::mm::layout::direct(self.0.pfn) as *mut u8
    }
}

#[cfg(target_os = "none")]
impl Drop for Page {
    fn drop(&mut self) {
        if self.0.is_for_disks {
            crate::mm::disk_frames::put(self.0.pfn);
        } else {
            crate::mm::put_frame(self.0.pfn);
        }
    }
}

#[cfg(not(target_os = "none"))]
impl Deref for Page {
    type Target = [u8; PAGE];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

#[cfg(not(target_os = "none"))]
impl DerefMut for Page {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

#[cfg(target_os = "none")]
impl Deref for Page {
    type Target = [u8; PAGE];

    fn deref(&self) -> &Self::Target {
        // SAFETY: the frame is ours alone, mapped, initialised, and borrowed for as long as `self` is.
        unsafe { &*self.bytes().cast() }
    }
}

#[cfg(target_os = "none")]
impl DerefMut for Page {
    fn deref_mut(&mut self) -> &mut Self::Target {
        // SAFETY: as above, exclusively.
        unsafe { &mut *self.bytes().cast() }
    }
}

impl Page {
    /// The first `len` bytes as a piece of a request to a disk.
    ///
    /// # Safety
    /// As for [`Segment::new`].
    #[must_use]
    pub unsafe fn segment(&mut self, len: usize) -> Segment {
        assert!(len <= PAGE);
        #[cfg(target_os = "none")]
        let (address, at) = (
            crate::mm::translate::machine_address(self.0.pfn, 0).raw(),
            self.bytes(),
        );
        #[cfg(not(target_os = "none"))]
        let (address, at) = (0, self.0.as_mut_ptr());
        let at = NonNull::new(at).expect("a page is not at 0");
        // SAFETY: the caller's promise.
        unsafe { Segment::new(address, len as u32, at) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_zero_and_keeps_what_is_written() {
        let mut page = Page::new().unwrap();
        assert!(page.iter().all(|byte| *byte == 0));
        page[4095] = 7;
        assert_eq!(page[4095], 7);
    }
}
