//! Bringing in pages: zeroes, bytes of files, and copies of pages that were shared.

use core::slice;

use guest_abi::addr::{PAGE_SIZE, Pfn};
use guest_abi::mmu::{Pte, PteFlags};

use super::tables::mapped_frame;
use super::{AddressSpace, PAGE};
use crate::fs::Body;
use crate::mm::layout::direct;
use crate::mm::{alloc_user_frame, is_exclusive, put_frame, share_frame, translate, user_flags};
use crate::process::areas::{Area, Backing, Protection, Source};
use crate::process::page_cache;

/// Why an access cannot be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultError {
    /// Nothing may be there, or not this.
    NotAllowed,
    /// There is no memory for the page.
    OutOfMemory,
}

/// The entry for `frame` in an area with `protection`; `exclusive` where nobody else has the frame, so that it may be
/// written. A page without any access is left to the kernel alone.
pub(super) fn page_entry(frame: Pfn, protection: Protection, exclusive: bool) -> Pte {
    let mut flags = user_flags(protection.writable && exclusive);
    if !protection.readable {
        flags.remove(PteFlags::USER);
    }
    Pte::new(translate::mfn(frame), flags)
}

/// The bytes of a frame that the caller has just taken.
///
/// # Safety
/// Nobody else refers to the frame's bytes while the result lives.
pub(super) unsafe fn frame_bytes<'a>(frame: Pfn) -> &'a mut [u8] {
    // SAFETY: the frame is in the direct map; exclusive by the caller's promise.
    unsafe { slice::from_raw_parts_mut(direct(frame) as *mut u8, PAGE_SIZE) }
}

impl AddressSpace {
    /// Makes the page of `address` ready for a read or a write.
    ///
    /// # Errors
    /// The access is not allowed, or memory is short.
    pub fn fault(&mut self, address: u32, write: bool) -> Result<(), FaultError> {
        let page = address & !(PAGE - 1);
        let area = self.areas.find(page).ok_or(FaultError::NotAllowed)?;
        let protection = area.protection;
        if !protection.readable || (write && !protection.writable) {
            return Err(FaultError::NotAllowed);
        }
        let entry = self.tables.entry(page);
        if area.is_foreign() {
            // Either it was mapped, as the area allows, or there is nothing that could be brought in.
            return if entry.is_present() {
                Ok(())
            } else {
                Err(FaultError::NotAllowed)
            };
        }
        let Some(frame) = mapped_frame(entry) else {
            let area = area.clone();
            return self.bring_in(&area, page, write);
        };
        if !write || entry.is_writable() {
            // The page is there: what the TLB holds is older than the entry, or the entry than the protection.
            let entry = page_entry(frame, protection, entry.is_writable());
            self.write_entry(page, entry);
            return Ok(());
        }
        let own = if is_exclusive(frame) {
            frame
        } else {
            self.copy_of(frame)?
        };
        self.write_entry(page, page_entry(own, protection, true));
        if own != frame {
            put_frame(frame);
        }
        Ok(())
    }

    /// A frame of our own with the content of `frame`.
    fn copy_of(&self, frame: Pfn) -> Result<Pfn, FaultError> {
        let copy = new_frame()?;
        // SAFETY: the copy was just taken.
        let to = unsafe { frame_bytes(copy) };
        // SAFETY: the frame is read only, and no program runs meanwhile.
        let from = unsafe { frame_bytes(frame) };
        to.copy_from_slice(from);
        Ok(copy)
    }

    fn bring_in(&mut self, area: &Area, page: u32, write: bool) -> Result<(), FaultError> {
        self.tables.make_l1(page).map_err(|_| FaultError::OutOfMemory)?;
        let (frame, exclusive) = match &area.source {
            Source::File(backing) => content(backing, page - area.range.start, write)?,
            Source::Zeroes => (new_frame()?, true),
            Source::Foreign => return Err(FaultError::NotAllowed),
        };
        self.write_entry(page, page_entry(frame, area.protection, exclusive));
        self.resident += 1;
        Ok(())
    }
}

/// A frame with the part of a file that belongs `offset` bytes into an area, and whether it is ours alone.
///
/// A whole page of the file that is only read comes from the page cache and is shared.
fn content(backing: &Backing, offset: u32, write: bool) -> Result<(Pfn, bool), FaultError> {
    let Body::File(file) = &backing.inode.body else {
        return Err(FaultError::NotAllowed);
    };
    let at = backing.offset + u64::from(offset);
    let len = backing.len.saturating_sub(offset).min(PAGE) as usize;
    let is_whole = len == PAGE_SIZE && at.is_multiple_of(u64::from(PAGE));
    if is_whole && !write {
        let (ino, version) = (backing.inode.ino, file.version.get());
        if let Some(frame) = page_cache::get(ino, version, at) {
            return Ok((frame, false));
        }
    }
    let frame = new_frame()?;
    // SAFETY: the frame was just taken.
    let bytes = unsafe { frame_bytes(frame) };
    file.data.borrow().read_at(at, &mut bytes[..len]);
    if is_whole && !write && page_cache::put(backing.inode.ino, file.version.get(), at, frame) {
        share_frame(frame);
        return Ok((frame, false));
    }
    Ok((frame, true))
}

/// A zeroed frame, if need be one that the page cache gives up.
fn new_frame() -> Result<Pfn, FaultError> {
    alloc_user_frame().or_else(|_| {
        page_cache::shrink();
        alloc_user_frame().map_err(|_| FaultError::OutOfMemory)
    })
}
