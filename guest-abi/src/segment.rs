//! Selectors, the reserved part of the GDT, and segment descriptors.
//!
//! A guest GDT has up to [`MAX_GDT_ENTRIES`] entries; the page after them belongs to the hypervisor and holds
//! flat segments for rings 1 and 3, so a guest that never calls `set_gdt` has all it needs. Flat segments
//! end with the machine-to-phys window ([`crate::addr::m2p_window_end`]).
//!
//! Of a present descriptor (P = 1) the hypervisor refuses: level 0; every system type, call gates included;
//! a code or data segment with bit 53 (L) set; writable data with B = 0. Limits are cut to the window's
//! end, silently, where G = 1. With P = 0 anything is accepted.
//!
//! Source: Xen 2.0, `public/arch-x86_32.h`; Intel SDM vol. 3A 3.4 (segment descriptors).

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Most entries that `set_gdt` takes: 14 pages.
pub const MAX_GDT_ENTRIES: u32 = 7168;
/// Descriptors in a page.
pub const DESCRIPTORS_PER_PAGE: u32 = 512;
/// Most frames in the list of `set_gdt`.
pub const MAX_GDT_FRAMES: usize = (MAX_GDT_ENTRIES / DESCRIPTORS_PER_PAGE) as usize;
/// First GDT entry that belongs to the hypervisor; so do all after it.
pub const FIRST_RESERVED_ENTRY: u16 = 7168;
/// Most entries of an LDT.
pub const MAX_LDT_ENTRIES: u32 = 8192;

/// A segment selector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Selector(u16);

impl Selector {
    /// The null selector.
    pub const NULL: Self = Self(0);
    /// Flat ring-1 code (`FLAT_RING1_CS`).
    pub const FLAT_RING1_CS: Self = Self(0xE019);
    /// Flat ring-1 data (`FLAT_RING1_DS`).
    pub const FLAT_RING1_DS: Self = Self(0xE021);
    /// Flat ring-3 code (`FLAT_RING3_CS`).
    pub const FLAT_RING3_CS: Self = Self(0xE02B);
    /// Flat ring-3 data (`FLAT_RING3_DS`).
    pub const FLAT_RING3_DS: Self = Self(0xE033);

    /// The selector with these 16 bits.
    #[must_use]
    pub const fn new(raw: u16) -> Self {
        Self(raw)
    }

    /// The selector of GDT entry `index` (its low 13 bits) with privilege level `rpl` (its low 2 bits).
    #[must_use]
    pub const fn gdt(index: u16, rpl: u8) -> Self {
        Self(index << 3 | (rpl & 3) as u16)
    }

    /// The selector as a number.
    #[must_use]
    pub const fn raw(self) -> u16 {
        self.0
    }

    /// The requested privilege level.
    #[must_use]
    pub const fn rpl(self) -> u8 {
        (self.0 & 3) as u8
    }

    /// Whether it names an LDT entry (the TI bit).
    #[must_use]
    pub const fn is_local(self) -> bool {
        self.0 & 4 != 0
    }

    /// Index of the descriptor in its table.
    #[must_use]
    pub const fn index(self) -> u16 {
        self.0 >> 3
    }
}

layout!(Selector, size 2);

/// A descriptor: 8 bytes of a GDT or LDT, any bit pattern.
///
/// ```text
///  63      56 55 54 53 52 51    48 47 46 45 44 43  40 39           16 15         0
///  base 31:24  G  B  L AVL lim19:16  P  DPL   S  type    base 23:0      limit 15:0
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Descriptor(u64);

layout!(Descriptor, size 8);

/// The one-bit fields of a [`Descriptor`], at their places in its 64 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DescriptorFlags(u64);

bitflags! {
    impl DescriptorFlags: u64 {
        /// Code or data, not a system descriptor (S).
        const CODE_OR_DATA = 1 << 44;
        /// Present (P).
        const PRESENT = 1 << 47;
        /// Available to software (AVL).
        const AVAILABLE = 1 << 52;
        /// 64-bit code (L): refused in a present code or data segment.
        const LONG = 1 << 53;
        /// 32-bit default size or stack (D/B).
        const SIZE_32 = 1 << 54;
        /// Limit counts pages (G).
        const PAGES = 1 << 55;
        /// What an ordinary 32-bit segment with a limit in pages sets.
        const ORDINARY = Self::CODE_OR_DATA.bits() | Self::PRESENT.bits() | Self::SIZE_32.bits()
            | Self::PAGES.bits();
    }
}

/// Type bits of a code or data descriptor (Intel SDM vol. 3A table 3-1).
pub mod segment_type {
    /// Set by the processor at the first load.
    pub const ACCESSED: u8 = 1;
    /// Data: writable. Code: readable.
    pub const WRITABLE: u8 = 2;
    /// Data: the limit is the lowest, not the highest, offset. Code: conforming.
    pub const EXPAND_DOWN: u8 = 4;
    /// Code, not data.
    pub const CODE: u8 = 8;
}

impl Descriptor {
    /// The descriptor with these 64 bits.
    #[must_use]
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// The descriptor given as its low and high word, as in two registers.
    #[must_use]
    pub const fn from_low_high(low: u32, high: u32) -> Self {
        Self((high as u64) << 32 | low as u64)
    }

    /// A segment descriptor from its fields: `limit` is the 20-bit field (in bytes, or in pages with
    /// [`DescriptorFlags::PAGES`]), `kind` the 4 type bits, `dpl` the level. Bits beyond a field's width
    /// are cut.
    #[must_use]
    pub const fn from_fields(base: u32, limit: u32, kind: u8, dpl: u8, flags: DescriptorFlags) -> Self {
        let base = base as u64;
        let limit = limit as u64;
        Self(
            flags.0
                | (limit & 0xFFFF)
                | (limit & 0xF_0000) << 32
                | (base & 0xFF_FFFF) << 16
                | (base & 0xFF00_0000) << 32
                | ((kind & 0xF) as u64) << 40
                | ((dpl & 3) as u64) << 45,
        )
    }

    /// All 64 bits.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// Low and high word.
    #[must_use]
    pub const fn low_high(self) -> (u32, u32) {
        (self.0 as u32, (self.0 >> 32) as u32)
    }

    /// First linear address of the segment.
    #[must_use]
    pub const fn base(self) -> u32 {
        ((self.0 >> 16 & 0xFF_FFFF) | (self.0 >> 32 & 0xFF00_0000)) as u32
    }

    /// The 20-bit limit field.
    #[must_use]
    pub const fn limit_field(self) -> u32 {
        ((self.0 & 0xFFFF) | (self.0 >> 32 & 0xF_0000)) as u32
    }

    /// The limit as a byte offset, the last one that belongs to an expand-up segment: the field, or with G
    /// = 1 the field shifted by 12 with ones below.
    #[must_use]
    pub const fn limit(self) -> u32 {
        if self.has(DescriptorFlags::PAGES) {
            self.limit_field() << 12 | 0xFFF
        } else {
            self.limit_field()
        }
    }

    /// The same descriptor with its 20-bit limit field replaced by the low 20 bits of `limit`.
    #[must_use]
    pub const fn with_limit_field(self, limit: u32) -> Self {
        const FIELD: u64 = 0x000F_0000_0000_FFFF;
        Self(self.0 & !FIELD | (limit as u64 & 0xFFFF) | (limit as u64 & 0xF_0000) << 32)
    }

    /// The four type bits.
    #[must_use]
    pub const fn kind(self) -> u8 {
        (self.0 >> 40 & 0xF) as u8
    }

    /// The privilege level.
    #[must_use]
    pub const fn dpl(self) -> u8 {
        (self.0 >> 45 & 3) as u8
    }

    /// All one-bit fields.
    #[must_use]
    pub const fn flags(self) -> DescriptorFlags {
        DescriptorFlags(self.0 & DescriptorFlags::all().bits())
    }

    /// P: the descriptor is in use.
    #[must_use]
    pub const fn is_present(self) -> bool {
        self.has(DescriptorFlags::PRESENT)
    }

    /// S: code or data, not a system descriptor.
    #[must_use]
    pub const fn is_code_or_data(self) -> bool {
        self.has(DescriptorFlags::CODE_OR_DATA)
    }

    /// L: 64-bit code.
    #[must_use]
    pub const fn is_long(self) -> bool {
        self.has(DescriptorFlags::LONG)
    }

    /// D/B: 32-bit.
    #[must_use]
    pub const fn is_32_bit(self) -> bool {
        self.has(DescriptorFlags::SIZE_32)
    }

    /// G: the limit counts pages.
    #[must_use]
    pub const fn counts_pages(self) -> bool {
        self.has(DescriptorFlags::PAGES)
    }

    const fn has(self, flag: DescriptorFlags) -> bool {
        self.0 & flag.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_ring3_data_of_a_4_gb_segment() {
        let flat = Descriptor::from_fields(0, 0xF_FFFF, segment_type::WRITABLE, 3, DescriptorFlags::ORDINARY);
        assert_eq!(flat.raw(), 0x00CF_F200_0000_FFFF);
        assert_eq!(flat.limit(), u32::MAX);
        assert!(flat.is_present() && flat.is_code_or_data() && flat.is_32_bit() && flat.counts_pages());
        assert!(!flat.is_long());
    }

    #[test]
    fn fields_survive_packing() {
        let flags = DescriptorFlags::PRESENT | DescriptorFlags::CODE_OR_DATA | DescriptorFlags::AVAILABLE;
        let segment = Descriptor::from_fields(0x1234_5678, 0xA_BCDE, segment_type::CODE, 1, flags);
        assert_eq!(segment.base(), 0x1234_5678);
        assert_eq!(segment.limit_field(), 0xA_BCDE);
        assert_eq!(segment.limit(), 0xA_BCDE);
        assert_eq!((segment.kind(), segment.dpl()), (8, 1));
        assert_eq!(segment.flags(), flags);
        let (low, high) = segment.low_high();
        assert_eq!(Descriptor::from_low_high(low, high), segment);
    }

    #[test]
    fn replacing_the_limit_touches_nothing_else() {
        let all_ones = Descriptor::new(u64::MAX).with_limit_field(0);
        assert_eq!(all_ones.limit_field(), 0);
        assert_eq!(all_ones.with_limit_field(0xF_FFFF), Descriptor::new(u64::MAX));
    }

    #[test]
    fn reserved_selectors_lie_in_the_reserved_page() {
        for (selector, rpl) in [
            (Selector::FLAT_RING1_CS, 1),
            (Selector::FLAT_RING1_DS, 1),
            (Selector::FLAT_RING3_CS, 3),
            (Selector::FLAT_RING3_DS, 3),
        ] {
            assert!(selector.index() >= FIRST_RESERVED_ENTRY);
            assert!(!selector.is_local());
            assert_eq!(selector.rpl(), rpl);
            assert_eq!(Selector::gdt(selector.index(), rpl), selector);
        }
        assert_eq!(MAX_GDT_FRAMES, 14);
    }
}
