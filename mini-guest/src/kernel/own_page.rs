//! A page of ours that another domain has mapped, or copies from and to.

use alloc::rc::Rc;

use guest_abi::addr::Pfn;
use guest_abi::domain::DomId;
use guest_abi::io::ring::RingIndices;

use crate::blkif::RingPage;
use crate::grants::Grants;
use crate::mm::kernel_map::zero_frame;
use crate::mm::layout::direct;
use crate::mm::window::{copy_in, copy_out};
use crate::mm::{alloc_frame, put_frame, translate};

/// A frame and its grant. When it is dropped the grant ends, and the frame is free when nobody has it mapped any more.
pub(super) struct OwnPage {
    frame: Pfn,
    reference: u32,
    grants: Rc<Grants>,
}

impl OwnPage {
    /// A page of zeroes, granted to `domain`; none where there is no memory, or no free grant.
    pub fn new(grants: &Rc<Grants>, domain: DomId, is_read_only: bool) -> Option<Self> {
        let frame = alloc_frame(0).ok()?;
        // SAFETY: the frame was just taken.
        unsafe { zero_frame(frame) };
        let Some(reference) = grants.grant(domain, translate::mfn(frame), is_read_only) else {
            put_frame(frame);
            return None;
        };
        Some(Self {
            frame,
            reference,
            grants: grants.clone(),
        })
    }

    /// Its grant.
    pub const fn reference(&self) -> u32 {
        self.reference
    }
}

impl RingPage for OwnPage {
    fn indices(&self) -> &RingIndices {
        // SAFETY: a page of the direct map, aligned, ours until the drop; these are atomics.
        unsafe { &*(direct(self.frame) as *const RingIndices) }
    }

    fn read(&self, offset: usize, into: &mut [u8]) {
        copy_out(direct(self.frame), offset, into);
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        copy_in(direct(self.frame), offset, bytes);
    }
}

impl Drop for OwnPage {
    fn drop(&mut self) {
        self.grants.end_with(self.reference, self.frame);
    }
}
