//! Pages that other domains grant to this one, mapped in the window for the kernel and for devices.
//!
//! Source: Xen 4.x, `public/grant_table.h`; [`guest_abi::grant_table`].

use alloc::vec::Vec;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use guest_abi::domain::DomId;
use guest_abi::grant_table::{GrantCmd, GrantStatus, MapFlags, MapGrantRef, UnmapGrantRef};
use guest_abi::io::ring::RingIndices;

use super::window::{Place, copy_in, copy_out};
use crate::blkif::{Mapping, RingPage};
use crate::block::Segment;
use crate::hypercall;
use crate::linux::Errno;

/// A granted page; unmapped when dropped.
#[derive(Debug)]
pub struct GrantedPage {
    place: Place,
    handle: u32,
    bus: u64,
}

impl GrantedPage {
    /// Maps pages of `domain`: each a reference, and whether it is to be written. All of them or none.
    ///
    /// # Errors
    /// ENOSPC: there is no room for them, in the window or at the hypervisor; EACCES: what is not granted.
    pub fn map(domain: DomId, wanted: &[(u32, bool)]) -> Result<Vec<Self>, Errno> {
        let places: Option<Vec<Place>> = wanted.iter().map(|_| Place::take()).collect();
        let places = places.ok_or(Errno::ENOSPC)?;
        let both = MapFlags::HOST_MAP | MapFlags::DEVICE_MAP;
        let mut records: Vec<MapGrantRef> = wanted
            .iter()
            .zip(&places)
            .map(|(&(reference, is_writable), place)| MapGrantRef {
                host_addr: u64::from(place.address()),
                flags: if is_writable {
                    both
                } else {
                    both | MapFlags::READ_ONLY
                },
                reference,
                dom: domain,
                status: GrantStatus::GENERAL_ERROR,
                ..MapGrantRef::default()
            })
            .collect();
        // SAFETY: the places are ours and nothing is there; the records are of the command's type.
        let answer = unsafe { hypercall::grant_table_op(GrantCmd::MAP_GRANT_REF.raw(), &mut records) };
        let has_room = records
            .iter()
            .all(|record| record.status != GrantStatus::NO_DEVICE_SPACE);
        let mut pages = Vec::new();
        for (record, place) in records.iter().zip(places) {
            if answer.is_ok() && record.status == GrantStatus::OKAY {
                pages.push(Self {
                    place,
                    handle: record.handle,
                    bus: record.dev_bus_addr,
                });
            }
        }
        // Those that were mapped are unmapped where others were not.
        if pages.len() == wanted.len() {
            Ok(pages)
        } else if has_room {
            Err(Errno::EACCES)
        } else {
            Err(Errno::ENOSPC)
        }
    }

    /// What a backend says that cannot map a ring.
    #[must_use]
    pub fn refusal(error: Errno) -> &'static str {
        match error {
            Errno::ENOSPC => "there is no room left to map the ring in",
            _ => "the ring's page is not granted",
        }
    }
}

impl GrantedPage {
    /// Unmaps pages, all by one call.
    pub fn unmap(pages: Vec<Self>) {
        let mut records: Vec<UnmapGrantRef> = pages.iter().map(Self::unmapping).collect();
        unmap(&mut records);
        for page in pages {
            page.forget();
        }
    }

    /// What takes it away.
    fn unmapping(&self) -> UnmapGrantRef {
        UnmapGrantRef {
            host_addr: u64::from(self.place.address()),
            dev_bus_addr: self.bus,
            handle: self.handle,
            status: GrantStatus::GENERAL_ERROR,
            pad: 0,
        }
    }

    /// It is unmapped already: its place is free.
    fn forget(self) {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped, and nobody looks at it again.
        drop(unsafe { core::ptr::read(&raw const this.place) });
    }
}

/// Has mappings taken away that nobody uses any more.
fn unmap(records: &mut [UnmapGrantRef]) {
    if records.is_empty() {
        return;
    }
    // SAFETY: nobody uses the pages any more; the records are of the command's type.
    let answer = unsafe { hypercall::grant_table_op(GrantCmd::UNMAP_GRANT_REF.raw(), records) };
    let refused = records.iter().find(|record| record.status != GrantStatus::OKAY);
    if answer.is_err() || refused.is_some() {
        panic!("granted pages cannot be unmapped: {answer:?} {refused:?}");
    }
}

impl Drop for GrantedPage {
    fn drop(&mut self) {
        unmap(&mut [self.unmapping()]);
    }
}

impl Mapping for GrantedPage {
    fn segment(&self, offset: u32, len: u32) -> Segment {
        assert!(offset as usize + len as usize <= guest_abi::addr::PAGE_SIZE);
        let at = (self.place.address() + offset) as *mut u8;
        let mapped = NonNull::new(at).expect("the window is not at 0");
        // SAFETY: the frame stays mapped and granted until this is dropped, which the backend does after the completion;
        // nobody has a reference into it.
        unsafe { Segment::new(self.bus + u64::from(offset), len, mapped) }
    }

    fn read(&self, into: &mut [u8]) {
        copy_out(self.place.address(), 0, into);
    }
}

impl RingPage for GrantedPage {
    fn indices(&self) -> &RingIndices {
        // SAFETY: the page is mapped as long as the result lives, aligned, and these are atomics.
        unsafe { &*(self.place.address() as *const RingIndices) }
    }

    fn read(&self, offset: usize, into: &mut [u8]) {
        copy_out(self.place.address(), offset, into);
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        copy_in(self.place.address(), offset, bytes);
    }
}
