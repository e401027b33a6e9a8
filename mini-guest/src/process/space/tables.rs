//! The page tables of one program: an L3, the top L2 that it must have, and L2s and L1s as pages appear.
//!
//! A table is filled while it is an ordinary page, mapped read-only, and hooked in; from then on each entry is changed by
//! a hypercall. The L3 is pinned for as long as the address space lives, so tables keep their types while another
//! one is loaded.

use core::cell::Cell;
use core::ops::Range;

use guest_abi::addr::{ENTRIES_PER_TABLE, FIRST_HV_L2_SLOT, GuestVirt, PAGE_SIZE, Pfn};
use guest_abi::mmu::{Pte, PteFlags};

use crate::cell::OneCpu;
use crate::mm::batch::Batch;
use crate::mm::frames::OutOfFrames;
use crate::mm::kernel_map::{KernelMap, L2_FLAGS, frame_of, read_entry, write_plain, zero_frame};
use crate::mm::layout::L1_SPAN;
use crate::mm::{alloc_frame, put_frame, translate, user_keep, with_kernel_map};
use crate::process::page_cache;

/// L3 slots of programs.
pub const USER_SLOTS: usize = 3;

/// The L3 that is loaded, where it is a program's.
static LOADED: OneCpu<Cell<Option<Pfn>>> = OneCpu::new(Cell::new(None));

/// The tables.
#[derive(Debug)]
pub struct Tables {
    l3: Pfn,
    top: Pfn,
    l2: [Option<Pfn>; USER_SLOTS],
}

/// Does something with the kernel's map, which exists before any program.
pub fn kernel_map<R>(work: impl FnOnce(&KernelMap) -> R) -> R {
    with_kernel_map(work).expect("memory was set up")
}

/// A zeroed frame that is to become a table.
///
/// # Errors
/// Memory is short.
pub fn new_table() -> Result<Pfn, OutOfFrames> {
    let frame = alloc_frame(user_keep()).or_else(|_| {
        page_cache::shrink();
        alloc_frame(user_keep())
    })?;
    // SAFETY: the frame was just taken.
    unsafe { zero_frame(frame) };
    Ok(frame)
}

impl Tables {
    /// Tables that map the kernel and nothing of the program.
    ///
    /// # Errors
    /// Memory is short.
    pub fn new() -> Result<Self, OutOfFrames> {
        let l3 = new_table()?;
        let top = new_table().inspect_err(|_| put_frame(l3))?;
        let tables = Self {
            l3,
            top,
            l2: [None; USER_SLOTS],
        };
        kernel_map(|map| {
            for slot in 0..FIRST_HV_L2_SLOT {
                // SAFETY: the frame was just taken.
                unsafe { write_plain(top, slot, map.top_entry(slot)) };
            }
            // SAFETY: as above.
            unsafe { write_plain(l3, USER_SLOTS, Pte::new(translate::mfn(top), PteFlags::PRESENT)) };
            let mut batch = Batch::new();
            map.protect(&mut batch, l3);
            map.protect(&mut batch, top);
            batch.pin_l3(l3);
        });
        Ok(tables)
    }

    /// The root.
    pub fn root(&self) -> Pfn {
        self.l3
    }

    /// Whether these tables are loaded.
    pub fn is_loaded(&self) -> bool {
        LOADED.get() == Some(self.l3)
    }

    /// Notes that these tables are loaded now, by a request that the caller made.
    pub fn note_loaded(&self) {
        LOADED.set(Some(self.l3));
    }

    /// The L1 for `address`, if there is one.
    pub fn l1(&self, address: u32) -> Option<Pfn> {
        let l2 = self.l2[slot(address)]?;
        let entry = read_entry(l2, index(address, 2));
        entry.is_present().then(|| frame_of(entry)).flatten()
    }

    /// The entry for the page of `address`; empty where there is no L1.
    pub fn entry(&self, address: u32) -> Pte {
        self.l1(address)
            .map_or(Pte::EMPTY, |l1| read_entry(l1, index(address, 1)))
    }

    /// The L1 for `address`, made if there is none.
    ///
    /// # Errors
    /// Memory is short.
    pub fn make_l1(&mut self, address: u32) -> Result<Pfn, OutOfFrames> {
        if let Some(l1) = self.l1(address) {
            return Ok(l1);
        }
        let l1 = new_table()?;
        self.hook_l1(address, l1).inspect_err(|_| put_frame(l1))?;
        Ok(l1)
    }

    /// Hooks in `l1`, an ordinary page with the entries it is to have, for the 2 MiB around `address`, where there is no L1 yet.
    ///
    /// # Errors
    /// Memory is short; `l1` is still an ordinary page.
    pub fn hook_l1(&mut self, address: u32, l1: Pfn) -> Result<(), OutOfFrames> {
        let l2 = match self.l2[slot(address)] {
            Some(l2) => l2,
            None => self.add_l2(slot(address))?,
        };
        let mut batch = Batch::new();
        kernel_map(|map| map.protect(&mut batch, l1));
        // SAFETY: these 2 MiB of the program were not mapped.
        unsafe { batch.set(l2, index(address, 2), Pte::new(translate::mfn(l1), L2_FLAGS)) };
        Ok(())
    }

    fn add_l2(&mut self, slot: usize) -> Result<Pfn, OutOfFrames> {
        let l2 = new_table()?;
        let mut batch = Batch::new();
        kernel_map(|map| map.protect(&mut batch, l2));
        // SAFETY: this GiB of the program was not mapped.
        unsafe { batch.set(self.l3, slot, Pte::new(translate::mfn(l2), PteFlags::PRESENT)) };
        self.l2[slot] = Some(l2);
        Ok(l2)
    }

    /// Every page of a range that is there: its address, its L1, its entry.
    pub fn mapped(&self, range: Range<u32>) -> impl Iterator<Item = (u32, Pfn, Pte)> {
        let mut page = range.start;
        core::iter::from_fn(move || {
            while page < range.end {
                let Some(l1) = self.l1(page) else {
                    page = (page | (L1_SPAN - 1)).saturating_add(1);
                    continue;
                };
                let (at, entry) = (page, read_entry(l1, index(page, 1)));
                page += PAGE_SIZE as u32;
                if entry.is_present() {
                    return Some((at, l1, entry));
                }
            }
            None
        })
    }

    /// Every L1 with the first address that it maps.
    pub fn l1s(&self) -> impl Iterator<Item = (u32, Pfn)> {
        let l2s = self
            .l2
            .iter()
            .enumerate()
            .filter_map(|(slot, l2)| l2.map(|l2| (slot, l2)));
        l2s.flat_map(|(slot, l2)| {
            (0..ENTRIES_PER_TABLE).filter_map(move |index| {
                let entry = read_entry(l2, index);
                let l1 = entry.is_present().then(|| frame_of(entry)).flatten()?;
                Some(((slot as u32) << 30 | (index as u32) << 21, l1))
            })
        })
    }
}

impl Drop for Tables {
    /// Gives all tables and the frames that they map back.
    fn drop(&mut self) {
        let mut batch = Batch::new();
        if self.is_loaded() {
            LOADED.set(None);
            // SAFETY: the kernel's own root maps the kernel as every other does.
            unsafe { batch.load_base(kernel_map(KernelMap::base)) };
        }
        batch.unpin(self.l3);
        batch.flush();
        for (_, l1) in self.l1s() {
            (0..ENTRIES_PER_TABLE)
                .map(|index| read_entry(l1, index))
                .filter_map(mapped_frame)
                .for_each(put_frame);
            kernel_map(|map| map.unprotect(&mut batch, l1));
        }
        let others = self.l2.iter().flatten().chain([&self.l3, &self.top]);
        kernel_map(|map| others.clone().for_each(|table| map.unprotect(&mut batch, *table)));
        batch.flush();
        for l2 in self.l2.iter().flatten() {
            let entries = (0..ENTRIES_PER_TABLE).map(|index| read_entry(*l2, index));
            entries.filter_map(mapped_frame).for_each(put_frame);
        }
        others.for_each(|table| put_frame(*table));
    }
}

/// The mark of an entry that maps a frame as its owner has it, whoever that is: not one of the frames that this kernel
/// gives to programs and counts.
pub const FOREIGN: PteFlags = PteFlags::from_bits_retain(1 << 9);

/// The frame of ours that a present entry maps; none where the entry is [`FOREIGN`].
pub fn mapped_frame(entry: Pte) -> Option<Pfn> {
    let is_ours = entry.is_present() && entry.raw() & FOREIGN.bits() == 0;
    is_ours.then(|| frame_of(entry)).flatten()
}

/// The L3 slot for `address` of a program.
fn slot(address: u32) -> usize {
    (address >> 30) as usize
}

/// The index for `address` in a table of `level`.
pub fn index(address: u32, level: u32) -> usize {
    GuestVirt::new(address).table_index(level)
}
