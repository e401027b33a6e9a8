//! The hypervisor's page of the GDT.
//!
//! Page 14 of the GDT window (entries 7168 up) is a frame of the hypervisor, the same for every guest of a
//! CPU, behind at most 14 frames of the guest's own:
//!
//! | entry | selector | segment |
//! |---|---|---|
//! | 7168 | | none |
//! | 7169 | 0xE008 | ring-0 64-bit code |
//! | 7170 | 0xE010 | ring-0 data |
//! | 7171 | 0xE019 | ring-1 code |
//! | 7172 | 0xE021 | ring-1 data |
//! | 7173 | 0xE02B | ring-3 code |
//! | 7174 | 0xE033 | ring-3 data |
//! | 7176, 7177 | 0xE040 | the CPU's TSS, filled in by the owner of that TSS |
//! | 7178, 7179 | 0xE050 | the running guest's LDT, filled in when one is loaded |
//!
//! The accessed bit is preset in all of them. Source: Intel SDM vol. 3A 3.4.5, 3.5.2, 7.2.3.

use super::SegmentLimits;
use guest_abi::segment::{Descriptor, DescriptorFlags, FIRST_RESERVED_ENTRY, Selector, segment_type};

/// Selector of the hypervisor's code segment.
pub const HV_CS: Selector = Selector::gdt(FIRST_RESERVED_ENTRY + 1, 0);
/// Selector of the hypervisor's data segment.
pub const HV_DS: Selector = Selector::gdt(FIRST_RESERVED_ENTRY + 2, 0);
/// Selector of the CPU's TSS descriptor (two slots).
pub const TSS: Selector = Selector::gdt(FIRST_RESERVED_ENTRY + 8, 0);
/// Selector of the LDT descriptor (two slots).
pub const LDT: Selector = Selector::gdt(FIRST_RESERVED_ENTRY + 10, 0);
/// Entries of the page that are in use.
pub const ENTRIES: usize = 12;

const CODE: u8 = segment_type::CODE | segment_type::WRITABLE | segment_type::ACCESSED;
const DATA: u8 = segment_type::WRITABLE | segment_type::ACCESSED;
/// A 20-bit limit field of all ones.
const ALL_PAGES: u32 = 0xF_FFFF;

/// The first entries of the page; the rest is zero, and so are the TSS and LDT slots.
#[must_use]
pub const fn entries(limits: SegmentLimits) -> [u64; ENTRIES] {
    let pages = match limits {
        SegmentLimits::Truncate(end) => (end / 4096 - 1) as u32,
        SegmentLimits::Full => ALL_PAGES,
    };
    let mut table = [0; ENTRIES];
    table[1] = HV_CODE;
    table[2] = flat(ALL_PAGES, DATA, 0);
    table[3] = flat(pages, CODE, 1);
    table[4] = flat(pages, DATA, 1);
    table[5] = flat(pages, CODE, 3);
    table[6] = flat(pages, DATA, 3);
    table
}

/// 64-bit code: L set, D clear.
const HV_CODE: u64 = {
    let flags = DescriptorFlags::CODE_OR_DATA.bits()
        | DescriptorFlags::PRESENT.bits()
        | DescriptorFlags::LONG.bits()
        | DescriptorFlags::PAGES.bits();
    Descriptor::from_fields(0, ALL_PAGES, CODE, 0, DescriptorFlags::from_bits_retain(flags)).raw()
};

const fn flat(limit: u32, kind: u8, dpl: u8) -> u64 {
    Descriptor::from_fields(0, limit, kind, dpl, DescriptorFlags::ORDINARY).raw()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::check_descriptor;

    const LIMITS: SegmentLimits = SegmentLimits::Truncate(0xFC40_0000);

    #[test]
    fn values_as_a_disassembler_shows_them() {
        let table = entries(LIMITS);
        assert_eq!(table[1], 0x00AF_9B00_0000_FFFF);
        assert_eq!(table[2], 0x00CF_9300_0000_FFFF);
        assert_eq!(table[3], 0x00CF_BB00_0000_C3FF);
        assert_eq!(table[4], 0x00CF_B300_0000_C3FF);
        assert_eq!(table[5], 0x00CF_FB00_0000_C3FF);
        assert_eq!(table[6], 0x00CF_F300_0000_C3FF);
        assert_eq!(entries(SegmentLimits::Full)[4], 0x00CF_B300_0000_FFFF);
        assert_eq!(
            entries(SegmentLimits::Truncate(1 << 32))[4],
            0x00CF_B300_0000_FFFF
        );
    }

    #[test]
    fn selectors_name_their_entries() {
        assert_eq!(HV_CS.raw(), 0xE008);
        assert_eq!(HV_DS.raw(), 0xE010);
        assert_eq!(TSS.raw(), 0xE040);
        assert_eq!(LDT.raw(), 0xE050);
        for (selector, entry) in [
            (Selector::FLAT_RING1_CS, 3),
            (Selector::FLAT_RING1_DS, 4),
            (Selector::FLAT_RING3_CS, 5),
            (Selector::FLAT_RING3_DS, 6),
        ] {
            assert_eq!(selector.index(), FIRST_RESERVED_ENTRY + entry);
            assert_eq!(
                Descriptor::new(entries(LIMITS)[usize::from(entry)]).dpl(),
                selector.rpl()
            );
        }
    }

    #[test]
    fn the_guests_flat_segments_pass_their_own_test() {
        for raw in entries(LIMITS).into_iter().skip(3) {
            assert_eq!(check_descriptor(raw, LIMITS), Ok(raw));
        }
    }
}
