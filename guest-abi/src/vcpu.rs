//! A virtual processor's whole state, as the domain builder sets it and tools read it.
//!
//! Source: Xen 2.0, `full_execution_context_t`, with an FPU area that holds a whole FXSAVE image and a 64-bit
//! page-table base.

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::addr::{GuestVirt, MachAddr, Mfn};
use crate::segment::{MAX_GDT_FRAMES, Selector};
use crate::trap::{TrapInfo, VECTORS};

/// The registers that a guest uses, each in a 32-bit word; a selector lies in the low half, the upper is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[expect(missing_docs, reason = "each field is the register of that name")]
pub struct GuestRegs {
    pub ebx: u32,
    pub ecx: u32,
    pub edx: u32,
    pub esi: u32,
    pub edi: u32,
    pub ebp: u32,
    pub eax: u32,
    /// Zero.
    pub pad: u32,
    pub eip: u32,
    pub cs: u32,
    pub eflags: u32,
    pub esp: u32,
    pub ss: u32,
    pub es: u32,
    pub ds: u32,
    pub fs: u32,
    pub gs: u32,
}

layout!(
    GuestRegs, size 68,
    ebx @ 0, ecx @ 4, edx @ 8, esi @ 12, edi @ 16, ebp @ 20, eax @ 24, eip @ 32, cs @ 36, eflags @ 40,
    esp @ 44, ss @ 48, es @ 52, ds @ 56, fs @ 60, gs @ 64,
);

/// Bytes of an FXSAVE image.
pub const FPU_BYTES: usize = 512;

/// Everything that a vCPU is, for `BUILDDOMAIN`, `SETCONTEXT` and `GETDOMAININFO`.
///
/// What a builder gives is checked like the calls that set the same things one by one: selectors,
/// callbacks, stack, LDT, GDT, fast trap, page-table base and debug registers; EFLAGS may set only the bits
/// that ring 1 can change by itself, and IF must be 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CpuContext {
    /// What of the rest is valid.
    pub flags: ContextFlags,
    /// General registers, segment registers, EIP, EFLAGS.
    pub regs: GuestRegs,
    /// FXSAVE image, valid with [`ContextFlags::FPU_VALID`].
    pub fpu: [u8; FPU_BYTES],
    /// The virtual IDT. An entry with address 0 has no handler.
    pub trap_table: [TrapInfo; VECTORS],
    /// The fast trap's vector, 0 for none.
    pub fast_trap_vector: u32,
    /// Linear address of the LDT.
    pub ldt_base: GuestVirt,
    /// Entries of the LDT, 0 for none.
    pub ldt_entries: u32,
    /// Frames of the GDT; those beyond `gdt_entries` must be 0.
    pub gdt_frames: [Mfn; MAX_GDT_FRAMES],
    /// Entries of the GDT, 0 for none of one's own.
    pub gdt_entries: u32,
    /// Stack selector for entries from rings 2 and 3.
    pub kernel_ss: u32,
    /// Stack pointer for entries from rings 2 and 3.
    pub kernel_esp: u32,
    /// Machine address of the L3.
    pub pt_base: MachAddr,
    /// Debug registers 0 to 7; 4 and 5 are 0.
    pub debug_regs: [u32; 8],
    /// The event callback.
    pub event_callback: Callback,
    /// The failsafe callback.
    pub failsafe_callback: Callback,
}

layout!(
    CpuContext, size 2768,
    flags @ 0, regs @ 4, fpu @ 72, trap_table @ 584, fast_trap_vector @ 2632, ldt_base @ 2636,
    ldt_entries @ 2640, gdt_frames @ 2644, gdt_entries @ 2700, kernel_ss @ 2704, kernel_esp @ 2708,
    pt_base @ 2712, debug_regs @ 2720,
    event_callback @ 2752, failsafe_callback @ 2760,
);
default_is_zero!(CpuContext);

/// Flags of a [`CpuContext`]. Other bits must be 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct ContextFlags(u32);

bitflags! {
    impl ContextFlags: u32 {
        /// `fpu` holds a state; without it the FPU is clean at first use (`ECF_I387_VALID`).
        const FPU_VALID = 1 << 0;
        /// The virtual TS is set: the next FPU instruction raises vector 7.
        const TASK_SWITCHED = 1 << 1;
    }
}

/// An entry point in the guest kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Callback {
    /// Its code selector; the same rule as for trap handlers.
    pub cs: Selector,
    /// Zero.
    pub pad: u16,
    /// Its offset; 0 if there is none.
    pub eip: u32,
}

layout!(Callback, size 8, cs @ 0, pad @ 2, eip @ 4);

/// Bits of EFLAGS that this interface speaks of. Intel SDM vol. 1 3.4.3.
pub mod eflags {
    /// Bit 1, always 1.
    pub const ALWAYS_ONE: u32 = 1 << 1;
    /// Trap flag: single-step.
    pub const TF: u32 = 1 << 8;
    /// Interrupt flag: 1 while a guest runs.
    pub const IF: u32 = 1 << 9;
    /// Direction flag.
    pub const DF: u32 = 1 << 10;
    /// I/O privilege level: 0 for every guest.
    pub const IOPL: u32 = 3 << 12;
    /// Nested task.
    pub const NT: u32 = 1 << 14;
    /// Resume flag.
    pub const RF: u32 = 1 << 16;
    /// Virtual-8086 mode.
    pub const VM: u32 = 1 << 17;
    /// Alignment check.
    pub const AC: u32 = 1 << 18;
    /// Cleared on entry to a handler.
    pub const CLEARED_ON_ENTRY: u32 = TF | NT | RF | VM;
}
