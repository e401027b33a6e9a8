//! The task-state segment (Intel SDM vol. 3A, 8.7): stacks for entries to ring 0, and the I/O bitmap's place.

use crate::percpu::{BLOCK_SIZE, block_base, this_cpu};

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

/// Limit of the segment: the structure only, so that the I/O bitmap lies beyond it and no port is allowed.
pub const LIMIT: u32 = 103;

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
        iomap_base: 0x8000,
    };
    // SAFETY: the block is static, only this CPU uses it, and the processor does not use the TSS before `ltr`.
    unsafe { (*this_cpu()).tss = tss };
    // SAFETY: taking an address only.
    unsafe { &raw const (*this_cpu()).tss as u64 }
}
