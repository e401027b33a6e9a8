//! Translation caches that forget nothing unasked.

use crate::mm::pte::{P, RW, frame_number};
use guest_abi::addr::GuestVirt;
use std::collections::HashMap;

/// A cached entry: the frame it leads to, and whether writes may go there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cached {
    /// Number of the frame.
    pub frame: u64,
    /// Whether RW was set at every level so far.
    pub is_writable: bool,
}

/// What the processor may remember of the running guest's tables.
///
/// A translation that the caches allow is used, however stale. One that they do not allow is walked again from the
/// deepest cached directory, and then from the root, as the processor does before it raises a fault.
#[derive(Clone, Debug, Default)]
pub struct StaleTlb {
    /// Pages, by page number.
    pub pages: HashMap<u32, Cached>,
    /// L2 entries (leading to L1s), by 2 MiB region.
    pub l2_entries: HashMap<u32, Cached>,
    /// L3 entries (leading to L2s), by GiB.
    pub l3_entries: HashMap<u32, Cached>,
}

impl StaleTlb {
    /// Forgets everything.
    pub fn flush(&mut self) {
        *self = Self::default();
    }

    /// Forgets a page and, as INVLPG does, every directory entry (Intel SDM vol. 3A 4.10.4.1).
    pub fn flush_page(&mut self, at: GuestVirt) {
        self.pages.remove(&(at.raw() >> 12));
        self.l2_entries.clear();
        self.l3_entries.clear();
    }

    /// Translates `at`, through frames that `read` reads from, from the L3 frame `root`.
    pub fn translate(
        &mut self,
        at: u32,
        is_write: bool,
        root: u64,
        read: &dyn Fn(u64, usize) -> Option<u64>,
    ) -> Option<Cached> {
        let allows = |c: &Cached| c.is_writable || !is_write;
        if let Some(&page) = self.pages.get(&(at >> 12)).filter(|c| allows(c)) {
            return Some(page);
        }
        for depth in [1, 2, 3] {
            if let Some(page) = self.walk(at, depth, root, read).filter(allows) {
                self.pages.insert(at >> 12, page);
                return Some(page);
            }
            match depth {
                1 => drop(self.l2_entries.remove(&(at >> 21))),
                _ => drop(self.l3_entries.remove(&(at >> 30))),
            }
        }
        None
    }

    /// Walks from the cached table of level `depth`, or the root.
    fn walk(
        &mut self,
        at: u32,
        depth: u32,
        root: u64,
        read: &dyn Fn(u64, usize) -> Option<u64>,
    ) -> Option<Cached> {
        let table = match depth {
            1 => *self.l2_entries.get(&(at >> 21))?,
            2 => *self.l3_entries.get(&(at >> 30))?,
            _ => Cached {
                frame: root,
                is_writable: true,
            },
        };
        let entry = read(table.frame, GuestVirt::new(at).table_index(depth))?;
        if entry & P == 0 {
            return None;
        }
        let next = Cached {
            frame: frame_number(entry),
            is_writable: table.is_writable && entry & RW != 0,
        };
        match depth {
            1 => return Some(next),
            2 => drop(self.l2_entries.insert(at >> 21, next)),
            _ => drop(self.l3_entries.insert(at >> 30, next)),
        }
        self.walk(at, depth - 1, root, read)
    }
}
