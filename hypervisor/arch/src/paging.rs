//! The hypervisor's own address space, and the frame in which guests' page tables hang.
//!
//! ```text
//!  L4 slot 0        the running 32-bit guest's L3 (its 4 GiB)
//!          260      per domain: GDT window, LDT window
//!          261      image (4 KiB pages with permissions), stacks, device registers
//!          262-271  direct map of RAM (2 MiB or 1 GiB pages)
//! ```
//! Everything of ours is global and supervisor-only. Frames for tables come from a callback at boot; nothing here
//! allocates later. Source of the entry formats: Intel SDM vol. 3A, 4.5.

use crate::{cpu, percpu};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Linear address of physical address 0 in the image's slot.
pub const HV_BASE: u64 = 0xFFFF_8280_0000_0000;
/// Linear address of physical address 0 in the direct map.
pub const DIRECT_MAP: u64 = 0xFFFF_8300_0000_0000;
/// End of the direct map: ten slots of 512 GiB.
pub const DIRECT_MAP_END: u64 = 0xFFFF_8800_0000_0000;
/// The running domain's GDT: 16 pages.
pub const GDT_WINDOW: u64 = 0xFFFF_8200_0000_0000;
/// The running domain's LDT: 16 pages.
pub const LDT_WINDOW: u64 = GDT_WINDOW + 0x1_0000;
/// Pages of a guest's GDT; the hypervisor's own follows.
const GDT_PAGES: usize = 14;
/// The first page of the LDT window in the table of both windows, and how many there are.
const FIRST_LDT_PAGE: usize = 16;
const LDT_PAGES: usize = 16;
/// Device registers are mapped from here, in the image's slot.
const DEVICES: u64 = HV_BASE + 0x40_0000_0000;

const P: u64 = 1;
const RW: u64 = 1 << 1;
const PWT: u64 = 1 << 3;
const PCD: u64 = 1 << 4;
const A: u64 = 1 << 5;
const D: u64 = 1 << 6;
const PS: u64 = 1 << 7;
const G: u64 = 1 << 8;
const NX: u64 = 1 << 63;
const FRAME: u64 = 0x000F_FFFF_FFFF_F000;
/// A table of ours: writable, not for ring 3.
const TABLE: u64 = P | RW | A;

/// What a mapping of ours may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Code.
    ReadExecute,
    /// Constants.
    Read,
    /// Data.
    ReadWrite,
    /// Device registers: uncached.
    Device,
    /// Frame buffers: write-through.
    WriteThrough,
}

impl Access {
    const fn bits(self) -> u64 {
        P | A
            | match self {
                Self::ReadExecute => G,
                Self::Read => G | NX,
                Self::ReadWrite => G | RW | D | NX,
                Self::Device => G | RW | D | NX | PCD | PWT,
                Self::WriteThrough => G | RW | D | NX | PWT,
            }
    }
}

unsafe extern "C" {
    static __text_start: u8;
    static __text_end: u8;
    static __rodata_end: u8;
    static __image_end: u8;
    static __image_phys_start: u8;
}

/// Physical address of something in the image.
#[must_use]
pub const fn image_phys(linear: u64) -> u64 {
    linear - HV_BASE
}

/// First and last-plus-one physical byte of the image, boot section included.
#[must_use]
pub fn image_range() -> (u64, u64) {
    (
        (&raw const __image_phys_start) as u64,
        image_phys((&raw const __image_end) as u64),
    )
}

/// First and last-plus-one linear address of the hypervisor's code.
#[must_use]
pub fn text_range() -> (u64, u64) {
    ((&raw const __text_start) as u64, (&raw const __text_end) as u64)
}

/// Where the direct map shows physical address `phys`.
#[must_use]
#[inline]
pub fn direct(phys: u64) -> *mut u8 {
    (DIRECT_MAP + phys) as *mut u8
}

/// Where entry `index` of a page table of ours lies. Only tables of the hypervisor's are read and written here.
fn entry(table: u64, index: usize) -> *mut u64 {
    assert!(index < 512);
    direct(table).cast::<u64>().wrapping_add(index)
}

fn index(linear: u64, level: u32) -> usize {
    (linear >> (12 + 9 * (level - 1)) & 511) as usize
}

/// Gives zeroed frames for page tables while booting.
pub trait TableFrames {
    /// Physical address of a fresh zeroed frame.
    fn table_frame(&mut self) -> u64;
}

/// A hypervisor-owned address space under construction or in use: its L4.
#[derive(Clone, Copy, Debug)]
pub struct Root(u64);

impl Root {
    /// An empty L4.
    pub fn new(frames: &mut impl TableFrames) -> Self {
        Self(frames.table_frame())
    }

    /// The table at `level - 1` that maps `linear`, made if missing.
    fn table_below(frames: &mut impl TableFrames, table: u64, level: u32, linear: u64) -> u64 {
        let slot = entry(table, index(linear, level));
        // SAFETY: `slot` lies in that table.
        let present = unsafe { slot.read() };
        if present & P != 0 {
            assert!(present & PS == 0, "{linear:#x} is already mapped by a large page");
            return present & FRAME;
        }
        let fresh = frames.table_frame();
        // SAFETY: as above.
        unsafe { slot.write(fresh | TABLE) };
        fresh
    }

    /// Maps `len` bytes (page multiples) from `linear` to `phys`, in the largest pages that fit and the CPU has.
    pub fn map(
        self,
        frames: &mut impl TableFrames,
        linear: u64,
        phys: u64,
        len: u64,
        access: Access,
        has_1g: bool,
    ) {
        let mut done = 0;
        while done < len {
            let (at, to, left) = (linear + done, phys + done, len - done);
            let fits = |size: u64| at % size == 0 && to % size == 0 && left >= size;
            let level = match () {
                () if has_1g && fits(1 << 30) => 3,
                () if fits(1 << 21) => 2,
                () => 1,
            };
            let mut table = self.0;
            for l in (level + 1..=4).rev() {
                table = Self::table_below(frames, table, l, at);
            }
            let large = if level > 1 { PS } else { 0 };
            // SAFETY: `table` is a table of ours from the walk.
            unsafe { entry(table, index(at, level)).write(to | access.bits() | large) };
            done += 1 << (12 + 9 * (level - 1));
        }
    }

    /// Takes the mapping of one 4 KiB page away again.
    fn unmap_page(self, frames: &mut impl TableFrames, linear: u64) {
        let mut table = self.0;
        for l in (2..=4).rev() {
            table = Self::table_below(frames, table, l, linear);
        }
        // SAFETY: `table` is a table of ours from the walk.
        unsafe { entry(table, index(linear, 1)).write(0) };
    }

    /// Maps the image with its permissions and leaves holes for the stacks' guard pages.
    pub fn map_image(self, frames: &mut impl TableFrames) {
        let text = text_range();
        let rodata_end = (&raw const __rodata_end) as u64;
        let end = (&raw const __image_end) as u64;
        let mut part = |from: u64, to: u64, access| {
            let mut at = from;
            while at < to {
                // One page at a time: large pages would join parts of different permission.
                self.map(frames, at, image_phys(at), 4096, access, false);
                at += 4096;
            }
        };
        part(text.0, text.1, Access::ReadExecute);
        part(text.1, rodata_end, Access::Read);
        part(rodata_end, end, Access::ReadWrite);
        for page in percpu::GUARD_PAGES {
            self.unmap_page(frames, percpu::block_base() + (page as u64) * 4096);
        }
    }

    /// Makes this the active address space.
    ///
    /// # Safety
    /// It must map the image, the current stack and the direct map.
    pub unsafe fn activate(self) {
        // SAFETY: the caller vouches for the mappings.
        unsafe { cpu::set_page_table_root(self.0) }
    }

    /// Physical address of the L4.
    #[must_use]
    pub fn phys(self) -> u64 {
        self.0
    }

    /// Copies the slots that every address space shares (image and direct map) from `other`.
    pub fn share(self, other: Self) {
        for slot in 261..272 {
            // SAFETY: both are L4s of ours.
            let value = unsafe { entry(other.0, slot).read() };
            // SAFETY: as above.
            unsafe { entry(self.0, slot).write(value) };
        }
    }
}

static NEXT_DEVICE: AtomicU64 = AtomicU64::new(DEVICES);

/// Maps `len` bytes of device or firmware memory at `phys` and gives its linear address. Boot only.
pub fn map_physical(
    root: Root,
    frames: &mut impl TableFrames,
    phys: u64,
    len: u64,
    access: Access,
) -> *mut u8 {
    let offset = phys & 0xFFF;
    let pages = (offset + len).div_ceil(4096) * 4096;
    let at = NEXT_DEVICE.fetch_add(pages + 4096, Ordering::Relaxed);
    let mut done = 0;
    while done < pages {
        root.map(frames, at + done, phys - offset + done, 4096, access, false);
        done += 4096;
    }
    (at + offset) as *mut u8
}

/// A domain's address space as the hypervisor frames it: the L4 and the table of its GDT and LDT windows.
#[derive(Debug)]
pub struct AddressSpace {
    root: Root,
    windows: u64,
    empty_page: u64,
    /// How many pages of the GDT window, from the first on, show a guest's.
    gdt_pages: AtomicU32,
    /// Which pages of the LDT window are mapped, a bit each.
    ldt_pages: AtomicU32,
}

impl AddressSpace {
    /// Frames that [`AddressSpace::new`] takes.
    pub const FRAMES: usize = 5;

    /// A new address space sharing the hypervisor's part of `base`; its windows hold no descriptor of a guest's.
    pub fn new(frames: &mut impl TableFrames, base: Root) -> Self {
        let root = Root::new(frames);
        root.share(base);
        let empty_page = frames.table_frame();
        let mut table = root.0;
        for level in (2..=4).rev() {
            table = Root::table_below(frames, table, level, GDT_WINDOW);
        }
        let space = Self {
            root,
            windows: table,
            empty_page,
            gdt_pages: AtomicU32::new(0),
            ldt_pages: AtomicU32::new(0),
        };
        for page in 0..GDT_PAGES {
            space.write_window(page, empty_page);
        }
        space.write_window(GDT_PAGES, crate::gdt::reserved_page());
        space
    }

    fn write_window(&self, page: usize, frame: u64) {
        // Writable, for the accessed bit; not global, because it differs between domains.
        // SAFETY: `windows` is the L1 made in `new`.
        unsafe { entry(self.windows, page).write(frame | P | RW | A | D | NX) };
    }

    /// Maps `frames` as the first pages of the GDT window, and pages without descriptors behind them. The caller flushes.
    #[inline(always)]
    pub fn set_gdt(&self, frames: impl Iterator<Item = u64>) {
        let before = self.gdt_pages.load(Ordering::Relaxed) as usize;
        let mut pages = 0;
        for frame in frames.take(GDT_PAGES) {
            self.write_window(pages, frame);
            pages += 1;
        }
        self.gdt_pages.store(pages as u32, Ordering::Relaxed);
        while pages < before {
            self.write_window(pages, self.empty_page);
            pages += 1;
        }
    }

    /// Maps `frame` as LDT page 0–15.
    ///
    /// # Panics
    /// For a page outside the window.
    pub fn set_ldt_page(&self, page: usize, frame: u64) {
        assert!(page < LDT_PAGES);
        self.write_window(FIRST_LDT_PAGE + page, frame);
        self.ldt_pages.fetch_or(1 << page, Ordering::Relaxed);
    }

    /// Unmaps all LDT pages, so that their next use faults. The caller flushes.
    #[inline]
    pub fn clear_ldt(&self) {
        if self.ldt_pages.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mapped = self.ldt_pages.swap(0, Ordering::Relaxed);
        for page in (0..LDT_PAGES).filter(|page| mapped >> page & 1 != 0) {
            // SAFETY: `windows` is the L1 made in `new`.
            unsafe { entry(self.windows, FIRST_LDT_PAGE + page).write(0) };
        }
    }

    /// Hangs the guest's L3 into slot 0, or takes it out.
    pub fn set_guest_root(&self, l3: Option<u64>) {
        // Bit 2: the guest's own tables decide what ring 3 may touch.
        let value = l3.map_or(0, |l3| l3 | P | RW | A | 1 << 2);
        // SAFETY: our L4.
        unsafe { entry(self.root.0, 0).write(value) };
    }

    /// Loads CR3: this space becomes active, cached guest translations are dropped.
    ///
    /// # Safety
    /// The tree under slot 0 must be a validated guest table or empty.
    #[inline]
    pub unsafe fn activate(&self) {
        // SAFETY: `new` shared everything the hypervisor needs; the caller vouches for slot 0.
        unsafe { self.root.activate() }
    }
}
