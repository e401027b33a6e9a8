//! Page-table entries of the PAE format, as a guest writes them.
//!
//! ```text
//!  63  62    59 58        52 51              12 11   9 8 7 6 5 4   3   2  1  0
//!  NX  reserved  guest's own   machine frame     AVL   G S D A PCD PWT US RW P
//! ```
//!
//! Bits 62:59 belong to the hypervisor and are refused in a guest's value; bits 58:52 and 11:9 are the
//! guest's own. G (8) and S (7: PAT in an L1, PSE in an L2) are refused; PWT and PCD are accepted for I/O
//! frames only. A *non-present* entry may hold anything, but its frame bits, as far as the processor has
//! physical addresses, must be 0 or lie beyond the last machine frame, and in an L2 or L3 bit 7 must be 0 (so
//! that it names nothing a processor could speculate on).
//!
//! Source: Intel SDM vol. 3A 4.4 (PAE paging) and 4.5 (the four-level walk that the hypervisor really does).

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::addr::{MachAddr, Mfn};

/// The bits of an entry that are not the frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct PteFlags(u64);

bitflags! {
    impl PteFlags: u64 {
        /// The entry maps something.
        const PRESENT = 1 << 0;
        /// Writes are allowed.
        const WRITABLE = 1 << 1;
        /// Ring 3 may use it.
        const USER = 1 << 2;
        /// Write-through.
        const WRITE_THROUGH = 1 << 3;
        /// No caching.
        const NO_CACHE = 1 << 4;
        /// Used since the bit was cleared.
        const ACCESSED = 1 << 5;
        /// Written since the bit was cleared.
        const DIRTY = 1 << 6;
        /// PAT in an L1 entry, a large page in an L2 entry: refused.
        const PAT_OR_LARGE = 1 << 7;
        /// Survives a flush: refused.
        const GLOBAL = 1 << 8;
        /// Bits 11:9, the guest's own.
        const AVAILABLE = 0x7 << 9;
        /// Bits 58:52, the guest's own.
        const SOFTWARE = 0x7F << 52;
        /// Bits 62:59, the hypervisor's: refused.
        const HYPERVISOR = 0xF << 59;
        /// No instruction fetch; accepted where the processor has it.
        const NO_EXECUTE = 1 << 63;

        /// What a present L1 entry may set. (PWT and PCD besides, when it names an I/O frame.)
        const L1_ALLOWED = Self::PRESENT.bits() | Self::WRITABLE.bits() | Self::USER.bits()
            | Self::ACCESSED.bits() | Self::DIRTY.bits() | Self::AVAILABLE.bits() | Self::SOFTWARE.bits()
            | Self::NO_EXECUTE.bits();
        /// What a present L2 entry may set.
        const L2_ALLOWED = Self::L1_ALLOWED.bits();
        /// What a present L3 entry may set. RW and US are added by the hypervisor: all four levels of the
        /// real walk must allow what the L1 and L2 allow.
        const L3_ALLOWED = Self::PRESENT.bits() | Self::WRITABLE.bits() | Self::USER.bits()
            | Self::ACCESSED.bits() | Self::DIRTY.bits() | Self::AVAILABLE.bits() | Self::SOFTWARE.bits();
    }
}

/// One 64-bit entry, every bit kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Pte(u64);

layout!(Pte, size 8);
layout!(PteFlags, size 8);

impl Pte {
    /// The entry that maps nothing.
    pub const EMPTY: Self = Self(0);
    /// Bits 51:12, where the frame is.
    pub const FRAME_MASK: u64 = 0x000F_FFFF_FFFF_F000;

    /// An entry for `mfn`. Flag bits that fall into the frame are cut.
    #[must_use]
    pub const fn new(mfn: Mfn, flags: PteFlags) -> Self {
        Self(mfn.addr().raw() | flags.0 & !Self::FRAME_MASK)
    }

    /// The entry with these 64 bits.
    #[must_use]
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// The entry given in two registers.
    #[must_use]
    pub const fn from_low_high(low: u32, high: u32) -> Self {
        Self((high as u64) << 32 | low as u64)
    }

    /// All 64 bits.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// Bits 31:0 and 63:32, as calls 14 and 22 take an entry.
    #[must_use]
    pub const fn low_high(self) -> (u32, u32) {
        (self.0 as u32, (self.0 >> 32) as u32)
    }

    /// Machine address of the frame, its 40 bits unchecked.
    #[must_use]
    pub const fn address(self) -> MachAddr {
        MachAddr::new(self.0 & Self::FRAME_MASK)
    }

    /// The frame, or `None` where its number needs more than 32 bits.
    #[must_use]
    pub fn mfn(self) -> Option<Mfn> {
        Mfn::try_containing(self.address())
    }

    /// All bits but the frame's, unknown ones included.
    #[must_use]
    pub const fn flags(self) -> PteFlags {
        PteFlags::from_bits_retain(self.0 & !Self::FRAME_MASK)
    }

    /// Whether the entry maps something.
    #[must_use]
    pub const fn is_present(self) -> bool {
        self.0 & PteFlags::PRESENT.0 != 0
    }

    /// Whether the entry allows writes (looks at RW only).
    #[must_use]
    pub const fn is_writable(self) -> bool {
        self.0 & PteFlags::WRITABLE.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_frame_partition_the_entry() {
        assert_eq!(PteFlags::all().bits() | Pte::FRAME_MASK, u64::MAX);
        assert_eq!(PteFlags::all().bits() & Pte::FRAME_MASK, 0);
        let entry = Pte::from_raw(u64::MAX);
        assert_eq!(entry.flags(), PteFlags::all());
        assert_eq!(entry.address().raw() | entry.flags().bits(), u64::MAX);
        assert_eq!(entry.mfn(), None);
    }

    #[test]
    fn entry_survives_two_registers() {
        let entry = Pte::new(
            Mfn::new(0xABCD_EF01),
            PteFlags::PRESENT | PteFlags::WRITABLE | PteFlags::NO_EXECUTE,
        );
        let (low, high) = entry.low_high();
        assert_eq!(Pte::from_low_high(low, high), entry);
        assert_eq!(entry.mfn(), Some(Mfn::new(0xABCD_EF01)));
        assert!(entry.is_present() && entry.is_writable());
    }

    #[test]
    fn no_level_allows_what_the_hypervisor_keeps_to_itself() {
        for allowed in [PteFlags::L1_ALLOWED, PteFlags::L2_ALLOWED, PteFlags::L3_ALLOWED] {
            assert!(!allowed.intersects(PteFlags::HYPERVISOR | PteFlags::GLOBAL | PteFlags::PAT_OR_LARGE));
        }
        assert!(!PteFlags::L3_ALLOWED.contains(PteFlags::NO_EXECUTE));
    }
}
