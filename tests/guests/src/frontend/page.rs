//! A page of the guest's as a ring, and as data.

use guest_abi::io::ring::RingIndices;
use mini_guest::blkif::RingPage;

use crate::pages;

/// A page that the backend may reach at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page(pub pages::Page);

impl Page {
    /// One that nobody uses.
    pub fn take() -> Self {
        Self(pages::Page::take())
    }
}

impl RingPage for Page {
    fn indices(&self) -> &RingIndices {
        // SAFETY: a page of this kernel's that is always mapped; these are atomics.
        unsafe { &*(self.0.0 as *const RingIndices) }
    }

    fn read(&self, offset: usize, into: &mut [u8]) {
        for (n, byte) in into.iter_mut().enumerate() {
            // SAFETY: inside the page by the layout of the ring.
            *byte = unsafe { ((self.0.0 as usize + offset + n) as *const u8).read_volatile() };
        }
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        for (n, byte) in bytes.iter().enumerate() {
            // SAFETY: as above.
            unsafe { ((self.0.0 as usize + offset + n) as *mut u8).write_volatile(*byte) };
        }
    }
}
