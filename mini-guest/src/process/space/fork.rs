//! Copying an address space: both sides share every frame, read-only, until one of them writes.

use guest_abi::addr::{ENTRIES_PER_TABLE, Pfn};
use guest_abi::mmu::{Pte, PteFlags};

use super::AddressSpace;
use super::tables::{Tables, mapped_frame, new_table};
use crate::linux::Errno;
use crate::mm::batch::Batch;
use crate::mm::kernel_map::{read_entry, write_plain};
use crate::mm::{put_frame, share_frame};

impl AddressSpace {
    /// A copy. The original's writable pages become read-only until they are written again.
    ///
    /// # Errors
    /// ENOMEM; the original is unharmed.
    pub fn fork(&mut self) -> Result<Self, Errno> {
        crate::fs::enough_memory()?;
        let tables = Tables::new().map_err(|_| Errno::ENOMEM)?;
        let mut copy = Self {
            areas: self.areas.clone(),
            tables,
            brk_start: self.brk_start,
            brk: self.brk,
            resident: self.resident,
            running: self.running.clone(),
        };
        // Frames of other domains are nobody's to share; their entries are passed over below.
        copy.areas.remove_foreign();
        for (address, l1) in self.tables.l1s() {
            // What was copied so far is given back by the copy's drop.
            let shared = new_table().map_err(|_| Errno::ENOMEM)?;
            share_l1(l1, shared);
            if copy.tables.hook_l1(address, shared).is_err() {
                let entries = (0..ENTRIES_PER_TABLE).map(|index| read_entry(shared, index));
                entries.filter_map(mapped_frame).for_each(put_frame);
                put_frame(shared);
                return Err(Errno::ENOMEM);
            }
        }
        Batch::new().flush_tlb();
        Ok(copy)
    }
}

/// Fills `copy`, a zeroed page, with the entries of `l1`, writable ones made read-only on both sides.
fn share_l1(l1: Pfn, copy: Pfn) {
    let mut batch = Batch::new();
    for index in 0..ENTRIES_PER_TABLE {
        let entry = read_entry(l1, index);
        let Some(frame) = mapped_frame(entry) else {
            continue;
        };
        share_frame(frame);
        let read_only = Pte::from_raw(entry.raw() & !(PteFlags::WRITABLE | PteFlags::DIRTY).bits());
        // SAFETY: the copy is an ordinary page of ours.
        unsafe { write_plain(copy, index, read_only) };
        if entry.is_writable() {
            // SAFETY: the program's next write finds out.
            unsafe { batch.set(l1, index, read_only) };
        }
    }
}
