//! Pages of files that programs map: kept once for all of them.
//!
//! The cache has a use of every frame in it. A file that is written gets a new version, and pages of the old one are
//! no longer found; they go when memory is short.

use alloc::collections::BTreeMap;
use core::cell::RefCell;

use guest_abi::addr::Pfn;

use crate::cell::OneCpu;
use crate::fs::enough_memory;
use crate::mm::{is_exclusive, put_frame, share_frame};

/// Inode number and place in the file.
type Key = (u64, u64);

static CACHE: OneCpu<RefCell<BTreeMap<Key, (u32, Pfn)>>> = OneCpu::new(RefCell::new(BTreeMap::new()));

/// The frame with the page at byte `at` of a file, with a use counted for the caller.
pub fn get(ino: u64, version: u32, at: u64) -> Option<Pfn> {
    let cache = CACHE.borrow();
    let (cached, frame) = cache.get(&(ino, at))?;
    if *cached != version {
        return None;
    }
    share_frame(*frame);
    Some(*frame)
}

/// Takes over the caller's use of `frame`, which holds the page at byte `at` of a file; `false` where it does not want it.
pub fn put(ino: u64, version: u32, at: u64, frame: Pfn) -> bool {
    if enough_memory().is_err() {
        return false;
    }
    if let Some((_, old)) = CACHE.borrow_mut().insert((ino, at), (version, frame)) {
        put_frame(old);
    }
    true
}

/// Gives back all frames that no program maps.
pub fn shrink() {
    CACHE.borrow_mut().retain(|_, (_, frame)| {
        let is_idle = is_exclusive(*frame);
        if is_idle {
            put_frame(*frame);
        }
        !is_idle
    });
}

/// How many frames are in it.
#[must_use]
pub fn len() -> usize {
    CACHE.borrow().len()
}
