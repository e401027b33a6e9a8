//! Changing the vCPU that a CPU runs.
//!
//! A vCPU that does not run is its record and nothing else. Switching copies the registers on this CPU's stack into
//! one record and out of another, and loads what lives in the processor: page-table root, descriptor tables, data
//! segments, FPU, debug registers, the fast trap. Between domains all of it is switched eagerly; the idle state has
//! no vCPU and keeps the last one's tables.
//!
//! Source: Xen 2.0 interface, context switch.

use crate::{bounce::deliver_failsafe, context::Context, crash, fpu, platform::Platform, vcpu::Vcpu};

/// Makes the domain in `slot` the current one: the registers become its own.
pub fn switch_to<P: Platform>(cx: &mut Context<'_, P>, slot: usize) {
    leave(cx);
    enter(cx, slot);
}

/// Saves the current vCPU into its record.
fn leave<P: Platform>(cx: &mut Context<'_, P>) {
    let platform = cx.platform;
    let vcpu = &mut cx.hv.running_mut().vcpus[0];
    vcpu.regs.copy_from(cx.regs);
    vcpu.segments = platform.data_segments();
    fpu::leave(platform, vcpu);
    if vcpu.debug_registers[7] != 0 {
        platform.write_debug_register(7, 0);
    }
}

/// Loads the vCPU of the domain in `slot`, which becomes the current one. (The first one to run is entered without
/// leaving any.)
///
/// # Panics
/// Where there is no domain in `slot`.
#[inline(always)]
pub fn enter<P: Platform>(cx: &mut Context<'_, P>, slot: usize) {
    cx.hv.current = slot;
    let platform = cx.platform;
    let domain = cx.hv.running();
    let vcpu = &domain.vcpus[0];
    platform.set_shared_info(domain.shared_info);
    load_tables(platform, vcpu);
    match vcpu.roots[0] {
        Some(root) => platform.activate_root(root),
        None => platform.flush(),
    }
    load_debug_registers(platform, vcpu);
    platform.set_kernel_stack(vcpu.kernel_ss, vcpu.kernel_esp);
    platform.set_fast_trap(vcpu.armed_fast_trap());
    platform.load_io_bitmap(domain.io.ports);
    fpu::enter(platform, vcpu);
    let segments = vcpu.segments;
    cx.regs.copy_from(&vcpu.regs);
    if platform.load_data_segments(segments).is_err()
        && let Err(reason) = deliver_failsafe(cx, segments)
    {
        crash::current_domain(cx, reason);
    }
}

/// Loads GDT and LDT, with the LDT pages that were mapped before. They are in force when the root is.
#[inline(always)]
fn load_tables<P: Platform>(platform: &P, vcpu: &Vcpu) {
    platform.load_gdt(&vcpu.gdt_frames, vcpu.gdt_entries);
    if vcpu.ldt_entries != 0 || !cfg!(feature = "mutant-switch-ldt") {
        platform.load_ldt(vcpu.ldt_entries);
    }
    if vcpu.ldt_entries == 0 {
        return;
    }
    for (index, frame) in vcpu.ldt_frames.iter().enumerate() {
        if let Some(frame) = *frame {
            platform.map_ldt_page(index, frame);
        }
    }
}

/// Loads the debug registers of a vCPU that uses them; DR7, which switches them on, last.
fn load_debug_registers<P: Platform>(platform: &P, vcpu: &Vcpu) {
    if vcpu.debug_registers[7] != 0 && !cfg!(feature = "mutant-switch-debug") {
        for index in [0, 1, 2, 3, 6, 7] {
            platform.write_debug_register(index, vcpu.debug_registers[index]);
        }
    }
}

#[cfg(test)]
mod tests;
