//! The processor's registers.

use super::machine::Machine;
use crate::{
    platform::{CpuControl, FastTrap, Fault},
    vcpu::{DataSegments, FpuState},
};
use guest_abi::addr::Mfn;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

/// What was loaded last, register by register.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// The L3 of the address space.
    pub root: Cell<Option<Mfn>>,
    /// The guest's part of the GDT: frames and how many entries.
    pub gdt: RefCell<(Vec<Mfn>, u32)>,
    /// The LDT: pages in its window by number, and how many entries.
    pub ldt: RefCell<(BTreeMap<usize, Mfn>, u32)>,
    /// The data segment registers.
    pub segments: Cell<DataSegments>,
    /// A selector that the processor refuses to load.
    pub bad_selector: Cell<Option<u16>>,
    /// Stack segment and pointer of ring 1.
    pub kernel_stack: Cell<(u16, u32)>,
    /// The gate that leads straight to the guest.
    pub fast_trap: Cell<Option<FastTrap>>,
    /// The bitmap of ports.
    pub io_bitmap: Cell<Option<[Mfn; 2]>>,
    /// The frame that the exit code looks for events in.
    pub shared_info: Cell<Option<Mfn>>,
    /// Whether the exit code is to look for more work.
    pub exit_work: Cell<bool>,
    /// Whether an FPU instruction traps.
    pub task_switched: Cell<bool>,
    /// FPU and SSE registers, if they were ever loaded.
    pub fpu: RefCell<Option<FpuState>>,
    /// DR0 to DR7.
    pub debug_registers: Cell<[u32; 8]>,
    /// The model-specific registers that exist.
    pub msrs: RefCell<BTreeMap<u32, u64>>,
}

impl CpuControl for Machine {
    fn load_gdt(&self, frames: &[Option<Mfn>], entries: u32) {
        *self.cpu.gdt.borrow_mut() = (frames.iter().map_while(|frame| *frame).collect(), entries);
    }
    fn load_ldt(&self, entries: u32) {
        *self.cpu.ldt.borrow_mut() = (BTreeMap::new(), entries);
    }
    fn map_ldt_page(&self, index: usize, frame: Mfn) {
        self.cpu.ldt.borrow_mut().0.insert(index, frame);
    }
    fn set_task_switched(&self, on: bool) {
        self.cpu.task_switched.set(on);
    }
    fn write_debug_register(&self, index: usize, value: u32) {
        let mut registers = self.cpu.debug_registers.get();
        registers[index] = value;
        self.cpu.debug_registers.set(registers);
    }
    fn set_fast_trap(&self, trap: Option<FastTrap>) {
        self.cpu.fast_trap.set(trap);
    }
    fn set_kernel_stack(&self, ss: u16, esp: u32) {
        self.cpu.kernel_stack.set((ss, esp));
    }
    fn load_io_bitmap(&self, bitmap: Option<[Mfn; 2]>) {
        self.cpu.io_bitmap.set(bitmap);
    }
    fn read_msr(&self, register: u32) -> Result<u64, Fault> {
        self.cpu.msrs.borrow().get(&register).copied().ok_or(Fault)
    }
    fn write_msr(&self, register: u32, value: u64) -> Result<(), Fault> {
        let mut msrs = self.cpu.msrs.borrow_mut();
        *msrs.get_mut(&register).ok_or(Fault)? = value;
        Ok(())
    }
    fn save_fpu(&self, into: &mut FpuState) {
        assert!(!self.cpu.task_switched.get());
        into.clone_from(self.cpu.fpu.borrow().as_ref().unwrap_or(&FpuState::CLEAN));
    }
    fn load_fpu(&self, from: &FpuState) {
        assert!(!self.cpu.task_switched.get());
        *self.cpu.fpu.borrow_mut() = Some(from.clone());
    }
    fn data_segments(&self) -> DataSegments {
        self.cpu.segments.get()
    }
    fn load_data_segments(&self, s: DataSegments) -> Result<(), Fault> {
        let is_bad = |bad| [s.ds, s.es, s.fs, s.gs].contains(&bad);
        if self.cpu.bad_selector.get().is_some_and(is_bad) {
            self.cpu.segments.set(DataSegments::default());
            return Err(Fault);
        }
        self.cpu.segments.set(s);
        Ok(())
    }
    fn set_shared_info(&self, frame: Mfn) {
        self.cpu.shared_info.set(Some(frame));
    }
    fn request_exit_work(&self) {
        self.cpu.exit_work.set(true);
    }
}
