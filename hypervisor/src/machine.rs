//! The machine as `hv-core` sees it: its traits over `hv-arch`.
//!
//! [`Machine`] is zero-sized, so every call through it is a direct one. What it needs to know of the machine is set
//! once at boot, in statics.

mod memory;

pub use memory::{describe_memory, m2p_frames};

use crate::console;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use guest_abi::addr::{GuestVirt, Mfn};
use hv_arch::{
    cpu, gdt, idt, msr,
    paging::{AddressSpace, LDT_WINDOW},
    percpu::{self, due},
    tss, usercopy,
};
use hv_core::{
    platform::{Console, CpuControl, FastTrap, Fault, Tlb},
    vcpu::{DataSegments, FpuState},
};
use memory::frame_address;

/// The machine.
#[derive(Clone, Copy, Debug)]
pub struct Machine;

/// The address space of the domain whose registers are on this CPU.
static SPACE: spin::Once<AddressSpace> = spin::Once::new();

/// Makes `space` the current domain's.
pub fn set_address_space(space: AddressSpace) {
    SPACE.call_once(|| space);
}

fn space() -> &'static AddressSpace {
    SPACE.get().expect("an address space since boot")
}

impl Tlb for Machine {
    #[inline(always)]
    fn activate_root(&self, l3: Mfn) {
        let space = space();
        space.set_guest_root(Some(l3.addr().raw()));
        // SAFETY: the core activates validated roots only.
        unsafe { space.activate() }
    }

    #[inline]
    fn flush(&self) {
        // SAFETY: the space is the active one already.
        unsafe { space().activate() }
    }

    #[inline]
    fn flush_page(&self, at: GuestVirt) {
        cpu::invalidate_guest_page(at.raw());
    }

    fn flush_data_caches(&self) {
        cpu::write_back_caches();
    }
}

impl CpuControl for Machine {
    #[inline(always)]
    fn load_gdt(&self, frames: &[Option<Mfn>], _entries: u32) {
        space().set_gdt(
            frames
                .iter()
                .map_while(|frame| *frame)
                .map(|frame| frame.addr().raw()),
        );
    }

    #[inline]
    fn load_ldt(&self, entries: u32) {
        space().clear_ldt();
        gdt::load_ldt(LDT_WINDOW, entries);
    }

    fn map_ldt_page(&self, index: usize, frame: Mfn) {
        space().set_ldt_page(index, frame.addr().raw());
    }

    fn set_task_switched(&self, on: bool) {
        cpu::set_task_switched(on);
    }

    fn write_debug_register(&self, index: usize, value: u32) {
        cpu::write_debug_register(index, value);
    }

    fn set_fast_trap(&self, trap: Option<FastTrap>) {
        fast_trap::set(trap);
    }

    /// Called by every `stack_switch`, that is, at every switch of a guest's processes.
    #[inline]
    fn set_kernel_stack(&self, ss: u16, esp: u32) {
        percpu::set_fast_trap_stack(ss, esp);
    }

    #[inline]
    fn load_io_bitmap(&self, bitmap: Option<[Mfn; 2]>) {
        tss::load_io_bitmap(bitmap.map(|frames| {
            frames.map(|frame| {
                // SAFETY: a frame of RAM that the hypervisor keeps for the domain; only this CPU writes it, and not now.
                unsafe { &*frame_address(frame).cast::<[u8; 4096]>() }
            })
        }));
    }

    fn read_msr(&self, register: u32) -> Result<u64, Fault> {
        msr::read(register).map_err(|_| Fault)
    }

    fn write_msr(&self, register: u32, value: u64) -> Result<(), Fault> {
        // SAFETY: the core lets through only registers that regulate power and heat.
        unsafe { msr::write(register, value) }.map_err(|_| Fault)
    }

    fn save_fpu(&self, into: &mut FpuState) {
        // SAFETY: the area has the size and alignment by type; the core calls this with TS clear.
        unsafe { cpu::save_fpu(into.0.as_mut_ptr()) }
    }

    fn load_fpu(&self, from: &FpuState) {
        // SAFETY: as above; an image comes from a save, or is the clean one.
        unsafe { cpu::restore_fpu(from.0.as_ptr()) }
    }

    fn data_segments(&self) -> DataSegments {
        let [ds, es, fs, gs] = usercopy::data_segments();
        DataSegments { ds, es, fs, gs }
    }

    fn load_data_segments(&self, segments: DataSegments) -> Result<(), Fault> {
        let loaded = usercopy::load_ds(segments.ds)
            .and_then(|()| usercopy::load_es(segments.es))
            .and_then(|()| usercopy::load_fs(segments.fs))
            .and_then(|()| usercopy::load_gs(segments.gs));
        loaded.map_err(|_| {
            self.clear_data_segments();
            Fault
        })
    }

    fn set_shared_info(&self, frame: Mfn) {
        // The two flag bytes are the page's first.
        percpu::set_upcall_flags(Some(frame_address(frame).cast::<u16>().cast_const()));
    }

    #[inline(always)]
    fn mask_upcalls_at_hand(&self) -> bool {
        percpu::mask_upcalls();
        true
    }

    #[inline]
    fn request_exit_work(&self) {
        percpu::raise_due(due::WORK);
    }
}

impl Machine {
    /// Loads null into DS, ES, FS and GS.
    pub fn clear_data_segments(self) {
        // Null never faults.
        for load in [
            usercopy::load_ds,
            usercopy::load_es,
            usercopy::load_fs,
            usercopy::load_gs,
        ] {
            let _ = load(0);
        }
    }
}

impl Console for Machine {
    fn write_console(&self, bytes: &[u8]) {
        console::show(bytes);
    }

    fn read_console(&self, into: &mut [u8]) -> usize {
        console::read(into)
    }

    fn written(&self) -> u64 {
        console::written()
    }

    fn read_history(&self, from: u64, into: &mut [u8]) -> usize {
        console::read_history(from, into)
    }

    fn history_len(&self) -> usize {
        console::history_len()
    }

    fn clear_history(&self) {
        console::clear_history();
    }

    fn has_console_input(&self) -> bool {
        console::has_input()
    }
}

/// Arming and disarming the fast trap.
mod fast_trap {
    use super::*;

    /// The vector whose gate leads to the stub; 0: none.
    static ARMED: AtomicU32 = AtomicU32::new(0);

    /// The core asks for a fast trap only while the ring-1 stack is the flat segment with room for its frame. Only
    /// ring 3 takes the short way.
    #[inline(always)]
    pub fn set(trap: Option<FastTrap>) {
        if trap.is_some() || ARMED.load(Relaxed) != 0 {
            change(trap);
        }
    }

    #[inline(never)]
    fn change(trap: Option<FastTrap>) {
        let trap = trap.filter(|trap| trap.dpl == 3);
        let armed = trap.as_ref().map_or(0, |trap| trap.vector);
        let old = ARMED.swap(armed.into(), Relaxed);
        if old != 0 {
            idt::disarm_fast_trap(old as u8);
        }
        if let Some(trap) = trap {
            percpu::set_fast_trap_target(trap.vector, trap.cs, trap.eip);
            idt::arm_fast_trap(trap.vector);
        }
    }
}
