//! The state that a domain's first vCPU starts in. Xen 2.0: domain builder.

use guest_abi::segment::Selector;
use guest_abi::trap::{TrapFlags, TrapInfo};
use guest_abi::vcpu::{Callback, CpuContext};
use guest_image::builder::StartState;

/// What the image's builder says, and defaults for the rest: no handlers, no callbacks, a clean FPU, no tables of its own.
pub fn first(start: &StartState) -> CpuContext {
    let mut context = CpuContext::default();
    let data = u32::from(start.data.raw());
    let regs = &mut context.regs;
    regs.eip = start.eip.raw();
    regs.cs = start.cs.raw().into();
    regs.eflags = start.eflags;
    regs.esp = start.esp.raw();
    regs.esi = start.esi.raw();
    (regs.ss, regs.ds, regs.es, regs.fs, regs.gs) = (data, data, data, data, data);
    for (vector, entry) in (0..=u8::MAX).zip(&mut context.trap_table) {
        *entry = TrapInfo {
            vector,
            flags: TrapFlags::empty(),
            cs: Selector::FLAT_RING1_CS,
            address: 0,
        };
    }
    context.kernel_ss = start.kernel_ss.raw().into();
    context.kernel_esp = start.kernel_esp.raw();
    context.pt_base = start.l3_mfn.addr();
    let nowhere = Callback {
        cs: Selector::FLAT_RING1_CS,
        ..Callback::default()
    };
    context.event_callback = nowhere;
    context.failsafe_callback = nowhere;
    context
}
