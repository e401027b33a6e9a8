//! This domain's grants: a table of one frame, its references, and taking them back.
//!
//! Source: Xen 4.x, `public/grant_table.h`, version 1; [`guest_abi::grant_table`].

use alloc::vec::Vec;
use core::cell::RefCell;
use core::sync::atomic::{Ordering, fence};

use guest_abi::addr::{GuestVirt, Mfn, Pfn};
use guest_abi::domain::DomId;
use guest_abi::grant_table::{
    ENTRIES_PER_FRAME, GrantCmd, GrantFlags, GrantStatus, RESERVED_ENTRIES, SetupTable,
};

use crate::hypercall;
use crate::linux::Errno;
use crate::mm::put_frame;
use crate::mm::window::ForeignPage;

/// The table.
#[derive(Debug)]
pub struct Grants {
    table: ForeignPage,
    free: RefCell<Vec<u32>>,
    /// Withdrawn by us, and still mapped by the other side.
    ending: RefCell<Vec<(u32, Option<Pfn>)>>,
}

impl Grants {
    /// Asks for the table and maps it.
    ///
    /// # Errors
    /// What the hypervisor answers.
    pub fn new() -> Result<Self, Errno> {
        let mut frame = [0_u32];
        let mut record = [SetupTable {
            dom: DomId::SELF,
            nr_frames: 1,
            status: GrantStatus::GENERAL_ERROR,
            frame_list: GuestVirt::new(frame.as_mut_ptr() as u32),
            ..SetupTable::default()
        }];
        // SAFETY: the list has room for the one frame that is asked for.
        unsafe { hypercall::grant_table_op(GrantCmd::SETUP_TABLE.raw(), &mut record) }
            .map_err(Errno::from_hypervisor)?;
        if record[0].status != GrantStatus::OKAY {
            return Err(Errno::ENOSPC);
        }
        // SAFETY: a word of ours, which the call has written.
        let frame = unsafe { core::ptr::read_volatile(frame.as_ptr()) };
        Ok(Self {
            table: ForeignPage::map_own(Mfn::new(frame))?,
            free: RefCell::new((RESERVED_ENTRIES..ENTRIES_PER_FRAME).rev().collect()),
            ending: RefCell::default(),
        })
    }

    /// Grants `domain` a frame; gives the reference.
    pub fn grant(&self, domain: DomId, frame: Mfn, is_read_only: bool) -> Option<u32> {
        if self.free.borrow().is_empty() {
            self.collect();
        }
        let reference = self.free.borrow_mut().pop()?;
        let mut flags = GrantFlags::PERMIT_ACCESS;
        if is_read_only {
            flags |= GrantFlags::READ_ONLY;
        }
        let at = reference as usize * 8;
        self.table.word(at + 4).store(frame.raw(), Ordering::Relaxed);
        // The frame is there before the flags say so.
        let first = u32::from(flags.bits()) | u32::from(domain.raw()) << 16;
        self.table.word(at).store(first, Ordering::Release);
        Some(reference)
    }

    /// Takes a grant back; while it is mapped, the reference is not used for another.
    pub fn end(&self, reference: u32) {
        self.ending.borrow_mut().push((reference, None));
        self.collect();
    }

    /// The same with a frame of ours, which is given back when nobody has it mapped any more.
    pub fn end_with(&self, reference: u32, frame: Pfn) {
        self.ending.borrow_mut().push((reference, Some(frame)));
        self.collect();
    }

    fn withdraw(&self, reference: u32) -> bool {
        let word = self.table.word(reference as usize * 8);
        let used = u32::from((GrantFlags::READING | GrantFlags::WRITING).bits());
        let mut now = word.load(Ordering::Acquire);
        while now & used == 0 {
            match word.compare_exchange(now, 0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    fence(Ordering::SeqCst);
                    return true;
                }
                Err(other) => now = other,
            }
        }
        false
    }

    /// Looks again at those that were still mapped.
    fn collect(&self) {
        let mut ending = self.ending.borrow_mut();
        for (reference, frame) in ending.extract_if(.., |entry| self.withdraw(entry.0)) {
            self.free.borrow_mut().push(reference);
            if let Some(frame) = frame {
                put_frame(frame);
            }
        }
    }
}
