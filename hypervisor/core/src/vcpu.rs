//! A virtual CPU: everything that belongs to one thread of guest execution.

use crate::{platform::FastTrap, regs::UserRegs};
use guest_abi::{
    addr::Mfn,
    debugreg::dr6,
    segment::Selector,
    trap::{TrapFlags, TrapInfo},
};

/// A code address in the guest: selector and offset. Offset 0 means "not registered".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodePointer {
    /// Selector, checked to lead to ring 1.
    pub cs: u16,
    /// Offset.
    pub eip: u32,
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

impl FpuState {
    /// What FNINIT and the default MXCSR leave: all exceptions masked, registers zero.
    pub const CLEAN: Self = {
        let mut image = [0; 512];
        // FCW 0x037F at 0, MXCSR 0x1F80 at 24 (Intel SDM vol. 1 table 10-2).
        image[0] = 0x7F;
        image[1] = 0x03;
        image[24] = 0x80;
        image[25] = 0x1F;
        Self(image)
    };
}

/// A virtual CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vcpu {
    /// Registers while it does not run.
    pub regs: UserRegs,
    /// Data segments while it does not run.
    pub segments: DataSegments,
    /// The virtual IDT by vector, its entries as the guest gave them; address 0: no handler.
    pub gates: [TrapInfo; 256],
    /// Where events enter.
    pub event_callback: CodePointer,
    /// Where the guest enters when its own return frame or segments are bad.
    pub failsafe_callback: CodePointer,
    /// Ring-1 stack for entries from rings 2 and 3.
    pub kernel_ss: u16,
    /// See [`Vcpu::kernel_ss`].
    pub kernel_esp: u32,
    /// The fast trap it asked for.
    pub fast_trap: Option<FastTrap>,
    /// Whether the fast trap is armed: not while the ring-1 stack is one that its stub cannot write.
    pub fast_trap_is_armed: bool,
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
    /// FPU and SSE registers while it does not run.
    pub fpu: FpuState,
    /// Roots of its address spaces: `[kernel, user]`; a 32-bit guest has only the first (an L3).
    pub roots: [Option<Mfn>; 2],
    /// One-shot timer: system time in nanoseconds, 0 when not set.
    pub timer_deadline_ns: u64,
}

impl Vcpu {
    /// A vCPU as a domain starts with it: no handlers (offset 0 at the flat ring-1 code segment), no stack of its
    /// own, no tables, no timer.
    #[must_use]
    pub const fn new() -> Self {
        const FLAT_CS: u16 = Selector::FLAT_RING1_CS.raw();
        const NO_GATE: TrapInfo = TrapInfo {
            vector: 0,
            flags: TrapFlags::empty(),
            cs: Selector::FLAT_RING1_CS,
            address: 0,
        };
        const FLAT_DS: u16 = Selector::FLAT_RING1_DS.raw();
        Self {
            regs: UserRegs::ZERO,
            segments: DataSegments {
                ds: FLAT_DS,
                es: FLAT_DS,
                fs: FLAT_DS,
                gs: FLAT_DS,
            },
            gates: [NO_GATE; 256],
            event_callback: CodePointer { cs: FLAT_CS, eip: 0 },
            failsafe_callback: CodePointer { cs: FLAT_CS, eip: 0 },
            kernel_ss: FLAT_DS,
            kernel_esp: 0,
            fast_trap: None,
            fast_trap_is_armed: false,
            gdt_frames: [None; 14],
            gdt_entries: 0,
            ldt_base: 0,
            ldt_entries: 0,
            ldt_frames: [None; 16],
            debug_registers: [0, 0, 0, 0, 0, 0, dr6::ALWAYS_ONE, 0],
            fpu_trap_armed: false,
            fpu: FpuState::CLEAN,
            roots: [None; 2],
            timer_deadline_ns: 0,
        }
    }
}

impl Vcpu {
    /// The fast trap, while it is armed.
    #[must_use]
    pub const fn armed_fast_trap(&self) -> Option<FastTrap> {
        if self.fast_trap_is_armed {
            self.fast_trap
        } else {
            None
        }
    }
}

impl Default for Vcpu {
    fn default() -> Self {
        Self::new()
    }
}
