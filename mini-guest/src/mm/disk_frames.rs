//! Frames for the pages of disks: a grant may stay on one when its page is given back, and then nobody but the next page of a disk gets it.
//!
//! A frame of a page has one use, and one more for each grant that stays. A page that is given back leaves its use to the list of spare frames while grants are there; the next page is
//! made of one of these. When the last grant has ended, a spare frame is free like any other. So another domain that still has a frame mapped never has one that holds anything
//! but what is read from disks or written to them.

use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;

use guest_abi::addr::Pfn;

use super::frames::OutOfFrames;
use super::kernel_map::zero_frame;
use super::{alloc_user_frame, is_exclusive, put_frame, share_frame};
use crate::cell::OneCpu;

/// Frames without a page, and with grants.
static SPARE: OneCpu<RefCell<Vec<Pfn>>> = OneCpu::new(RefCell::new(Vec::new()));
/// Which frames are pages of disks, or spare, bit by bit.
static MARKS: OneCpu<RefCell<Vec<u32>>> = OneCpu::new(RefCell::new(Vec::new()));

fn mark(frame: Pfn, is_ours: bool) {
    let mut marks = MARKS.borrow_mut();
    let (word, bit) = (frame.index() / 32, 1 << (frame.index() % 32));
    if word >= marks.len() {
        let more = vec![0; word + 1 - marks.len()];
        marks.extend(more);
    }
    marks[word] = if is_ours {
        marks[word] | bit
    } else {
        marks[word] & !bit
    };
}

fn is_marked(frame: Pfn) -> bool {
    let marks = MARKS.borrow();
    let word = marks.get(frame.index() / 32).copied().unwrap_or(0);
    word & 1 << (frame.index() % 32) != 0
}

/// A frame of zeroes for a page.
///
/// # Errors
/// There is none.
pub fn take() -> Result<Pfn, OutOfFrames> {
    let spare = SPARE.borrow_mut().pop();
    if let Some(frame) = spare {
        // SAFETY: nobody in this domain uses the frame. Who has it mapped by a grant may write there, as into any page of a disk.
        unsafe { zero_frame(frame) };
        return Ok(frame);
    }
    let frame = alloc_user_frame()?;
    mark(frame, true);
    Ok(frame)
}

/// The page is given back.
pub fn put(frame: Pfn) {
    if is_exclusive(frame) {
        mark(frame, false);
        put_frame(frame);
    } else {
        SPARE.borrow_mut().push(frame);
    }
}

/// A grant of the frame is to stay; whether it may.
pub fn keep(frame: Pfn) -> bool {
    let is_ours = is_marked(frame);
    if is_ours {
        share_frame(frame);
    }
    is_ours
}

/// A grant of the frame is over, or a page that was granted is given back.
pub fn let_go(frame: Pfn) {
    put_frame(frame);
    if !is_marked(frame) || !is_exclusive(frame) {
        return;
    }
    let mut spare = SPARE.borrow_mut();
    if let Some(at) = spare.iter().position(|other| *other == frame) {
        spare.swap_remove(at);
        drop(spare);
        put(frame);
    }
}
