//! The page tables of the start: which frames they are, and what each entry must be.
//!
//! PAE form: one L3 of four entries, one L2 per GiB that the region touches, one L1 per 2 MiB. The L2 of the last
//! GiB always exists, because the hypervisor maps its window through it. All of them lie in one run of frames in
//! that order. Entries are written as a guest would write them, to be validated like a guest's: the hypervisor adds
//! the flags that it wants in L3 entries and the window's slots in the last L2. A frame that is a page table is
//! mapped read-only.

use crate::layout::Piece;
use guest_abi::addr::{GuestVirt, Mfn, PAGE_SHIFT, PAGE_SIZE, Pfn};
use guest_abi::mmu::{Pte, PteFlags};

/// Flags of an L3 entry.
pub const L3_FLAGS: PteFlags = PteFlags::PRESENT;
/// Flags of an L2 entry.
pub const L2_FLAGS: PteFlags = PteFlags::PRESENT
    .union(PteFlags::WRITABLE)
    .union(PteFlags::USER)
    .union(PteFlags::ACCESSED)
    .union(PteFlags::DIRTY);
/// Flags of an L1 entry that maps a page table: supervisor, read-only.
pub const L1_TABLE_FLAGS: PteFlags = PteFlags::PRESENT.union(PteFlags::ACCESSED);
/// Flags of any other L1 entry: supervisor, writable.
pub const L1_FLAGS: PteFlags = L1_TABLE_FLAGS.union(PteFlags::WRITABLE);

/// L3 slots; the last one's L2 is present in every address space.
const L3_SLOTS: u32 = 4;
const L2_SHIFT: u32 = 30;
const L1_SHIFT: u32 = 21;

/// The frames of the page tables that map a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tables {
    base: GuestVirt,
    mapped_pages: u32,
    piece: Piece,
}

/// Which table a page-table frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// The root.
    L3,
    /// The L2 of this L3 slot.
    L2(u32),
    /// The L1 of these 2 MiB: its number, counted from address 0.
    L1(u32),
}

impl Tables {
    /// How many tables map `base` up to `end` (not empty, `end` at most 4 GiB).
    pub(crate) fn pages_for(base: GuestVirt, end: u64) -> u64 {
        let last = end.saturating_sub(1).max(u64::from(base.raw()));
        let l1 = (last >> L1_SHIFT) - u64::from(base.raw() >> L1_SHIFT) + 1;
        let (first_slot, last_slot) = (u64::from(base.raw() >> L2_SHIFT), last >> L2_SHIFT);
        let top = u64::from(last_slot < u64::from(L3_SLOTS) - 1);
        1 + (last_slot - first_slot + 1) + top + l1
    }

    /// The tables in `piece` that map `mapped_pages` from `base`.
    pub(crate) const fn new(base: GuestVirt, mapped_pages: u32, piece: Piece) -> Self {
        Self {
            base,
            mapped_pages,
            piece,
        }
    }

    /// The run of frames that the tables occupy.
    #[must_use]
    pub const fn piece(&self) -> Piece {
        self.piece
    }

    /// The root's frame: to be pinned, and the first vCPU's page-table base.
    #[must_use]
    pub const fn l3(&self) -> Pfn {
        self.piece.first
    }

    /// The L2 of L3 slot `slot`, where there is one.
    #[must_use]
    pub fn l2(&self, slot: u32) -> Option<Pfn> {
        let (first, last) = self.l2_slots();
        let position = match slot {
            s if (first..=last).contains(&s) => s - first,
            s if s == L3_SLOTS - 1 => last - first + 1,
            _ => return None,
        };
        Some(self.nth(1 + position))
    }

    /// The L1 that maps `addr`, where the region reaches into its 2 MiB.
    #[must_use]
    pub fn l1(&self, addr: GuestVirt) -> Option<Pfn> {
        let (first, last) = self.l1_numbers();
        let number = addr.raw() >> L1_SHIFT;
        (first..=last)
            .contains(&number)
            .then(|| self.nth(1 + self.l2_count() + number - first))
    }

    /// Every table with its frame, in the order of the frames.
    pub fn iter(&self) -> impl Iterator<Item = (Pfn, Table)> + '_ {
        let (first, last) = self.l1_numbers();
        let l2s = (0..L3_SLOTS)
            .filter(|&slot| self.l2(slot).is_some())
            .map(Table::L2);
        let all = core::iter::once(Table::L3)
            .chain(l2s)
            .chain((first..=last).map(Table::L1));
        all.zip(0..).map(|(table, n)| (self.nth(n), table))
    }

    /// What entry `index` of `table` must be, given the machine frame of each of the domain's frames.
    ///
    /// # Errors
    /// Those of `mfn_of`.
    pub fn entry<E>(
        &self,
        table: Table,
        index: u32,
        mfn_of: impl FnOnce(Pfn) -> Result<Mfn, E>,
    ) -> Result<Pte, E> {
        let (target, flags) = match table {
            Table::L3 if index >= L3_SLOTS => (None, PteFlags::empty()),
            Table::L3 => (self.l2(index), L3_FLAGS),
            Table::L2(slot) => (
                self.l1(GuestVirt::new(slot << L2_SHIFT | index << L1_SHIFT)),
                L2_FLAGS,
            ),
            Table::L1(number) => {
                let page =
                    (number << (L1_SHIFT - PAGE_SHIFT) | index).checked_sub(self.base.raw() >> PAGE_SHIFT);
                let target = page.filter(|page| *page < self.mapped_pages).map(Pfn::new);
                let is_table = target.is_some_and(|pfn| self.piece.contains(pfn));
                (target, if is_table { L1_TABLE_FLAGS } else { L1_FLAGS })
            }
        };
        target.map_or(Ok(Pte::EMPTY), |pfn| Ok(Pte::new(mfn_of(pfn)?, flags)))
    }

    fn l2_slots(&self) -> (u32, u32) {
        (self.base.raw() >> L2_SHIFT, self.last_byte() >> L2_SHIFT)
    }

    fn l2_count(&self) -> u32 {
        let (first, last) = self.l2_slots();
        last - first + 1 + u32::from(last < L3_SLOTS - 1)
    }

    fn l1_numbers(&self) -> (u32, u32) {
        (self.base.raw() >> L1_SHIFT, self.last_byte() >> L1_SHIFT)
    }

    /// The region's last byte; the region is never empty and ends below the window.
    const fn last_byte(&self) -> u32 {
        self.base.raw() + (self.mapped_pages * PAGE_SIZE as u32 - 1)
    }

    const fn nth(&self, n: u32) -> Pfn {
        Pfn::new(self.piece.first.raw() + n)
    }
}
