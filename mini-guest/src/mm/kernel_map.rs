//! The kernel's part of the address space: the direct map, and the tables for the heap.
//!
//! The builder's tables map only what it loaded. [`KernelMap::build`] adds an L1 for each further 2 MiB of memory: it is
//! filled while still an ordinary page, then mapped read-only, then hooked in (the hypervisor refuses a table
//! that is mapped writable anywhere). Page tables of programs go through the same two states, [`KernelMap::protect`]
//! and [`KernelMap::unprotect`].

use alloc::vec::Vec;
use core::ptr;

use guest_abi::addr::{FIRST_HV_L2_SLOT, GuestVirt, INVALID_FRAME, PAGE_SIZE, Pfn};
use guest_abi::mmu::{Pte, PteFlags};
use guest_abi::start_info::{StartFlags, StartInfo};

use super::batch::Batch;
use super::bump::Bump;
use super::layout::{
    DIRECT_START, HEAP_LIMIT, HEAP_START, IO_PAGES, IO_START, L1_SPAN, MAX_DIRECT_PAGES, WINDOW_PAGES,
    WINDOW_START, direct, direct_pfn, top_slot,
};
use super::translate::{mfn, pfn};

/// Entries of a table.
const ENTRIES: u32 = 512;
/// Flags of a hooked-in L1. What is a program's business and what the kernel's, the L1 entries say.
pub const L2_FLAGS: PteFlags = PteFlags::PRESENT
    .union(PteFlags::WRITABLE)
    .union(PteFlags::USER)
    .union(PteFlags::ACCESSED)
    .union(PteFlags::DIRTY);
/// Flags of a read-only page of the kernel, page tables among them.
pub const READ_ONLY: PteFlags = PteFlags::PRESENT.union(PteFlags::ACCESSED);
/// Flags of an ordinary page of the kernel.
pub const READ_WRITE: PteFlags = READ_ONLY.union(PteFlags::WRITABLE).union(PteFlags::DIRTY);

/// The kernel's tables.
#[derive(Debug)]
pub struct KernelMap {
    base: Pfn,
    top: Pfn,
    l1: [Option<Pfn>; FIRST_HV_L2_SLOT],
    pages: u32,
}

/// Reads entry `index` of page table `table` through the direct map.
#[must_use]
pub fn read_entry(table: Pfn, index: usize) -> Pte {
    assert!(index < 512);
    // SAFETY: the table is one of our frames, in the direct map. The processor sets A and D bits in it, hence volatile.
    Pte::from_raw(unsafe { (direct(table) as *const u64).wrapping_add(index).read_volatile() })
}

/// Writes entry `index` of `table`, a page that is not a page table yet.
///
/// # Safety
/// The frame is the caller's and mapped writable.
pub unsafe fn write_plain(table: Pfn, index: usize, entry: Pte) {
    assert!(index < 512);
    // SAFETY: the caller's promise.
    unsafe { (direct(table) as *mut u64).wrapping_add(index).write(entry.raw()) }
}

/// Fills a frame with zeroes.
///
/// # Safety
/// The frame is the caller's and mapped writable.
pub unsafe fn zero_frame(frame: Pfn) {
    // SAFETY: the caller's promise.
    unsafe { ptr::write_bytes(direct(frame) as *mut u8, 0, PAGE_SIZE) }
}

/// The frame that `entry` names; entries of our own tables name frames of ours.
#[must_use]
pub fn frame_of(entry: Pte) -> Option<Pfn> {
    entry.mfn().and_then(pfn)
}

impl KernelMap {
    /// Reads the builder's tables and extends the direct map over the domain's memory, `bump` giving the frames; then
    /// hooks in empty L1s for a heap of up to a quarter of it.
    ///
    /// # Panics
    /// Where the memory does not suffice or the builder's tables are not what they must be.
    pub fn build(start_info: &StartInfo, bump: &mut Bump) -> Self {
        let base = direct_pfn(start_info.pt_base.raw());
        let top = frame_of(read_entry(base, 3)).expect("slot 3 of the L3 is present");
        let mut map = Self {
            base,
            top,
            l1: [None; FIRST_HV_L2_SLOT],
            pages: 0,
        };
        for slot in 0..FIRST_HV_L2_SLOT {
            let entry = read_entry(top, slot);
            map.l1[slot] = entry.is_present().then(|| frame_of(entry)).flatten();
        }
        let mapped = map.l1.iter().take_while(|l1| l1.is_some()).count() as u32 * ENTRIES;
        let wanted = start_info.nr_pages.min(MAX_DIRECT_PAGES);
        // The builder's last L1 may be full or not: its region ends at a multiple of what an L1 maps.
        map.pages = mapped.min(wanted);
        while map.pages < wanted {
            map.extend_direct(wanted, bump);
        }
        let heap = (map.pages / 4 * PAGE_SIZE as u32).clamp(L1_SPAN, HEAP_LIMIT - HEAP_START);
        for slot in top_slot(HEAP_START)..=top_slot(HEAP_START + heap - 1) {
            let table = map.take_table(bump);
            map.hook(slot, table);
        }
        if start_info.flags.contains(StartFlags::INITIAL_DOMAIN) {
            let end = WINDOW_START + (WINDOW_PAGES - 1) * PAGE_SIZE as u32;
            for slot in top_slot(WINDOW_START)..=top_slot(end) {
                let table = map.take_table(bump);
                map.hook(slot, table);
            }
        } else if ![0, INVALID_FRAME].contains(&start_info.store_mfn.raw()) {
            // Its grant table goes there.
            let table = map.take_table(bump);
            map.hook(top_slot(WINDOW_START), table);
        }
        map
    }

    /// The slots that L1s for registers of devices are missing in.
    #[must_use]
    pub fn missing_io(&self) -> Vec<usize> {
        let end = IO_START + (IO_PAGES - 1) * PAGE_SIZE as u32;
        let slots = top_slot(IO_START)..=top_slot(end);
        slots.filter(|slot| self.l1[*slot].is_none()).collect()
    }

    /// Maps the next 2 MiB (or what is left of `wanted` pages).
    fn extend_direct(&mut self, wanted: u32, bump: &mut Bump) {
        let table = self.take_table(bump);
        let count = (wanted - self.pages).min(ENTRIES);
        for index in 0..count {
            let entry = Pte::new(mfn(Pfn::new(self.pages + index)), READ_WRITE);
            // SAFETY: the table was just taken.
            unsafe { write_plain(table, index as usize, entry) };
        }
        self.hook(top_slot(DIRECT_START) + (self.pages / ENTRIES) as usize, table);
        self.pages += count;
    }

    /// A zeroed frame from `bump`.
    fn take_table(&self, bump: &mut Bump) -> Pfn {
        let table = bump
            .take(1, self.pages)
            .expect("the mapped region has free pages");
        // SAFETY: the frame was just taken.
        unsafe { zero_frame(table) };
        table
    }

    /// Puts an L1 of empty entries, which becomes read-only, where there is none. No program has tables yet: its own would not have it.
    pub(super) fn hook(&mut self, slot: usize, table: Pfn) {
        let mut batch = Batch::new();
        self.protect(&mut batch, table);
        // SAFETY: nothing is mapped there yet.
        unsafe { batch.set(self.top, slot, Pte::new(mfn(table), L2_FLAGS)) };
        self.l1[slot] = Some(table);
    }

    /// How many pages the direct map has.
    #[must_use]
    pub fn pages(&self) -> u32 {
        self.pages
    }

    /// How many bytes of address space the heap may have.
    #[must_use]
    pub fn heap_size(&self) -> u32 {
        let first = top_slot(HEAP_START);
        self.l1[first..top_slot(HEAP_LIMIT)]
            .iter()
            .take_while(|l1| l1.is_some())
            .count() as u32
            * L1_SPAN
    }

    /// The root that maps the kernel alone.
    #[must_use]
    pub fn base(&self) -> Pfn {
        self.base
    }

    /// The entry of slot `slot` of every top L2.
    #[must_use]
    pub fn top_entry(&self, slot: usize) -> Pte {
        match self.l1.get(slot).copied().flatten() {
            Some(l1) => Pte::new(mfn(l1), L2_FLAGS),
            None => Pte::EMPTY,
        }
    }

    /// Where the entry of the kernel page at `address` lies; `None` where the kernel has no L1 for it.
    #[must_use]
    pub fn entry_address(&self, address: u32) -> Option<guest_abi::addr::MachAddr> {
        let (l1, index) = self.l1_of(address)?;
        Some(super::translate::machine_address(l1, index as u32 * 8))
    }

    /// The L1 that maps the kernel page at `address`, and the entry's index in it.
    #[must_use]
    pub fn l1_of(&self, address: u32) -> Option<(Pfn, usize)> {
        let slot = address.checked_sub(DIRECT_START)? / L1_SPAN;
        let l1 = self.l1.get(slot as usize).copied().flatten()?;
        Some((l1, GuestVirt::new(address).table_index(1)))
    }

    /// Maps the kernel page at `address` as `entry` says.
    ///
    /// # Safety
    /// As for [`Batch::push`].
    ///
    /// # Panics
    /// Where the kernel has no L1.
    pub unsafe fn set(&self, batch: &mut Batch, address: u32, entry: Pte) {
        let l1 = self.l1[top_slot(address)].expect("the kernel's L1s are there from the start");
        // SAFETY: the caller's promise.
        unsafe { batch.set(l1, GuestVirt::new(address).table_index(1), entry) }
    }

    /// Maps a frame read-only, so that it can become a page table or a descriptor page.
    pub fn protect(&self, batch: &mut Batch, frame: Pfn) {
        // SAFETY: the frame is the caller's, who stops writing to it.
        unsafe { self.set(batch, direct(frame), Pte::new(mfn(frame), READ_ONLY)) }
    }

    /// Maps a frame writable again that is no page table any more.
    pub fn unprotect(&self, batch: &mut Batch, frame: Pfn) {
        // SAFETY: this only allows more.
        unsafe { self.set(batch, direct(frame), Pte::new(mfn(frame), READ_WRITE)) };
        batch.flush_page(direct(frame));
    }
}
