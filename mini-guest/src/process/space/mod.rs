//! A program's address space: what may be there ([`Areas`]), and the page tables that say what is.
//!
//! | module | one line |
//! |---|---|
//! | `tables` | L3, L2s, L1s and their life |
//! | `fault` | bringing in a page, copy-on-write |
//! | `fork` | a copy that shares all pages |
//! | `access` | copies between kernel and program |
//! | `foreign` | frames of other domains |

use alloc::rc::Rc;
use core::ops::Range;

use guest_abi::addr::{GuestVirt, PAGE_SIZE};
use guest_abi::mmu::{Pte, UvmFlags};

use super::areas::{Area, Areas, Protection, Source};
use crate::fs::Inode;
use crate::fs::inode::Running;
use crate::hypercall;
use crate::linux::Errno;
use crate::linux::process::STACK_BYTES;
use crate::mm::batch::Batch;
use crate::mm::frames::OutOfFrames;
use crate::mm::{layout::USER_END, put_frame};

mod access;
mod fault;
mod foreign;
mod fork;
mod tables;

pub use fault::FaultError;
use tables::{Tables, index, mapped_frame};

/// The address above a program's stack.
pub const STACK_TOP: u32 = USER_END - PAGE_SIZE as u32;
/// Mappings without a wish are made below this.
const MAP_LIMIT: u32 = STACK_TOP - STACK_BYTES - (1 << 20);
/// Bytes in a page.
const PAGE: u32 = PAGE_SIZE as u32;

/// Reads and writes.
pub const READ_WRITE: Protection = Protection {
    readable: true,
    writable: true,
};

/// An address space.
#[derive(Debug)]
pub struct AddressSpace {
    areas: Areas,
    tables: Tables,
    brk_start: u32,
    brk: u32,
    resident: u32,
    running: Option<Running>,
}

impl AddressSpace {
    /// An address space with a stack and nothing else.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn new() -> Result<Self, Errno> {
        let tables = Tables::new().map_err(|OutOfFrames| Errno::ENOMEM)?;
        let mut space = Self {
            areas: Areas::default(),
            tables,
            brk_start: 0,
            brk: 0,
            resident: 0,
            running: None,
        };
        let range = STACK_TOP - STACK_BYTES..STACK_TOP;
        space.areas.insert(Area {
            range,
            protection: READ_WRITE,
            source: Source::Zeroes,
        })?;
        Ok(space)
    }

    /// The tables' root and whether it is loaded.
    #[must_use]
    pub fn root(&self) -> (guest_abi::addr::Pfn, bool) {
        (self.tables.root(), self.tables.is_loaded())
    }

    /// Notes that the root is loaded now.
    pub fn note_loaded(&self) {
        self.tables.note_loaded();
    }

    /// Bytes that may be used, and bytes that are there.
    #[must_use]
    pub fn sizes(&self) -> (u64, u64) {
        (self.areas.bytes(), u64::from(self.resident) * u64::from(PAGE))
    }

    /// Says whose program this is.
    pub fn set_program(&mut self, inode: Rc<Inode>) {
        self.running = Some(Running::new(inode));
    }

    /// Says where the break begins.
    pub fn set_brk_start(&mut self, start: u32) {
        (self.brk_start, self.brk) = (start, start);
    }

    /// Moves the break, where that can be done, and gives it.
    pub fn set_brk(&mut self, wanted: u32) -> u32 {
        if wanted < self.brk_start || wanted > MAP_LIMIT {
            return self.brk;
        }
        let (old_end, new_end) = (self.brk.next_multiple_of(PAGE), wanted.next_multiple_of(PAGE));
        let moved = if new_end > old_end {
            let range = old_end..new_end;
            if self.areas.is_free(&range) {
                self.areas.insert(Area {
                    range,
                    protection: READ_WRITE,
                    source: Source::Zeroes,
                })
            } else {
                Err(Errno::ENOMEM)
            }
        } else if new_end < old_end {
            self.unmap(new_end..old_end)
        } else {
            Ok(())
        };
        if moved.is_ok() {
            self.brk = wanted;
        }
        self.brk
    }

    /// Maps `len` bytes: at `fixed`, in place of what is there, or near `hint`, or anywhere. Gives the address.
    ///
    /// # Errors
    /// EINVAL, ENOMEM.
    pub fn map(
        &mut self,
        fixed: Option<u32>,
        hint: u32,
        len: u32,
        protection: Protection,
        source: Source,
    ) -> Result<u32, Errno> {
        let len = len
            .checked_next_multiple_of(PAGE)
            .filter(|len| *len > 0)
            .ok_or(Errno::ENOMEM)?;
        let at = |start: u32| {
            start
                .checked_add(len)
                .filter(|end| *end <= USER_END)
                .map(|end| start..end)
        };
        let range = match fixed {
            Some(start) => at(start).ok_or(Errno::ENOMEM)?,
            None => at(hint & !(PAGE - 1))
                .filter(|range| hint != 0 && range.end <= MAP_LIMIT && self.areas.is_free(range))
                .map_or_else(|| self.areas.find_free(len, MAP_LIMIT), Ok)?,
        };
        let start = range.start;
        self.areas.insert(Area {
            range: range.clone(),
            protection,
            source,
        })?;
        self.remove_pages(range);
        Ok(start)
    }

    /// Whether nothing may be used in a range.
    #[must_use]
    pub fn is_free(&self, range: &Range<u32>) -> bool {
        self.areas.is_free(range)
    }

    /// Removes a range and the pages in it.
    ///
    /// # Errors
    /// EINVAL, ENOMEM; nothing is changed.
    pub fn unmap(&mut self, range: Range<u32>) -> Result<(), Errno> {
        self.areas.remove(range.clone())?;
        self.remove_pages(range);
        Ok(())
    }

    /// Changes what is allowed in a range.
    ///
    /// # Errors
    /// EINVAL, ENOMEM, EACCES; nothing is changed.
    pub fn protect(&mut self, range: Range<u32>, protection: Protection) -> Result<(), Errno> {
        self.areas.protect(range.clone(), protection)?;
        let mut batch = Batch::new();
        // What is allowed now appears with the next fault, which knows whether a page is shared.
        for (page, l1, entry) in self.tables.mapped(range) {
            if let Some(frame) = mapped_frame(entry) {
                // SAFETY: the page is the program's, and less is allowed than before or found out by a fault.
                unsafe { batch.set(l1, index(page, 1), fault::page_entry(frame, protection, false)) };
            }
        }
        batch.flush_tlb();
        Ok(())
    }

    /// Takes the pages of a range out of the tables and gives their frames back.
    fn remove_pages(&mut self, range: Range<u32>) {
        let mut frames = arrayvec::ArrayVec::<_, 64>::new();
        let mut batch = Batch::new();
        for (page, l1, entry) in self.tables.mapped(range) {
            // SAFETY: the page is the program's, which asked for this.
            unsafe { batch.set(l1, index(page, 1), Pte::EMPTY) };
            // A foreign frame is its owner's: the entry was all that we had of it.
            let Some(frame) = mapped_frame(entry) else {
                continue;
            };
            frames.push(frame);
            self.resident -= 1;
            if frames.is_full() {
                // Frames go back only when nobody can reach them through the TLB any more.
                batch.flush_tlb();
                batch.flush();
                frames.drain(..).for_each(put_frame);
            }
        }
        batch.flush_tlb();
        batch.flush();
        frames.drain(..).for_each(put_frame);
    }

    /// Writes the entry of a page whose L1 exists, and drops what the TLB has of it.
    fn write_entry(&self, page: u32, entry: Pte) {
        if self.tables.is_loaded() {
            // SAFETY: the page is the program's; the kernel holds no reference into it.
            let written =
                unsafe { hypercall::update_va_mapping(GuestVirt::new(page), entry, UvmFlags::INVLPG) };
            if let Err(errno) = written {
                panic!("page-table entry {entry:x?} at {page:#010x} refused: {errno}");
            }
        } else if let Some(l1) = self.tables.l1(page) {
            // SAFETY: as above.
            unsafe { Batch::new().set(l1, index(page, 1), entry) };
        }
    }
}
