//! A virtual CPU: everything that belongs to one thread of guest execution.

use crate::{platform::FastTrap, regs::UserRegs};
use guest_abi::addr::Mfn;

/// A code address in the guest: selector and offset. Offset 0 means "not registered".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodePointer {
    /// Selector, checked to lead to ring 1.
    pub cs: u16,
    /// Offset.
    pub eip: u32,
}

/// One entry of the virtual IDT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct VirtualGate {
    /// Handler offset; 0: none.
    pub eip: u32,
    /// Handler selector, checked.
    pub cs: u16,
    /// Least privileged ring that may raise it by `int n`.
    pub dpl: u8,
    /// Whether entering sets the event mask.
    pub masks_events: bool,
}

/// Data segment registers, saved only when another vCPU runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the registers' own names")]
pub struct DataSegments {
    pub ds: u16,
    pub es: u16,
    pub fs: u16,
    pub gs: u16,
}

/// FXSAVE image.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct FpuState(pub [u8; 512]);

/// A virtual CPU.
#[derive(Clone, Debug)]
pub struct Vcpu {
    /// Registers while it does not run.
    pub regs: UserRegs,
    /// Data segments while it does not run.
    pub segments: DataSegments,
    /// The virtual IDT.
    pub gates: [VirtualGate; 256],
    /// Where events enter.
    pub event_callback: CodePointer,
    /// Where the guest enters when its own return frame or segments are bad.
    pub failsafe_callback: CodePointer,
    /// Ring-1 stack for entries from rings 2 and 3.
    pub kernel_ss: u16,
    /// See [`Vcpu::kernel_ss`].
    pub kernel_esp: u32,
    /// Armed fast trap.
    pub fast_trap: Option<FastTrap>,
    /// Guest GDT frames, in order; only `gdt_entries` are in force.
    pub gdt_frames: [Option<Mfn>; 14],
    /// Entries of the guest's GDT; 0: the hypervisor's own.
    pub gdt_entries: u32,
    /// Linear address of the guest's LDT.
    pub ldt_base: u32,
    /// Entries of the guest's LDT; 0: none.
    pub ldt_entries: u32,
    /// LDT pages mapped so far, each holding a descriptor-page reference.
    pub ldt_frames: [Option<Mfn>; 16],
    /// Debug registers 0–7 as the guest set them.
    pub debug_registers: [u32; 8],
    /// Whether the guest asked (fpu_taskswitch) to be told of the next FPU use.
    pub fpu_trap_armed: bool,
    /// Roots of its address spaces: `[kernel, user]`; a 32-bit guest has only the first (an L3).
    pub roots: [Option<Mfn>; 2],
    /// One-shot timer: system time in nanoseconds, 0 when not set.
    pub timer_deadline_ns: u64,
}
