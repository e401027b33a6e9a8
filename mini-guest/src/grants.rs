//! This domain's grants: a table of a few frames, its references, and taking them back.
//!
//! Source: Xen 4.x, `public/grant_table.h`, version 1; [`guest_abi::grant_table`].

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::sync::atomic::{AtomicU32, Ordering, fence};

use guest_abi::addr::{GuestVirt, Mfn, Pfn};
use guest_abi::domain::DomId;
use guest_abi::grant_table::{
    ENTRIES_PER_FRAME, GrantCmd, GrantFlags, GrantStatus, RESERVED_ENTRIES, SetupTable,
};

use crate::hypercall;
use crate::linux::Errno;
use crate::mm::disk_frames;
use crate::mm::window::ForeignPage;

/// Frames of the table: every domain's due.
const FRAMES: u32 = 4;
/// Of those that are withdrawn and still mapped, so many are looked at whenever one more is.
const LOOKS: usize = 2;

/// The table.
#[derive(Debug)]
pub struct Grants {
    table: Vec<ForeignPage>,
    free: RefCell<Vec<u32>>,
    /// Withdrawn by us, and still mapped by the other side.
    ending: RefCell<VecDeque<(u32, Option<Pfn>)>>,
}

impl Grants {
    /// Asks for the table and maps it.
    ///
    /// # Errors
    /// What the hypervisor answers.
    pub fn new() -> Result<Self, Errno> {
        let frames = frames(FRAMES).or_else(|_| frames(1))?;
        let pages = frames.iter().map(|frame| ForeignPage::map_own(*frame));
        let references = RESERVED_ENTRIES..ENTRIES_PER_FRAME * frames.len() as u32;
        Ok(Self {
            table: pages.collect::<Result<_, _>>()?,
            free: RefCell::new(references.rev().collect()),
            ending: RefCell::default(),
        })
    }

    /// The words of an entry: flags and domain, frame.
    fn words(&self, reference: u32) -> [&AtomicU32; 2] {
        let page = &self.table[(reference / ENTRIES_PER_FRAME) as usize];
        let at = (reference % ENTRIES_PER_FRAME) as usize * 8;
        [page.word(at), page.word(at + 4)]
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
        let [head, place] = self.words(reference);
        place.store(frame.raw(), Ordering::Relaxed);
        // The frame is there before the flags say so.
        let first = u32::from(flags.bits()) | u32::from(domain.raw()) << 16;
        head.store(first, Ordering::Release);
        Some(reference)
    }

    /// Takes a grant back; while it is mapped, the reference is not used for another.
    pub fn end(&self, reference: u32) {
        if !self.try_end(reference) {
            self.ending.borrow_mut().push_back((reference, None));
        }
        self.collect_some(LOOKS);
    }

    /// The same with a frame of ours, a use of which ends when nobody has it mapped any more.
    pub fn end_with(&self, reference: u32, frame: Pfn) {
        if self.try_end(reference) {
            disk_frames::let_go(frame);
        } else {
            self.ending.borrow_mut().push_back((reference, Some(frame)));
        }
        self.collect_some(LOOKS);
    }

    /// Takes a grant back unless it is mapped; whether it is gone.
    pub fn try_end(&self, reference: u32) -> bool {
        let is_gone = self.withdraw(reference);
        if is_gone {
            self.free.borrow_mut().push(reference);
        }
        is_gone
    }

    fn withdraw(&self, reference: u32) -> bool {
        let [word, _] = self.words(reference);
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

    /// Looks again at all that were still mapped.
    fn collect(&self) {
        let all = self.ending.borrow().len();
        self.collect_some(all);
    }

    /// Looks again at so many of those that were still mapped, in turn.
    fn collect_some(&self, count: usize) {
        for _ in 0..count {
            let next = self.ending.borrow_mut().pop_front();
            let Some((reference, frame)) = next else { return };
            if !self.try_end(reference) {
                self.ending.borrow_mut().push_back((reference, frame));
            } else if let Some(frame) = frame {
                disk_frames::let_go(frame);
            }
        }
    }
}

/// Has the table be of so many frames.
fn frames(count: u32) -> Result<Vec<Mfn>, Errno> {
    let mut frames = vec![0_u32; count as usize];
    let mut record = [SetupTable {
        dom: DomId::SELF,
        nr_frames: count,
        status: GrantStatus::GENERAL_ERROR,
        frame_list: GuestVirt::new(frames.as_mut_ptr() as u32),
        ..SetupTable::default()
    }];
    // SAFETY: the list has room for the frames that are asked for.
    unsafe { hypercall::grant_table_op(GrantCmd::SETUP_TABLE.raw(), &mut record) }
        .map_err(Errno::from_hypervisor)?;
    if record[0].status != GrantStatus::OKAY {
        return Err(Errno::ENOSPC);
    }
    // SAFETY: words of ours, which the call has written.
    let read = |frame: &u32| Mfn::new(unsafe { core::ptr::read_volatile(frame) });
    Ok(frames.iter().map(read).collect())
}
