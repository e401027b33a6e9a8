//! Addresses and frame numbers, each kind its own type.
//!
//! *Machine* frames are real RAM; *pseudo-physical* frames are a guest's own contiguous numbering; *guest
//! virtual* addresses are 32-bit linear addresses. None converts into another implicitly.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// log2 of the page size.
pub const PAGE_SHIFT: u32 = 12;
/// Bytes in a page.
pub const PAGE_SIZE: usize = 1 << PAGE_SHIFT;
/// Entries in a PAE page table (L1, L2); an L3 has 4 that count.
pub const ENTRIES_PER_TABLE: usize = 512;
/// First linear address that belongs to the hypervisor (the read-only machine-to-phys window).
pub const HV_START: u32 = 0xFC00_0000;
/// Index of the first slot of the top L2 (the one in L3 slot 3) that belongs to the hypervisor.
pub const FIRST_HV_L2_SLOT: usize = 480;
/// Entry of the machine-to-phys table, or of a guest's own phys-to-machine list, that names no frame.
/// Any value with bit 31 set means "not in the pseudo-physical map".
pub const INVALID_FRAME: u32 = 0xFFFF_FFFF;

/// Where the machine-to-phys window ends on a machine with `frames` machine frames: the end of what flat
/// guest segments reach. 4 bytes a frame from [`HV_START`], at least 4 MiB, rounded up to 4 MiB; `None`
/// beyond the 64 MiB that are reserved (64 GiB of RAM).
#[must_use]
pub const fn m2p_window_end(frames: u32) -> Option<u64> {
    const STEP: u64 = 4 << 20;
    let bytes = (frames as u64 * 4).next_multiple_of(STEP);
    let bytes = if bytes == 0 { STEP } else { bytes };
    if bytes > (1 << 32) - HV_START as u64 {
        None
    } else {
        Some(HV_START as u64 + bytes)
    }
}

/// A machine frame number.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(transparent)]
pub struct Mfn(u32);

/// A pseudo-physical frame number: a guest's own numbering.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(transparent)]
pub struct Pfn(u32);

/// A byte address in machine memory.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(transparent)]
pub struct MachAddr(u64);

/// A linear address of a 32-bit guest.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(transparent)]
pub struct GuestVirt(u32);

impl Mfn {
    /// Frame `n`.
    #[must_use]
    pub const fn new(n: u32) -> Self {
        Self(n)
    }

    /// The frame that holds machine address `ma`, or `None` where its number needs more than 32 bits.
    #[must_use]
    pub fn try_containing(ma: MachAddr) -> Option<Self> {
        u32::try_from(ma.0 >> PAGE_SHIFT).ok().map(Self)
    }

    /// The frame's number.
    #[must_use]
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// The frame's number, as an index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Machine address of the frame's first byte.
    #[must_use]
    pub const fn addr(self) -> MachAddr {
        MachAddr((self.0 as u64) << PAGE_SHIFT)
    }

    /// The frame `n` after this one.
    #[must_use]
    pub const fn checked_add(self, n: u32) -> Option<Self> {
        match self.0.checked_add(n) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }
}

impl Pfn {
    /// Frame `n` in the guest's numbering.
    #[must_use]
    pub const fn new(n: u32) -> Self {
        Self(n)
    }

    /// The frame's number.
    #[must_use]
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// The frame's number, as an index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The frame `n` after this one.
    #[must_use]
    pub const fn checked_add(self, n: u32) -> Option<Self> {
        match self.0.checked_add(n) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }
}

impl MachAddr {
    /// Byte address `a`.
    #[must_use]
    pub const fn new(a: u64) -> Self {
        Self(a)
    }

    /// The address as a number.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// Offset inside the page, in bytes.
    #[must_use]
    pub const fn page_offset(self) -> usize {
        (self.0 & (PAGE_SIZE as u64 - 1)) as usize
    }

    /// Bits 31:0 and 63:32, as calls take an address in two registers.
    #[must_use]
    pub const fn low_high(self) -> (u32, u32) {
        (self.0 as u32, (self.0 >> 32) as u32)
    }

    /// The address given in two registers.
    #[must_use]
    pub const fn from_low_high(low: u32, high: u32) -> Self {
        Self((high as u64) << 32 | low as u64)
    }
}

impl GuestVirt {
    /// Linear address `a`.
    #[must_use]
    pub const fn new(a: u32) -> Self {
        Self(a)
    }

    /// The address as a number.
    #[must_use]
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// Address of the page that holds this one.
    #[must_use]
    pub const fn page_base(self) -> Self {
        Self(self.0 & !(PAGE_SIZE as u32 - 1))
    }

    /// The page's number, `address >> 12`, as `update_va_mapping` takes it.
    #[must_use]
    pub const fn page_number(self) -> u32 {
        self.0 >> PAGE_SHIFT
    }

    /// Offset inside the page, in bytes.
    #[must_use]
    pub const fn page_offset(self) -> usize {
        (self.0 & (PAGE_SIZE as u32 - 1)) as usize
    }

    /// Index into the table of `level` (1 to 3) of a PAE walk.
    #[must_use]
    pub const fn table_index(self, level: u32) -> usize {
        ((self.0 >> (PAGE_SHIFT + 9 * (level - 1))) & 511) as usize
    }

    /// The address `n` bytes further, or `None` where it would wrap.
    #[must_use]
    pub const fn checked_add(self, n: u32) -> Option<Self> {
        match self.0.checked_add(n) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }
}

layout!(Mfn, size 4);
layout!(Pfn, size 4);
layout!(MachAddr, size 8);
layout!(GuestVirt, size 4);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_is_four_megabytes_up_to_four_gigabytes_and_grows_with_the_machine() {
        assert_eq!(m2p_window_end(1), Some(0xFC40_0000));
        assert_eq!(m2p_window_end(1 << 20), Some(0xFC40_0000));
        assert_eq!(m2p_window_end((1 << 20) + 1), Some(0xFC80_0000));
        assert_eq!(m2p_window_end(1 << 24), Some(1 << 32));
        assert_eq!(m2p_window_end((1 << 24) + 1), None);
    }

    #[test]
    fn machine_address_survives_two_registers() {
        let address = MachAddr::new(0x0012_3456_789A_BCDE);
        let (low, high) = address.low_high();
        assert_eq!(MachAddr::from_low_high(low, high), address);
        assert_eq!(address.page_offset(), 0xCDE);
    }

    #[test]
    fn hypervisor_area_starts_at_the_first_reserved_slot() {
        let start = GuestVirt::new(HV_START);
        assert_eq!(
            (start.table_index(3), start.table_index(2), start.table_index(1)),
            (3, FIRST_HV_L2_SLOT, 0)
        );
        assert_eq!(start.page_number(), 0xFC000);
    }

    #[test]
    fn frame_beyond_32_bits_has_no_number() {
        assert_eq!(
            Mfn::try_containing(MachAddr::new(0x0000_0FFF_FFFF_FFFF)),
            Some(Mfn::new(u32::MAX))
        );
        assert_eq!(Mfn::try_containing(MachAddr::new(0x0000_1000_0000_0000)), None);
    }
}
