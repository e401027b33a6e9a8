//! Call 12, `dom_mem_op`: frames to and from a domain's reservation.
//!
//! EBX packed command, ECX list of `u32` machine frames, EDX how many extents it has, ESI order (an extent is
//! 2^order frames), EDI domain ([`DomId::SELF`](crate::domain::DomId::SELF), or for a privileged caller any).
//! Bits 31:4 of EBX are the first extent to do: 0 from a guest, more when the hypervisor goes on after
//! a preemption.
//!
//! Returns how many extents were completed, counted from the list's start. Errors come before anything is
//! done: −EINVAL (first extent beyond the list, list longer than [`MAX_EXTENTS`]), −EPERM, −ESRCH, −ENOSYS.
//!
//! Source: Xen 2.0, `MEMOP_*`.

open_number! {
    /// Command in bits 3:0 of EBX.
    MemoryCmd: u8 {
        /// Allocate an extent and store its first frame, for each list entry (`MEMOP_increase_reservation`).
        INCREASE_RESERVATION = 0, "increase_reservation";
        /// Give up the extents listed (`MEMOP_decrease_reservation`).
        DECREASE_RESERVATION = 1, "decrease_reservation";
    }
}

/// Longest list.
pub const MAX_EXTENTS: u32 = 0x0FFF_FFFF;
/// Highest order: 4 MiB. An order above 0 needs a domain with a device.
pub const MAX_ORDER: u32 = 10;

/// EBX for `command`, with the work to start at extent `first` (its low 28 bits).
#[must_use]
pub const fn pack(command: MemoryCmd, first: u32) -> u32 {
    first << 4 | (command.raw() & 0xF) as u32
}

/// Command and first extent in an EBX.
#[must_use]
pub const fn unpack(ebx: u32) -> (MemoryCmd, u32) {
    (MemoryCmd::new((ebx & 0xF) as u8), ebx >> 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_and_start_share_a_register() {
        let ebx = pack(MemoryCmd::DECREASE_RESERVATION, MAX_EXTENTS);
        assert_eq!(ebx, 0xFFFF_FFF1);
        assert_eq!(unpack(ebx), (MemoryCmd::DECREASE_RESERVATION, MAX_EXTENTS));
        assert!(MemoryCmd::try_from(unpack(2).0.raw()).is_err());
    }
}
