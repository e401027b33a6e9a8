//! Who owns the FPU and SSE registers.
//!
//! Between vCPUs they are switched eagerly, so no guest ever computes with another's values, not even
//! speculatively. Inside one vCPU the guest may be lazy among its own tasks: `fpu_taskswitch` sets TS, and the next
//! FPU instruction is delivered as #NM with TS already clear.
//!
//! ```text
//!              fpu_taskswitch                 #NM: TS := 0, deliver vector 7
//!   TS = 0  ────────────────────►  armed, TS = 1  ────────────────────►  TS = 0
//!      └─ #NM cannot happen; a spurious one clears TS
//! ```
//! TS of the processor is `armed` of the vCPU that runs. FXSAVE state only: guests are not offered AVX.
//!
//! Source: Xen 2.0 interface, fpu_taskswitch; Intel SDM vol. 3A 2.5, 13.4.

use crate::{platform::CpuControl, vcpu::Vcpu};

/// `fpu_taskswitch`: the next FPU instruction is announced to the guest.
pub fn arm<C: CpuControl>(cpu: &C, vcpu: &mut Vcpu) {
    vcpu.fpu_trap_armed = true;
    cpu.set_task_switched(true);
}

/// #NM was taken: FPU instructions work again, and the next one is not announced.
pub fn take<C: CpuControl>(cpu: &C, vcpu: &mut Vcpu) {
    cpu.set_task_switched(false);
    vcpu.fpu_trap_armed = false;
}

/// Saves the registers of a vCPU that stops running.
pub fn leave<C: CpuControl>(cpu: &C, vcpu: &mut Vcpu) {
    cpu.set_task_switched(false);
    cpu.save_fpu(&mut vcpu.fpu);
}

/// Loads the registers of a vCPU that starts to run.
pub fn enter<C: CpuControl>(cpu: &C, vcpu: &Vcpu) {
    cpu.set_task_switched(false);
    if !cfg!(feature = "mutant-switch-fpu") {
        cpu.load_fpu(&vcpu.fpu);
    }
    cpu.set_task_switched(vcpu.fpu_trap_armed);
}
