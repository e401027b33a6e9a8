//! Page-table updates: calls 1, 14 and 22.
//!
//! A guest's tables are the hardware's tables, read-only to the guest; each change is asked for and
//! validated. Call 1 takes an array of [`MmuUpdate`] requests. The low three bits of `ptr` (an entry is
//! 8-aligned) say what a request is: [`Command`]. Requests are done in order; the first that fails ends the
//! call with −EINVAL, earlier ones stay, and the done counter tells how many those are.
//!
//! | command | `ptr[63:3]` | `val` |
//! |---|---|---|
//! | [`Command::NORMAL_PT_UPDATE`] | machine address of the entry | the new entry |
//! | [`Command::MACHPHYS_UPDATE`] | any machine address in the frame | its new machine-to-phys value; 63:32 zero |
//! | [`Command::EXTENDED`] | of the sub-command | 7:0 the [sub-command](ExtendedCommand), the rest its own |
//!
//! Source: Xen 2.0, `mmu_update_t`, `MMU_*` and `MMUEXT_*`, with both words widened to 64 bits.

mod extended;
mod pte;

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub use self::extended::{Extended, ExtendedCommand, ExtendedError};
pub use self::pte::{Pte, PteFlags};
use crate::addr::{MachAddr, Mfn, Pfn};

/// One request of `mmu_update` (`mmu_update_t`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MmuUpdate {
    /// What to change, and in bits 2:0 the command.
    pub ptr: u64,
    /// The value, or the sub-command.
    pub val: u64,
}

layout!(MmuUpdate, size 16, ptr @ 0, val @ 8);

open_number! {
    /// What a request is: bits 2:0 of its `ptr`. Others fail.
    Command: u8 {
        /// Write a page-table entry, or a word of an ordinary page of one's own (`MMU_NORMAL_PT_UPDATE`).
        NORMAL_PT_UPDATE = 0, "normal_pt_update";
        /// Write an entry of the machine-to-phys table (`MMU_MACHPHYS_UPDATE`).
        MACHPHYS_UPDATE = 2, "machphys_update";
        /// An [`ExtendedCommand`] (`MMU_EXTENDED_COMMAND`).
        EXTENDED = 3, "extended";
    }
}

/// The bits of `ptr` that hold the command.
pub const COMMAND_MASK: u64 = 7;

/// Most requests in one call.
pub const MAX_BATCH: u32 = 0xFFFF;

/// Bit 31 of the count register: the call goes on after a preemption. Set by the hypervisor only, beside the
/// foreign domain in force in bits 30:16 ([`crate::domain::DomId::SELF`] for none); a count a guest passes is
/// at most [`MAX_BATCH`], and what it forges here is checked as if it had come by a request.
pub const COUNT_RESUMED: u32 = 1 << 31;
/// Where the foreign domain of a resumed call lies in the count register.
pub const COUNT_FOREIGN_SHIFT: u32 = 16;
/// The foreign domain's bits, after the shift.
pub const COUNT_FOREIGN_MASK: u32 = 0x7FFF;

impl MmuUpdate {
    /// Write `entry` at machine address `at`, whose low three bits are cut.
    #[must_use]
    pub const fn normal(at: MachAddr, entry: Pte) -> Self {
        Self {
            ptr: at.raw() & !COMMAND_MASK,
            val: entry.raw(),
        }
    }

    /// Say that machine frame `mfn` is the guest's frame `pfn`.
    #[must_use]
    pub const fn machphys(mfn: Mfn, pfn: Pfn) -> Self {
        Self {
            ptr: mfn.addr().raw() | Command::MACHPHYS_UPDATE.raw() as u64,
            val: pfn.raw() as u64,
        }
    }

    /// The request's command.
    #[must_use]
    pub const fn command(&self) -> Command {
        Command::new((self.ptr & COMMAND_MASK) as u8)
    }

    /// `ptr` without the command.
    #[must_use]
    pub const fn address(&self) -> MachAddr {
        MachAddr::new(self.ptr & !COMMAND_MASK)
    }
}

/// Flags of calls 14 (ESI) and 22 (ESI): what to flush after the write, which happens even when the update
/// failed. Other bits must be 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct UvmFlags(u32);

bitflags! {
    impl UvmFlags: u32 {
        /// Flush the whole TLB of this processor (`UVMF_FLUSH_TLB`).
        const FLUSH_TLB = 1 << 0;
        /// Flush the one address; no meaning beside `FLUSH_TLB` (`UVMF_INVLPG`).
        const INVLPG = 1 << 1;
    }
}

/// First page number that calls 14 and 22 refuse.
pub const UVM_PAGE_LIMIT: u32 = crate::addr::HV_START >> crate::addr::PAGE_SHIFT;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_rides_in_the_low_bits() {
        let request = MmuUpdate::normal(
            MachAddr::new(0x1_2345_6789),
            Pte::new(Mfn::new(7), PteFlags::PRESENT),
        );
        assert_eq!(request.command(), Command::NORMAL_PT_UPDATE);
        assert_eq!(request.address(), MachAddr::new(0x1_2345_6788));
        assert_eq!(request.val, 0x7001);

        let request = MmuUpdate::machphys(Mfn::new(0xFFFF_FFFF), Pfn::new(5));
        assert_eq!(request.command(), Command::MACHPHYS_UPDATE);
        assert_eq!(
            Mfn::try_containing(request.address()),
            Some(Mfn::new(0xFFFF_FFFF))
        );
        assert_eq!(request.val, 5);
    }

    #[test]
    fn page_limit_is_the_start_of_the_window() {
        assert_eq!(UVM_PAGE_LIMIT, 0xFC000);
    }

    #[test]
    fn undefined_commands_have_no_name() {
        for raw in [1, 4, 5, 6, 7] {
            assert!(Command::try_from(raw).is_err());
        }
    }
}
