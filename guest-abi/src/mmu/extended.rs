//! Extended commands of `mmu_update`: `MMUEXT_*`.
//!
//! Bits 7:0 of `val` are the sub-command; `ptr` without its command bits and the other bits of `val` are its
//! arguments. Bits that the table does not name must be 0.
//!
//! | sub-command | `ptr` | other bits of `val` |
//! |---|---|---|
//! | pin_l1/l2/l3_table, unpin_table | machine address of the frame | |
//! | new_baseptr | machine address of an L3 | |
//! | tlb_flush, flush_cache, clear_foreigndom | | |
//! | invlpg | linear address (bits 31:3 suffice) | |
//! | set_ldt | linear address, page-aligned | 31:8 entries |
//! | set_foreigndom | | 31:16 domain |
//! | transfer_page | 51:12 machine frame | 63:32 grant reference, 31:16 domain |
//! | reassign_page | any machine address in the page | |
//!
//! `transfer_page`: the three command bits leave no room for the reference's low byte in `ptr`, where Xen 2.0
//! had it, so the whole reference lies in the upper half of `val`.

use super::{COMMAND_MASK, Command, MmuUpdate};
use crate::addr::{GuestVirt, MachAddr, PAGE_SIZE};
use crate::domain::DomId;

open_number! {
    /// Sub-command in bits 7:0 of an extended request's `val`.
    ExtendedCommand: u8 {
        /// Pin a frame as L1 (`MMUEXT_PIN_L1_TABLE`).
        PIN_L1_TABLE = 0, "pin_l1_table";
        /// Pin a frame as L2; refused for the L2 in slot 3 of an L3 (`MMUEXT_PIN_L2_TABLE`).
        PIN_L2_TABLE = 1, "pin_l2_table";
        /// Pin a frame as L3 (`MMUEXT_PIN_L3_TABLE`).
        PIN_L3_TABLE = 2, "pin_l3_table";
        /// A known number that always fails: an L4 is the hypervisor's (`MMUEXT_PIN_L4_TABLE`).
        PIN_L4_TABLE = 3, "pin_l4_table";
        /// Drop a pin (`MMUEXT_UNPIN_TABLE`).
        UNPIN_TABLE = 4, "unpin_table";
        /// Load a page-table base, an L3 of one's own (`MMUEXT_NEW_BASEPTR`).
        NEW_BASEPTR = 5, "new_baseptr";
        /// Flush the TLB at the end of the batch (`MMUEXT_TLB_FLUSH`).
        TLB_FLUSH = 6, "tlb_flush";
        /// Flush one address now (`MMUEXT_INVLPG`).
        INVLPG = 7, "invlpg";
        /// Write back and flush the caches; only for domains with a device (`MMUEXT_FLUSH_CACHE`).
        FLUSH_CACHE = 8, "flush_cache";
        /// Register an LDT by linear address and entries, 0 for none (`MMUEXT_SET_LDT`).
        SET_LDT = 9, "set_ldt";
        /// Name the owner of frames used until the end of this call (`MMUEXT_SET_FOREIGNDOM`).
        SET_FOREIGNDOM = 10, "set_foreigndom";
        /// Back to the caller as owner (`MMUEXT_CLEAR_FOREIGNDOM`).
        CLEAR_FOREIGNDOM = 11, "clear_foreigndom";
        /// Give a page to a domain that posted a grant for it (`MMUEXT_TRANSFER_PAGE`).
        TRANSFER_PAGE = 12, "transfer_page";
        /// Give a page to the foreign domain; privileged (`MMUEXT_REASSIGN_PAGE`).
        REASSIGN_PAGE = 13, "reassign_page";
    }
}

/// Why an extended request is not well-formed. All of them are −EINVAL on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtendedError {
    /// The request's command is not [`Command::EXTENDED`].
    NotExtended(Command),
    /// The sub-command is not defined.
    Unknown(ExtendedCommand),
    /// A bit that must be 0 is set, or a linear address is wider than 32 bits.
    ReservedBits(ExtendedCommand),
}

/// An extended request with its arguments unpacked, not yet judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the arguments' names say what the module's table says"
)]
pub enum Extended {
    /// See [`ExtendedCommand::PIN_L1_TABLE`] to [`ExtendedCommand::PIN_L4_TABLE`]: `level` is 1 to 4.
    Pin { level: u8, frame: MachAddr },
    /// See [`ExtendedCommand::UNPIN_TABLE`].
    Unpin { frame: MachAddr },
    /// See [`ExtendedCommand::NEW_BASEPTR`].
    NewBasePtr { l3: MachAddr },
    /// See [`ExtendedCommand::TLB_FLUSH`].
    TlbFlush,
    /// See [`ExtendedCommand::INVLPG`]. The address lacks its low three bits.
    Invlpg { address: GuestVirt },
    /// See [`ExtendedCommand::FLUSH_CACHE`].
    FlushCache,
    /// See [`ExtendedCommand::SET_LDT`]. `entries` has at most 24 bits.
    SetLdt { base: GuestVirt, entries: u32 },
    /// See [`ExtendedCommand::SET_FOREIGNDOM`].
    SetForeignDom { domain: DomId },
    /// See [`ExtendedCommand::CLEAR_FOREIGNDOM`].
    ClearForeignDom,
    /// See [`ExtendedCommand::TRANSFER_PAGE`].
    TransferPage {
        frame: MachAddr,
        domain: DomId,
        reference: u32,
    },
    /// See [`ExtendedCommand::REASSIGN_PAGE`].
    ReassignPage { frame: MachAddr },
}

impl MmuUpdate {
    /// Packs an extended request. Bits of an argument beyond its field are cut.
    #[must_use]
    pub const fn extended(request: Extended) -> Self {
        const ENTRIES: u64 = 0xFF_FFFF;
        const FRAME: u64 = !(PAGE_SIZE as u64 - 1);
        let (command, ptr, val) = match request {
            Extended::Pin { level, frame } => {
                let first = ExtendedCommand::PIN_L1_TABLE.raw();
                (
                    ExtendedCommand::new(first + (level.wrapping_sub(1) & 3)),
                    frame.raw(),
                    0,
                )
            }
            Extended::Unpin { frame } => (ExtendedCommand::UNPIN_TABLE, frame.raw(), 0),
            Extended::NewBasePtr { l3 } => (ExtendedCommand::NEW_BASEPTR, l3.raw(), 0),
            Extended::TlbFlush => (ExtendedCommand::TLB_FLUSH, 0, 0),
            Extended::Invlpg { address } => (ExtendedCommand::INVLPG, address.raw() as u64, 0),
            Extended::FlushCache => (ExtendedCommand::FLUSH_CACHE, 0, 0),
            Extended::SetLdt { base, entries } => (
                ExtendedCommand::SET_LDT,
                base.raw() as u64,
                (entries as u64 & ENTRIES) << 8,
            ),
            Extended::SetForeignDom { domain } => {
                (ExtendedCommand::SET_FOREIGNDOM, 0, (domain.raw() as u64) << 16)
            }
            Extended::ClearForeignDom => (ExtendedCommand::CLEAR_FOREIGNDOM, 0, 0),
            Extended::TransferPage {
                frame,
                domain,
                reference,
            } => {
                let val = (reference as u64) << 32 | (domain.raw() as u64) << 16;
                (ExtendedCommand::TRANSFER_PAGE, frame.raw() & FRAME, val)
            }
            Extended::ReassignPage { frame } => (ExtendedCommand::REASSIGN_PAGE, frame.raw(), 0),
        };
        Self {
            ptr: ptr & !COMMAND_MASK | Command::EXTENDED.raw() as u64,
            val: val | command.raw() as u64,
        }
    }

    /// Unpacks an extended request.
    ///
    /// # Errors
    /// The request is of another kind, its sub-command is not defined, or a bit that must be 0 is not.
    pub fn as_extended(&self) -> Result<Extended, ExtendedError> {
        if self.command() != Command::EXTENDED {
            return Err(ExtendedError::NotExtended(self.command()));
        }
        let command = ExtendedCommand::new(self.val as u8);
        let frame = self.address();
        let reserved = ExtendedError::ReservedBits(command);
        let linear = || {
            u32::try_from(frame.raw())
                .map(GuestVirt::new)
                .map_err(|_| reserved)
        };
        let domain = DomId::new((self.val >> 16) as u16);
        // (bits of ptr, bits of val) that the sub-command uses beside the command fields.
        let (ptr_bits, val_bits, request) = match command {
            ExtendedCommand::PIN_L1_TABLE
            | ExtendedCommand::PIN_L2_TABLE
            | ExtendedCommand::PIN_L3_TABLE
            | ExtendedCommand::PIN_L4_TABLE => (
                u64::MAX,
                0,
                Extended::Pin {
                    level: command.raw() + 1,
                    frame,
                },
            ),
            ExtendedCommand::UNPIN_TABLE => (u64::MAX, 0, Extended::Unpin { frame }),
            ExtendedCommand::NEW_BASEPTR => (u64::MAX, 0, Extended::NewBasePtr { l3: frame }),
            ExtendedCommand::TLB_FLUSH => (0, 0, Extended::TlbFlush),
            ExtendedCommand::INVLPG => (u64::MAX, 0, Extended::Invlpg { address: linear()? }),
            ExtendedCommand::FLUSH_CACHE => (0, 0, Extended::FlushCache),
            ExtendedCommand::SET_LDT => {
                let entries = (self.val >> 8) as u32 & 0xFF_FFFF;
                (
                    u64::MAX,
                    0xFFFF_FF00,
                    Extended::SetLdt {
                        base: linear()?,
                        entries,
                    },
                )
            }
            ExtendedCommand::SET_FOREIGNDOM => (0, 0xFFFF_0000, Extended::SetForeignDom { domain }),
            ExtendedCommand::CLEAR_FOREIGNDOM => (0, 0, Extended::ClearForeignDom),
            ExtendedCommand::TRANSFER_PAGE => {
                let reference = (self.val >> 32) as u32;
                (
                    super::Pte::FRAME_MASK,
                    0xFFFF_FFFF_FFFF_0000,
                    Extended::TransferPage {
                        frame,
                        domain,
                        reference,
                    },
                )
            }
            ExtendedCommand::REASSIGN_PAGE => (u64::MAX, 0, Extended::ReassignPage { frame }),
            unknown => return Err(ExtendedError::Unknown(unknown)),
        };
        if frame.raw() & !ptr_bits != 0 || self.val & !0xFF & !val_bits != 0 {
            return Err(reserved);
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: MachAddr = MachAddr::new(0x0004_5678_9000);

    fn every_request() -> [Extended; 14] {
        let domain = DomId::new(0x7FF1);
        [
            Extended::Pin {
                level: 1,
                frame: FRAME,
            },
            Extended::Pin {
                level: 2,
                frame: FRAME,
            },
            Extended::Pin {
                level: 3,
                frame: FRAME,
            },
            Extended::Pin {
                level: 4,
                frame: FRAME,
            },
            Extended::Unpin { frame: FRAME },
            Extended::NewBasePtr { l3: FRAME },
            Extended::TlbFlush,
            Extended::Invlpg {
                address: GuestVirt::new(0xFFFF_FFF8),
            },
            Extended::FlushCache,
            Extended::SetLdt {
                base: GuestVirt::new(0xC000_1000),
                entries: 8192,
            },
            Extended::SetForeignDom { domain },
            Extended::ClearForeignDom,
            Extended::TransferPage {
                frame: FRAME,
                domain,
                reference: 0xFFFF_FFFF,
            },
            Extended::ReassignPage { frame: FRAME },
        ]
    }

    #[test]
    fn every_request_survives_packing() {
        for (number, request) in every_request().into_iter().enumerate() {
            let packed = MmuUpdate::extended(request);
            assert_eq!(packed.val & 0xFF, number as u64);
            assert_eq!(packed.as_extended(), Ok(request));
        }
    }

    #[test]
    fn a_bit_is_either_used_or_refused() {
        for request in every_request() {
            let packed = MmuUpdate::extended(request);
            for bit in 8..64 {
                let flipped = MmuUpdate {
                    val: packed.val ^ 1 << bit,
                    ..packed
                };
                match flipped.as_extended() {
                    Ok(other) => assert_eq!(MmuUpdate::extended(other), flipped, "val bit {bit}"),
                    Err(error) => assert!(matches!(error, ExtendedError::ReservedBits(_))),
                }
            }
            for bit in 3..64 {
                let flipped = MmuUpdate {
                    ptr: packed.ptr ^ 1 << bit,
                    ..packed
                };
                match flipped.as_extended() {
                    Ok(other) => assert_eq!(MmuUpdate::extended(other), flipped, "ptr bit {bit}"),
                    Err(error) => assert!(matches!(error, ExtendedError::ReservedBits(_))),
                }
            }
        }
    }

    #[test]
    fn other_kinds_and_numbers_are_refused() {
        let normal = MmuUpdate { ptr: 0x1000, val: 5 };
        assert_eq!(
            normal.as_extended(),
            Err(ExtendedError::NotExtended(Command::NORMAL_PT_UPDATE))
        );
        let unknown = MmuUpdate { ptr: 3, val: 14 };
        assert_eq!(
            unknown.as_extended(),
            Err(ExtendedError::Unknown(ExtendedCommand::new(14)))
        );
    }
}
