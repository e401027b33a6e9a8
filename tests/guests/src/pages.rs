//! Pages of the guest's own.
//!
//! They come from a pool in the image, so each is mapped writable at the start and its frame is in the P2M list.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use guest_abi::addr::{HV_START, MachAddr, Mfn, PAGE_SIZE};
use guest_abi::mmu::{Pte, PteFlags};
use guest_abi::start_info::StartInfo;
use mini_guest::entry::VIRT_BASE;

use crate::raw;

/// Pages in the pool.
const POOL_PAGES: u32 = 512;

#[repr(C, align(4096))]
struct Pool(UnsafeCell<[[u8; PAGE_SIZE]; POOL_PAGES as usize]>);

// SAFETY: reached through raw pointers by one processor only.
unsafe impl Sync for Pool {}

#[unsafe(link_section = ".bss.pages")]
static POOL: Pool = Pool(UnsafeCell::new([[0; PAGE_SIZE]; POOL_PAGES as usize]));
static TAKEN: AtomicU32 = AtomicU32::new(0);
static P2M: AtomicU32 = AtomicU32::new(0);
static PAGES: AtomicU32 = AtomicU32::new(0);

/// An ordinary mapping.
pub const WRITABLE: PteFlags = READ_ONLY.union(PteFlags::WRITABLE).union(PteFlags::DIRTY);
/// The mapping of a page that is, or is to be, a table.
pub const READ_ONLY: PteFlags = PteFlags::PRESENT.union(PteFlags::ACCESSED);

/// Says where the P2M list is. First thing in a guest that uses pages.
pub fn init(start_info: &StartInfo) {
    P2M.store(start_info.mfn_list.raw(), Relaxed);
    PAGES.store(start_info.nr_pages, Relaxed);
}

/// The machine frame of pseudo-physical frame `pfn`.
///
/// # Panics
/// For a frame that the domain does not have.
pub fn frame(pfn: u32) -> Mfn {
    assert!(pfn < PAGES.load(Relaxed), "pfn {pfn:#x}");
    Mfn::new(peek32(P2M.load(Relaxed) + 4 * pfn))
}

/// The word at linear address `at`.
pub fn peek32(at: u32) -> u32 {
    // SAFETY: a volatile read of this guest's memory; where nothing is mapped it traps.
    unsafe { (at as *const u32).read_volatile() }
}

/// Writes the word at linear address `at`.
pub fn poke32(at: u32, value: u32) {
    // SAFETY: as above; what is overwritten is the test's own doing.
    unsafe { (at as *mut u32).write_volatile(value) }
}

/// A page of linear memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page(pub u32);

impl Page {
    /// A page that nobody uses, zeroed and mapped writable.
    ///
    /// # Panics
    /// When the pool is empty.
    pub fn take() -> Self {
        Self::take_run(1)
    }

    /// The first of `count` pages in a row.
    ///
    /// # Panics
    /// When the pool is empty.
    pub fn take_run(count: u32) -> Self {
        let first = TAKEN.fetch_add(count, Relaxed);
        assert!(first + count <= POOL_PAGES, "the pool of pages is empty");
        Self(POOL.0.get() as u32 + first * PAGE_SIZE as u32)
    }

    /// The page that holds linear address `at`.
    pub const fn of(at: u32) -> Self {
        Self(at & !(PAGE_SIZE as u32 - 1))
    }

    /// The page `n` pages further up.
    pub const fn next(self, n: u32) -> Self {
        Self(self.0 + n * PAGE_SIZE as u32)
    }

    /// The frame that was mapped here at the start.
    pub fn mfn(self) -> Mfn {
        frame((self.0 - VIRT_BASE) / PAGE_SIZE as u32)
    }

    /// Machine address of that frame's entry `index`.
    pub fn entry_addr(self, index: usize) -> MachAddr {
        MachAddr::new(self.mfn().addr().raw() + 8 * index as u64)
    }

    /// An entry that names that frame.
    pub fn pte(self, flags: PteFlags) -> Pte {
        Pte::new(self.mfn(), flags)
    }

    /// Word `index` of the page.
    pub fn read(self, index: usize) -> u64 {
        assert!(index < 512);
        let at = self.0 + 8 * index as u32;
        u64::from(peek32(at)) | u64::from(peek32(at + 4)) << 32
    }

    /// Writes word `index` of the page.
    pub fn write(self, index: usize, value: u64) {
        assert!(index < 512);
        let at = self.0 + 8 * index as u32;
        poke32(at, value as u32);
        poke32(at + 4, (value >> 32) as u32);
    }

    /// Fills the page with one value.
    pub fn fill(self, value: u64) {
        (0..512).for_each(|index| self.write(index, value));
    }

    /// Maps the page read-only, as a page that is to be a table must be.
    ///
    /// # Panics
    /// Where the hypervisor refuses.
    pub fn protect(self) -> Self {
        raw::remap(self.0, self.pte(READ_ONLY)).expect("a page may be mapped read-only");
        self
    }

    /// Maps the page writable again.
    ///
    /// # Panics
    /// Where the hypervisor refuses.
    pub fn unprotect(self) -> Self {
        raw::remap(self.0, self.pte(WRITABLE)).expect("an unused page may be mapped writable");
        self
    }
}

/// The pseudo-physical frame number that the hypervisor's table gives for a machine frame.
pub fn machine_to_phys(mfn: Mfn) -> u32 {
    peek32(HV_START + 4 * mfn.raw())
}
