//! Which bits an entry may have at which level.
//!
//! A guest's entry is a plain `u64`, all bits kept, judged by masks. The same masks serve whole tables and single
//! entries, and they are applied before anything else is looked at: an entry whose frame does not change may
//! still not gain a bit that is forbidden.
//!
//! Bits, Intel SDM vol. 3A 4.5.4: 0 P, 1 RW, 2 US, 3 PWT, 4 PCD, 5 A, 6 D, 7 PAT (L1) or PS, 8 G, 11:9 the guest's,
//! 51:12 frame, 58:52 the guest's, 62:59 the hypervisor's, 63 NX.
//!
//! A *non-present* entry is the guest's to fill, but for bits 62:59 and the frame, which must be 0 or beyond the
//! last frame of RAM: processors with the L1TF flaw speculate on the frame bits of such entries. They drop the bits that
//! do not fit on their bus, so only the others count. The first frame of each further 4 GiB of RAM stands for 0, so
//! that the upper half of an entry can be written before its lower half; nobody is ever given these frames
//! ([`is_frame_zero`]). In a directory the PS bit is refused as well: to such a processor the entry is a page of 2 MiB
//! or 1 GiB, of which its frame says only the first 4 KiB.

use guest_abi::mmu::{Pte, PteFlags};

/// Present.
pub const P: u64 = PteFlags::PRESENT.bits();
/// Writable.
pub const RW: u64 = PteFlags::WRITABLE.bits();
/// For ring 3 too.
pub const US: u64 = PteFlags::USER.bits();
/// Write-through and no-cache.
pub const CACHE: u64 = PteFlags::WRITE_THROUGH.bits() | PteFlags::NO_CACHE.bits();
/// Accessed.
pub const A: u64 = PteFlags::ACCESSED.bits();
/// A large page, in a directory.
pub const LARGE: u64 = PteFlags::PAT_OR_LARGE.bits();
/// No-execute.
pub const NX: u64 = PteFlags::NO_EXECUTE.bits();
/// The frame.
pub const FRAME: u64 = Pte::FRAME_MASK;
/// Bit 59: the entry maps a frame by a grant.
pub const GRANTED: u64 = 1 << 59;
/// The hypervisor's own bits.
pub const OURS: u64 = PteFlags::HYPERVISOR.bits();

/// Number of the frame that an entry names: up to 40 bits.
#[inline(always)]
#[must_use]
pub const fn frame_number(entry: u64) -> u64 {
    (entry & FRAME) >> 12
}

/// The frame of an entry that has none of the bits that this machine refuses, [`EntryRules::FAR_FRAME`] included.
#[inline(always)]
#[must_use]
pub const fn near_frame(entry: u64) -> u32 {
    (entry >> 12) as u32
}

/// Whether `n` is frame 0 or one of those that count as it: the lower half of an entry for it names no frame.
#[inline(always)]
#[must_use]
pub const fn is_frame_zero(n: u64) -> bool {
    n & 0xF_FFFF == 0
}

/// Ranges of I/O frames that no domain may map: interrupt controllers.
pub type DeniedIo = arrayvec::ArrayVec<(u64, u64), 8>;

/// What this machine lets an entry hold.
#[derive(Clone, Debug)]
pub struct EntryRules {
    /// Bits that a present L1 entry must not have. PWT and PCD are among them: the hot path refuses them and the
    /// slow path knows the exception.
    pub l1_refused: u64,
    /// Bits that a present L2 entry must not have.
    pub l2_refused: u64,
    /// Bits that a present L3 entry must not have.
    pub l3_refused: u64,
    /// First frame number beyond all RAM of the machine, given to domains or not.
    pub ram_end: u64,
    /// Bits of a frame number that the processor has wires for.
    pub bus_bits: u64,
    /// First frame number that the processor cannot put on its bus.
    pub bus_end: u64,
    /// I/O frames `[start, end)` that no domain may map.
    pub denied_io: DeniedIo,
}

impl EntryRules {
    /// Every present entry is refused.
    pub const NOTHING: Self = Self {
        l1_refused: u64::MAX,
        l2_refused: u64::MAX,
        l3_refused: u64::MAX,
        ram_end: 0,
        bus_bits: u64::MAX,
        bus_end: 0,
        denied_io: DeniedIo::new_const(),
    };

    /// Bits of a frame whose number needs more than 32 bits: 16 TiB up, where nothing is.
    pub const FAR_FRAME: u64 = 0xFF << 44;

    /// Rules for a machine whose RAM ends before frame `ram_end` and whose processor has `address_bits` of physical
    /// address.
    ///
    /// # Panics
    /// Where `address_bits` is not one that the architecture knows (32 to 52).
    #[must_use]
    pub fn new(ram_end: u64, address_bits: u32, has_nx: bool, denied_io: DeniedIo) -> Self {
        assert!((32..=52).contains(&address_bits));
        let no_nx = if has_nx { 0 } else { NX };
        Self {
            l1_refused: !(PteFlags::L1_ALLOWED.bits() | FRAME) | no_nx | Self::FAR_FRAME,
            l2_refused: !(PteFlags::L2_ALLOWED.bits() | FRAME) | no_nx | Self::FAR_FRAME,
            l3_refused: !(PteFlags::L3_ALLOWED.bits() | FRAME) | Self::FAR_FRAME,
            ram_end,
            bus_bits: (1 << (address_bits - 12)) - 1,
            // Frame numbers have 32 bits throughout.
            bus_end: 1 << (address_bits - 12).min(32),
            denied_io,
        }
    }

    /// Whether a non-present entry may be stored in an L1.
    #[inline(always)]
    #[must_use]
    pub const fn admits_non_present(&self, entry: u64) -> bool {
        let frame = frame_number(entry) & self.bus_bits;
        entry & OURS == 0 && (is_frame_zero(frame) || frame >= self.ram_end || cfg!(feature = "mutant-l1tf"))
    }

    /// Whether a non-present entry may be stored in a table of a higher level.
    #[inline(always)]
    #[must_use]
    pub const fn admits_non_present_directory(&self, entry: u64) -> bool {
        self.admits_non_present(entry) && (entry & LARGE == 0 || cfg!(feature = "mutant-l1tf"))
    }

    /// Whether I/O frame `n` exists on the bus and may be mapped by a domain that has the right to I/O memory.
    #[must_use]
    pub fn admits_io(&self, n: u64) -> bool {
        n < self.bus_end
            && !self
                .denied_io
                .iter()
                .any(|&(start, end)| (start..end).contains(&n))
    }
}
