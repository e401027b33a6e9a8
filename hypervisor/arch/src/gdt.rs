//! The hypervisor's part of every GDT: one page behind the guest's fourteen.
//!
//! The GDT register always names the whole window (15 pages of L4 slot 260). Pages 0–13 map the running domain's
//! checked frames or a zero page; page 14 is ours. So a guest's `set_gdt` changes mappings, never the register.

use crate::{cpu, paging::GDT_WINDOW, tss};
use core::cell::UnsafeCell;

/// Entries before the reserved page.
pub const FIRST_RESERVED: usize = 14 * 512;
/// Ring-0 64-bit code.
pub const HV_CS: u16 = 0xE008;
/// Ring-0 data.
pub const HV_DS: u16 = 0xE010;
/// The CPU's TSS.
pub const TSS: u16 = 0xE040;
/// The running domain's LDT.
pub const LDT: u16 = 0xE050;

#[repr(C, align(4096))]
struct Page(UnsafeCell<[u64; 512]>);
// SAFETY: written at boot and by the one CPU that owns it.
unsafe impl Sync for Page {}

static RESERVED_PAGE: Page = Page(UnsafeCell::new([0; 512]));

/// Physical address of the reserved page, for [`crate::paging::AddressSpace`].
#[must_use]
pub fn reserved_page() -> u64 {
    crate::paging::image_phys(RESERVED_PAGE.0.get() as u64)
}

fn set(index: usize, value: u64) {
    // SAFETY: `index` is below 512 (array access is checked); only this CPU writes, see `Page`.
    unsafe { (*RESERVED_PAGE.0.get())[index] = value }
}

fn system_descriptor(base: u64, limit: u32, kind: u64) -> [u64; 2] {
    let low = u64::from(limit & 0xFFFF)
        | (base & 0xFF_FFFF) << 16
        | kind << 40
        | 1 << 47
        | u64::from(limit >> 16 & 0xF) << 48
        | (base >> 24 & 0xFF) << 56;
    [low, base >> 32]
}

/// Fills the reserved page from `entries` (the flat segments, in order from the first) and adds the TSS.
pub fn init(entries: &[u64], tss_base: u64) {
    for (i, &e) in entries.iter().enumerate() {
        set(i, e);
    }
    let tss = system_descriptor(tss_base, tss::LIMIT, 0x9);
    set(usize::from(TSS >> 3) - FIRST_RESERVED, tss[0]);
    set(usize::from(TSS >> 3) - FIRST_RESERVED + 1, tss[1]);
}

/// Loads the GDT register, our segments and the task register. The final page tables must be active.
pub fn load() {
    cpu::load_gdt(GDT_WINDOW, (15 * 4096 - 1) as u16);
    cpu::load_hypervisor_segments(HV_CS);
    cpu::load_task_register(TSS);
}

/// Loads an LDT of `entries` entries at `base`, or none.
pub fn load_ldt(base: u64, entries: u32) {
    if entries == 0 {
        cpu::load_ldt(0);
        return;
    }
    let d = system_descriptor(base, entries * 8 - 1, 0x2);
    set(usize::from(LDT >> 3) - FIRST_RESERVED, d[0]);
    set(usize::from(LDT >> 3) - FIRST_RESERVED + 1, d[1]);
    cpu::load_ldt(LDT);
}
