//! The virtual IDT and the frames that arrive on the guest kernel's stack.
//!
//! A guest registers a handler per vector by call 0 with an array of [`TrapInfo`], ended by an entry whose
//! address is 0. Exceptions and events arrive in ring 1 with a frame on the kernel's stack: the interrupted
//! one if the interrupted code ran in ring 1, else the stack of `stack_switch`. Lowest address first, one
//! 32-bit word each:
//!
//! | case | words |
//! |---|---|
//! | exception without error code, event callback | [`IretFrame`] |
//! | exception with error code | error code, [`IretFrame`] |
//! | page fault | [`PageFaultWords`] (faulting address, error code), [`IretFrame`] |
//! | failsafe callback | [`FailsafeWords`] (DS, ES, FS, GS), [`IretFrame`] |
//!
//! The interrupted ESP and SS follow ([`OuterWords`]) exactly when the interrupted code ran in ring 2 or 3.
//! The handler removes what lies before the [`IretFrame`] and ends with its own `iret`. On entry TF, NT, RF
//! and VM are clear; the frame holds EFLAGS as it was.
//!
//! Source: Xen 2.0, `trap_info_t` and `create_bounce_frame`; Intel SDM vol. 3A 6.13 (error codes).

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::segment::Selector;

/// Entries of the virtual IDT.
pub const VECTORS: usize = 256;

/// One entry of the virtual IDT (`trap_info_t`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TrapInfo {
    /// The vector, 0 to 255.
    pub vector: u8,
    /// Who may raise it by `int n`, and whether events are masked on entry.
    pub flags: TrapFlags,
    /// The handler's code selector: RPL 1 and not a reserved GDT entry, but the flat ring-1 code selector.
    pub cs: Selector,
    /// The handler's offset. 0 ends the array.
    pub address: u32,
}

layout!(TrapInfo, size 8, vector @ 0, flags @ 1, cs @ 2, address @ 4);

impl TrapInfo {
    /// Whether this entry ends an array.
    #[must_use]
    pub const fn is_terminator(&self) -> bool {
        self.address == 0
    }
}

/// Flags of a [`TrapInfo`]: bits 1:0 are a privilege level, bit 2 masks events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct TrapFlags(u8);

bitflags! {
    impl TrapFlags: u8 {
        /// Low bit of the level.
        const DPL_BIT0 = 1 << 0;
        /// High bit of the level.
        const DPL_BIT1 = 1 << 1;
        /// Set `evtchn_upcall_mask` when the handler is entered.
        const MASK_EVENTS = 1 << 2;
    }
}

impl TrapFlags {
    /// Flags with the privilege level `dpl` (0 to 3): the least privileged ring that may raise the vector by
    /// `int n`. Higher bits of `dpl` are cut.
    #[must_use]
    pub const fn with_dpl(dpl: u8) -> Self {
        Self(dpl & 3)
    }

    /// The privilege level.
    #[must_use]
    pub const fn dpl(self) -> u8 {
        self.0 & 3
    }
}

open_number! {
    /// A processor exception's vector. Intel SDM vol. 3A 6.3.1.
    Vector: u8 {
        /// #DE, divide error.
        DIVIDE_ERROR = 0, "#DE";
        /// #DB, debug. Its handler never masks events.
        DEBUG = 1, "#DB";
        /// Non-maskable interrupt. Never delivered to a guest.
        NMI = 2, "NMI";
        /// #BP, breakpoint. The level registered for it is not enforced.
        BREAKPOINT = 3, "#BP";
        /// #OF, overflow. The level registered for it is not enforced.
        OVERFLOW = 4, "#OF";
        /// #BR, bound range exceeded.
        BOUND_RANGE = 5, "#BR";
        /// #UD, invalid opcode.
        INVALID_OPCODE = 6, "#UD";
        /// #NM, device not available: raised only after `fpu_taskswitch`. Its handler never masks events.
        DEVICE_NOT_AVAILABLE = 7, "#NM";
        /// #DF, double fault. Never delivered to a guest.
        DOUBLE_FAULT = 8, "#DF";
        /// #TS, invalid TSS.
        INVALID_TSS = 10, "#TS";
        /// #NP, segment not present.
        SEGMENT_NOT_PRESENT = 11, "#NP";
        /// #SS, stack-segment fault.
        STACK_FAULT = 12, "#SS";
        /// #GP, general protection.
        GENERAL_PROTECTION = 13, "#GP";
        /// #PF, page fault.
        PAGE_FAULT = 14, "#PF";
        /// #MF, x87 floating-point error.
        X87_ERROR = 16, "#MF";
        /// #AC, alignment check.
        ALIGNMENT_CHECK = 17, "#AC";
        /// #MC, machine check. Never delivered to a guest.
        MACHINE_CHECK = 18, "#MC";
        /// #XM, SIMD floating-point error.
        SIMD_ERROR = 19, "#XM";
    }
}

impl Vector {
    /// Whether the processor (hence the bounce frame) supplies an error code for this exception.
    #[must_use]
    pub const fn has_error_code(self) -> bool {
        matches!(self.0, 8 | 10..=14 | 17)
    }
}

/// Vectors that call 11 accepts for the fast trap, besides 0 (none): 0x80 and these.
pub const FAST_TRAP_VECTORS: core::ops::RangeInclusive<u8> = 0x20..=0x2F;
/// The system-call vector, accepted by call 11 too.
pub const SYSCALL_VECTOR: u8 = 0x80;

/// What a handler finds on the stack in every case, and what its `iret` takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IretFrame {
    /// Interrupted instruction pointer.
    pub eip: u32,
    /// Interrupted code selector in bits 15:0; bits 31:16 are written as 0 and free for the guest.
    pub cs: u32,
    /// Interrupted EFLAGS, unmodified.
    pub eflags: u32,
}

layout!(IretFrame, size 12, eip @ 0, cs @ 4, eflags @ 8);

/// What follows the [`IretFrame`] when the interrupted code ran in ring 2 or 3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct OuterWords {
    /// Interrupted stack pointer.
    pub esp: u32,
    /// Interrupted stack selector, bits 31:16 zero.
    pub ss: u32,
}

layout!(OuterWords, size 8, esp @ 0, ss @ 4);

/// What precedes the [`IretFrame`] of a page fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PageFaultWords {
    /// The faulting linear address (CR2).
    pub cr2: u32,
    /// The processor's error code, [`PageFaultCode`].
    pub error_code: u32,
}

layout!(PageFaultWords, size 8, cr2 @ 0, error_code @ 4);

/// What precedes the [`IretFrame`] of a failsafe callback: the selectors that could not all be loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FailsafeWords {
    /// Saved DS.
    pub ds: u32,
    /// Saved ES.
    pub es: u32,
    /// Saved FS.
    pub fs: u32,
    /// Saved GS.
    pub gs: u32,
}

layout!(FailsafeWords, size 16, ds @ 0, es @ 4, fs @ 8, gs @ 12);

/// The longest frame that can be written to a guest stack, in bytes.
pub const MAX_FRAME_BYTES: usize =
    size_of::<FailsafeWords>() + size_of::<IretFrame>() + size_of::<OuterWords>();

/// A page fault's error code. Ring 1 counts as supervisor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct PageFaultCode(u32);

bitflags! {
    impl PageFaultCode: u32 {
        /// The page was present: a protection violation.
        const PROTECTION = 1 << 0;
        /// The access was a write.
        const WRITE = 1 << 1;
        /// The access came from ring 3.
        const USER = 1 << 2;
        /// An entry had a reserved bit set.
        const RESERVED = 1 << 3;
        /// The access was an instruction fetch.
        const FETCH = 1 << 4;
    }
}

/// Error code of the #GP that `int vector` raises when the vector's registered level forbids it.
#[must_use]
pub const fn idt_error_code(vector: u8) -> u32 {
    vector as u32 * 8 + 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_and_mask_share_a_byte() {
        let flags = TrapFlags::with_dpl(3) | TrapFlags::MASK_EVENTS;
        assert_eq!(flags.bits(), 7);
        assert_eq!(flags.dpl(), 3);
        assert_eq!(TrapFlags::with_dpl(0xFE).bits(), 2);
    }

    #[test]
    fn error_codes_as_the_manual_has_them() {
        let with: [u8; 7] = [8, 10, 11, 12, 13, 14, 17];
        for n in 0..32 {
            assert_eq!(Vector::new(n).has_error_code(), with.contains(&n), "vector {n}");
        }
        assert_eq!(idt_error_code(0x82), 0x412);
    }

    #[test]
    fn longest_frame_is_nine_words() {
        assert_eq!(MAX_FRAME_BYTES, 36);
    }
}
