//! Addresses and frame numbers, each kind its own type.
//!
//! *Machine* frames are real RAM; *pseudo-physical* frames are a guest's own contiguous numbering; *guest
//! virtual* addresses are 32-bit linear addresses. None converts into another implicitly.

/// log2 of the page size.
pub const PAGE_SHIFT: u32 = 12;
/// Bytes in a page.
pub const PAGE_SIZE: usize = 1 << PAGE_SHIFT;
/// Entries in a PAE page table (L1, L2); an L3 has 4 that count.
pub const ENTRIES_PER_TABLE: usize = 512;
/// First linear address that belongs to the hypervisor (the read-only machine-to-phys window).
pub const HV_START: u32 = 0xFC00_0000;

/// A machine frame number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Mfn(u32);

/// A pseudo-physical frame number: a guest's own numbering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Pfn(u32);

/// A byte address in machine memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct MachAddr(u64);

/// A linear address of a 32-bit guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    pub fn checked_add(self, n: u32) -> Option<Self> {
        self.0.checked_add(n).map(Self)
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

    /// Index into the table of `level` (1 to 3) of a PAE walk.
    #[must_use]
    pub const fn table_index(self, level: u32) -> usize {
        ((self.0 >> (PAGE_SHIFT + 9 * (level - 1))) & 511) as usize
    }

    /// The address `n` bytes further, or `None` where it would wrap.
    #[must_use]
    pub fn checked_add(self, n: u32) -> Option<Self> {
        self.0.checked_add(n).map(Self)
    }
}
