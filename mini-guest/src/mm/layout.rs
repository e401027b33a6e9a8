//! The kernel's linear addresses.
//!
//! ```text
//! 0x00001000 – 0xBFFFFFFF  programs (L3 slots 0–2, their own tables)
//! 0xC0000000 – 0xEFFFFFFF  direct map: PFN n at 0xC0000000 + n pages; page tables in it read-only
//! 0xF0000000 – 0xF9FFFFFF  heap, mapped as it grows
//! 0xFA000000 – 0xFBBFFFFF  pages of other domains that the kernel uses (initial domain only)
//! 0xFBC00000 – 0xFBFFFFFF  registers of devices (initial domain only)
//! 0xFC000000 –             the hypervisor's machine-to-phys table, read-only
//! ```
//!
//! Slot 3 of every L3 is a table of its own (the hypervisor wants it so) with the same contents below
//! 0xFC000000: every L1 that the kernel will ever need there is hooked in before the first program starts.

use guest_abi::addr::{PAGE_SIZE, Pfn};

/// First address that is not a program's.
pub const USER_END: u32 = 0xC000_0000;
/// First address that a program may have mapped.
pub const USER_START: u32 = 0x1000;
/// Where PFN 0 is mapped.
pub const DIRECT_START: u32 = 0xC000_0000;
/// First address after the direct map.
pub const DIRECT_END: u32 = 0xF000_0000;
/// How many pages can be in the direct map.
pub const MAX_DIRECT_PAGES: u32 = (DIRECT_END - DIRECT_START) / PAGE_SIZE as u32;
/// Where the heap begins.
pub const HEAP_START: u32 = 0xF000_0000;
/// First address after the longest heap.
pub const HEAP_LIMIT: u32 = 0xFA00_0000;
/// Where pages of other domains are mapped.
pub const WINDOW_START: u32 = 0xFA00_0000;
/// How many there can be: a thousand domains have two rings each, and disks keep what they have mapped.
pub const WINDOW_PAGES: u32 = 7168;
/// Where registers of devices are mapped.
pub const IO_START: u32 = 0xFBC0_0000;
/// How many pages there can be.
pub const IO_PAGES: u32 = 1024;
/// Bytes that one L1 maps.
pub const L1_SPAN: u32 = 2 << 20;

/// Linear address of `pfn` in the direct map.
///
/// # Panics
/// Where the frame is not in it.
#[must_use]
pub fn direct(pfn: Pfn) -> u32 {
    assert!(pfn.raw() < MAX_DIRECT_PAGES, "frame beyond the direct map");
    DIRECT_START + pfn.raw() * PAGE_SIZE as u32
}

/// The frame at `address` of the direct map.
///
/// # Panics
/// Where the address is not in it.
#[must_use]
pub fn direct_pfn(address: u32) -> Pfn {
    assert!(
        (DIRECT_START..DIRECT_END).contains(&address),
        "address outside of the direct map"
    );
    Pfn::new((address - DIRECT_START) / PAGE_SIZE as u32)
}

/// The slot of the top L2 (L3 slot 3) that covers `address`.
#[must_use]
pub const fn top_slot(address: u32) -> usize {
    ((address - DIRECT_START) / L1_SPAN) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn direct_map_goes_both_ways() {
        for pfn in [0, 1, 511, MAX_DIRECT_PAGES - 1] {
            assert_eq!(direct_pfn(direct(Pfn::new(pfn))), Pfn::new(pfn));
        }
        assert_eq!(top_slot(HEAP_START), 384);
        assert_eq!(top_slot(HEAP_LIMIT), 464);
    }
}
