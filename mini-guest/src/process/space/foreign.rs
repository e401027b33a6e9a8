//! Frames of other domains in a program's address space: mapped one by one where an area was made for them.
//!
//! Such an entry bears [`FOREIGN`]: no fork shares it, nothing gives its frame to our allocator, and what the hypervisor
//! counts of it ends when the entry is overwritten or its table goes.
//!
//! Source: Xen 2.0 interface: MMUEXT_SET_FOREIGNDOM; Linux's privcmd driver.

use core::ops::Range;

use arrayvec::ArrayVec;
use guest_abi::addr::Mfn;
use guest_abi::domain::DomId;
use guest_abi::mmu::{Extended, MmuUpdate, Pte};

use super::tables::{FOREIGN, index};
use super::{AddressSpace, PAGE};
use crate::hypercall;
use crate::linux::Errno;
use crate::mm::translate::machine_address;
use crate::mm::{batch::Batch, user_flags};

/// Requests in one hypercall: the owner, the entries, the flush.
const BATCH: usize = 66;
/// Entries in one hypercall.
const ENTRIES: usize = BATCH - 2;

/// Why foreign frames were not mapped; none of the request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignError {
    /// What is wrong.
    pub errno: Errno,
    /// Which frame of the request the hypervisor refused; one beyond the last where it was not one frame's fault.
    pub at: usize,
}

impl AddressSpace {
    /// Maps the frames `mfns` of `domain` from `start` on, in areas that were made for foreign frames. They can be
    /// written where the area can. Pages that were mapped there are replaced.
    ///
    /// # Errors
    /// EINVAL: not page-aligned, or not in such an area; ENOMEM; what the hypervisor says to a frame.
    pub fn map_foreign(&mut self, domain: DomId, start: u32, mfns: &[Mfn]) -> Result<(), ForeignError> {
        let refused = |errno| ForeignError {
            errno,
            at: mfns.len(),
        };
        let range = u32::try_from(mfns.len())
            .ok()
            .and_then(|count| count.checked_mul(PAGE))
            .and_then(|len| start.checked_add(len))
            .filter(|_| start.is_multiple_of(PAGE))
            .map(|end| start..end)
            .ok_or(refused(Errno::EINVAL))?;
        // Everything that may fail of our own comes first.
        for page in range.clone().step_by(PAGE as usize) {
            let area = self.areas.find(page).filter(|area| area.is_foreign());
            area.ok_or(refused(Errno::EINVAL))?;
            self.tables.make_l1(page).map_err(|_| refused(Errno::ENOMEM))?;
        }
        let mut page = start;
        for (chunk, frames) in mfns.chunks(ENTRIES).enumerate() {
            if let Err((errno, at)) = self.map_chunk(domain, page, frames) {
                self.clear_foreign(range);
                return Err(ForeignError {
                    errno,
                    at: chunk * ENTRIES + at,
                });
            }
            page += frames.len() as u32 * PAGE;
        }
        Ok(())
    }

    /// Maps up to [`ENTRIES`] frames by one hypercall. Fails with the place of the frame that was refused; those
    /// before it are mapped then.
    fn map_chunk(&self, domain: DomId, start: u32, frames: &[Mfn]) -> Result<(), (Errno, usize)> {
        let mut requests = ArrayVec::<_, BATCH>::new();
        if domain != DomId::SELF {
            requests.push(MmuUpdate::extended(Extended::SetForeignDom { domain }));
        }
        let before = requests.len();
        for (page, mfn) in (start..).step_by(PAGE as usize).zip(frames) {
            let is_writable = self.areas.find(page).is_some_and(|area| area.protection.writable);
            let entry = Pte::new(*mfn, user_flags(is_writable) | FOREIGN);
            let l1 = self.tables.l1(page).ok_or((Errno::ENOMEM, frames.len()))?;
            requests.push(MmuUpdate::normal(
                machine_address(l1, index(page, 1) as u32 * 8),
                entry,
            ));
        }
        requests.push(MmuUpdate::extended(Extended::TlbFlush));
        // SAFETY: the pages are the program's, in areas where the kernel holds no reference.
        unsafe { hypercall::mmu_update(&requests) }.map_err(|error| {
            // A refused owner is no frame's fault.
            let at = (error.done as usize).checked_sub(before).unwrap_or(frames.len());
            let at = at.min(frames.len());
            (Errno::from_hypervisor(error.errno), at)
        })
    }

    /// Takes foreign frames out of a range.
    pub fn clear_foreign(&self, range: Range<u32>) {
        let mut batch = Batch::new();
        for (page, l1, entry) in self.tables.mapped(range) {
            if entry.raw() & FOREIGN.bits() != 0 {
                // SAFETY: the page is the program's, in an area where the kernel holds no reference.
                unsafe { batch.set(l1, index(page, 1), Pte::EMPTY) };
            }
        }
        batch.flush_tlb();
    }

    /// Brings in every page of a range, as for writing where that is allowed: so a hypervisor that is given an address
    /// there finds the page. What is mapped of other domains stays as it is.
    ///
    /// # Errors
    /// ENOMEM: a part is in no area, or memory is short. EAGAIN: a page may not be accessed at all.
    pub fn populate(&mut self, range: Range<u32>) -> Result<(), Errno> {
        if !self.areas.is_covered(&range) {
            return Err(Errno::ENOMEM);
        }
        for page in range.step_by(PAGE as usize) {
            let writable = self.areas.find(page).is_some_and(|area| area.protection.writable);
            self.fault(page, writable).map_err(|error| match error {
                super::FaultError::OutOfMemory => Errno::ENOMEM,
                super::FaultError::NotAllowed => Errno::EAGAIN,
            })?;
        }
        Ok(())
    }
}
