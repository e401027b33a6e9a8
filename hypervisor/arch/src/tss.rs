//! The task-state segment (Intel SDM vol. 3A, 8.7): stacks for entries to ring 0, and the I/O bitmap's place.

use crate::percpu::{BLOCK_SIZE, block_base};
use core::cell::UnsafeCell;

/// Interrupt-stack-table numbers, as written into gates.
pub mod ist {
    /// Double fault.
    pub const DOUBLE_FAULT: u8 = 1;
    /// Non-maskable interrupt.
    pub const NMI: u8 = 2;
    /// Machine check.
    pub const MACHINE_CHECK: u8 = 3;
    /// Debug exception.
    pub const DEBUG: u8 = 4;
}

/// Bytes of the bitmap of ports.
const BITMAP_BYTES: usize = 0x1_0000 / 8;

/// Limit of the segment: the structure, the bitmap of ports, and the byte behind it that the processor asks for.
pub const LIMIT: u32 = (size_of::<Area>() - 1) as u32;

/// The bitmap's place while the domain that runs may use no port: beyond the limit.
const NO_BITMAP: u16 = 0x8000;

/// A 64-bit TSS.
#[repr(C, packed(4))]
pub struct Tss {
    reserved0: u32,
    rsp: [u64; 3],
    reserved1: u64,
    ist: [u64; 7],
    reserved2: u64,
    reserved3: u16,
    iomap_base: u16,
}

const _: () = assert!(size_of::<Tss>() == 104);

/// A TSS with the bitmap of ports behind it.
#[repr(C)]
struct Area {
    tss: Tss,
    bitmap: [[u8; BITMAP_BYTES / 2]; 2],
    /// All ones: Intel SDM vol. 1 19.5.2.
    end: u8,
}

const _: () = assert!(core::mem::offset_of!(Area, bitmap) == 104 && LIMIT < NO_BITMAP as u32);

/// One per CPU. Aligned so that the structure lies within one page, as Intel SDM vol. 3A 8.7 wants it.
#[repr(align(128))]
struct Place(UnsafeCell<Area>);
// SAFETY: used by the one CPU it belongs to, with interrupts off.
unsafe impl Sync for Place {}

static PLACE: Place = Place(UnsafeCell::new(Area {
    tss: Tss {
        reserved0: 0,
        rsp: [0; 3],
        reserved1: 0,
        ist: [0; 7],
        reserved2: 0,
        reserved3: 0,
        iomap_base: 0,
    },
    bitmap: [[0; BITMAP_BYTES / 2]; 2],
    end: 0,
}));

/// Fills this CPU's TSS and gives its address.
pub fn init() -> u64 {
    let page_end = |page: u64| block_base() + ((page + 1) << 12);
    let tss = Tss {
        reserved0: 0,
        rsp: [block_base() + BLOCK_SIZE as u64, 0, 0],
        reserved1: 0,
        // In the order of `ist`; see the block's picture in `percpu`.
        ist: [page_end(2), page_end(4), page_end(6), page_end(8), 0, 0, 0],
        reserved2: 0,
        reserved3: 0,
        iomap_base: NO_BITMAP,
    };
    // SAFETY: only this CPU uses it, and the processor does not before `ltr`.
    let area = unsafe { &mut *PLACE.0.get() };
    area.tss = tss;
    area.end = 0xFF;
    PLACE.0.get() as u64
}

/// Shows the processor a bitmap of ports (a bit each, 1: refused), or none: then every port is refused.
#[inline]
pub fn load_io_bitmap(bitmap: Option<[&[u8; BITMAP_BYTES / 2]; 2]>) {
    let base = if let Some(bitmap) = bitmap {
        copy_io_bitmap(bitmap);
        core::mem::offset_of!(Area, bitmap) as u16
    } else {
        NO_BITMAP
    };
    // SAFETY: only this CPU uses it, and the processor reads it only while a guest runs. (A field of a packed structure,
    // which is not aligned.)
    unsafe { (*PLACE.0.get()).tss.iomap_base = base };
}

/// Out of line, for it is rare and moves much.
#[inline(never)]
fn copy_io_bitmap([low, high]: [&[u8; BITMAP_BYTES / 2]; 2]) {
    // SAFETY: as in `load_io_bitmap`.
    let bitmap = unsafe { &mut (*PLACE.0.get()).bitmap };
    bitmap[0].copy_from_slice(low);
    bitmap[1].copy_from_slice(high);
}
