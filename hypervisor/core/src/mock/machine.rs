//! The machine.

use super::devices::Devices;
use crate::{
    domain::Domain,
    mm::RecordFrame,
    platform::{
        Clock, Console, CpuControl, FastTrap, Fault, FrameMemory, GuestMemory, GuestPod, OneByOne, Records,
        Tlb,
    },
    vcpu::{DataSegments, FpuState},
};
use guest_abi::addr::{GuestVirt, HV_START, Mfn};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
};

/// Bytes in a page.
pub const PAGE: u32 = 4096;

/// The machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    pub frames: RefCell<BTreeMap<u32, Vec<u8>>>,
    /// Guest page number to frame and whether it is writable.
    pub pages: RefCell<BTreeMap<u32, (Mfn, bool)>>,
    pub now_ns: Cell<u64>,
    pub timer: Cell<Option<u64>>,
    /// How many more looks at pending work find none; `None`: there never is any.
    pub calm: Cell<Option<u32>>,
    pub exit_work: Cell<bool>,
    pub task_switched: Cell<bool>,
    pub debug_registers: Cell<[u32; 8]>,
    pub fast_trap: Cell<Option<FastTrap>>,
    pub kernel_stack: Cell<(u16, u32)>,
    pub gdt: RefCell<(Vec<Mfn>, u32)>,
    pub ldt: RefCell<(BTreeMap<usize, Mfn>, u32)>,
    pub root: Cell<Option<Mfn>>,
    pub shared_info: Cell<Option<Mfn>>,
    pub fpu: RefCell<Option<FpuState>>,
    pub segments: Cell<DataSegments>,
    pub bad_selector: Cell<Option<u16>>,
    pub output: RefCell<Vec<u8>>,
    /// Bytes of output that the history has forgotten.
    pub forgotten: Cell<usize>,
    pub io_bitmap: Cell<Option<[Mfn; 2]>>,
    pub msrs: RefCell<BTreeMap<u32, u64>>,
    pub input: RefCell<VecDeque<u8>>,
    pub devices: Devices,
}

impl Machine {
    pub fn new() -> Self {
        Self {
            frames: RefCell::default(),
            pages: RefCell::default(),
            now_ns: Cell::new(1_000_000),
            timer: Cell::default(),
            calm: Cell::default(),
            exit_work: Cell::default(),
            task_switched: Cell::default(),
            debug_registers: Cell::default(),
            fast_trap: Cell::default(),
            kernel_stack: Cell::default(),
            gdt: RefCell::default(),
            ldt: RefCell::default(),
            root: Cell::default(),
            shared_info: Cell::default(),
            fpu: RefCell::default(),
            segments: Cell::default(),
            bad_selector: Cell::default(),
            output: RefCell::default(),
            forgotten: Cell::default(),
            io_bitmap: Cell::default(),
            msrs: RefCell::default(),
            input: RefCell::default(),
            devices: Devices::default(),
        }
    }

    /// Runs `f` on the bytes of a frame, which must exist.
    fn bytes<R>(&self, frame: Mfn, f: impl FnOnce(&mut [u8]) -> R) -> R {
        f(self
            .frames
            .borrow_mut()
            .get_mut(&frame.raw())
            .expect("a frame of RAM"))
    }

    pub fn add_frame(&self, frame: Mfn) {
        self.frames
            .borrow_mut()
            .insert(frame.raw(), vec![0; PAGE as usize]);
    }

    /// Maps guest page `page` to a frame of the same number plus 0x1000.
    pub fn map(&self, page: u32, writable: bool) {
        let frame = Mfn::new(page + 0x1000);
        if !self.frames.borrow().contains_key(&frame.raw()) {
            self.add_frame(frame);
        }
        self.pages.borrow_mut().insert(page, (frame, writable));
    }

    /// Calls `f` with each byte of the guest's range, in order.
    fn each(
        &self,
        at: GuestVirt,
        len: usize,
        write: bool,
        mut f: impl FnMut(usize, &mut u8),
    ) -> Result<(), Fault> {
        let end = u64::from(at.raw()) + len as u64;
        if end > u64::from(HV_START) {
            return Err(Fault);
        }
        for n in 0..len {
            let address = at.raw() + n as u32;
            let page = self.pages.borrow().get(&(address / PAGE)).copied();
            match page {
                Some((frame, writable)) if writable || !write => {
                    self.bytes(frame, |bytes| f(n, &mut bytes[(address % PAGE) as usize]));
                }
                _ => return Err(Fault),
            }
        }
        Ok(())
    }
}

impl FrameMemory for Machine {
    type Words<'a> = OneByOne<'a, Self>;
    fn words(&self, frame: Mfn) -> OneByOne<'_, Self> {
        OneByOne::new(self, frame)
    }
    fn read_entry(&self, frame: Mfn, index: usize) -> u64 {
        self.bytes(frame, |b| {
            u64::from_le_bytes(b[index * 8..][..8].try_into().expect("8 bytes"))
        })
    }
    fn write_entry(&self, frame: Mfn, index: usize, value: u64) {
        self.bytes(frame, |b| {
            b[index * 8..][..8].copy_from_slice(&value.to_le_bytes())
        });
    }
    fn compare_exchange_entry(&self, frame: Mfn, index: usize, old: u64, new: u64) -> Result<(), u64> {
        let now = self.read_entry(frame, index);
        if now != old {
            return Err(now);
        }
        self.write_entry(frame, index, new);
        Ok(())
    }
    fn zero_frame(&self, frame: Mfn) {
        self.bytes(frame, |b| b.fill(0));
    }
    fn load_u8(&self, frame: Mfn, offset: usize) -> u8 {
        self.bytes(frame, |b| b[offset])
    }
    fn store_u8(&self, frame: Mfn, offset: usize, value: u8) {
        self.bytes(frame, |b| b[offset] = value);
    }
    fn load_u32(&self, frame: Mfn, offset: usize) -> u32 {
        assert!(offset.is_multiple_of(4));
        self.bytes(frame, |b| {
            u32::from_le_bytes(b[offset..][..4].try_into().expect("4 bytes"))
        })
    }
    fn store_u32(&self, frame: Mfn, offset: usize, value: u32) {
        assert!(offset.is_multiple_of(4));
        self.bytes(frame, |b| b[offset..][..4].copy_from_slice(&value.to_le_bytes()));
    }
    fn fetch_or_u32(&self, frame: Mfn, offset: usize, bits: u32) -> u32 {
        let old = self.load_u32(frame, offset);
        self.store_u32(frame, offset, old | bits);
        old
    }
    fn fetch_clear_u32(&self, frame: Mfn, offset: usize, bits: u32) -> u32 {
        let old = self.load_u32(frame, offset);
        self.store_u32(frame, offset, old & !bits);
        old
    }
    fn copy_bytes(&self, (from, at): (Mfn, usize), (to, into): (Mfn, usize), len: usize) {
        let bytes = self.bytes(from, |b| b[at..at + len].to_vec());
        self.bytes(to, |b| b[into..into + len].copy_from_slice(&bytes));
    }
    fn set_m2p(&self, _: Mfn, _: u32) {}
}

impl Records for Machine {
    fn place_record(&self, frame: RecordFrame, mut domain: Domain) -> &'static mut Domain {
        domain.record = Some(frame.mfn());
        Box::leak(Box::new(domain))
    }
    fn unplace_record(&self, record: &'static mut Domain) -> RecordFrame {
        RecordFrame::returned(record.record.expect("a record in a frame"))
    }
}

impl GuestMemory for Machine {
    fn read<T: GuestPod>(&self, at: GuestVirt) -> Result<T, Fault> {
        let mut bytes = vec![0; size_of::<T>()];
        self.read_bytes(at, &mut bytes)?;
        Ok(T::read_from_bytes(&bytes).expect("the size is right"))
    }
    fn write<T: GuestPod>(&self, at: GuestVirt, value: &T) -> Result<(), Fault> {
        self.write_bytes(at, value.as_bytes())
    }
    fn read_bytes(&self, at: GuestVirt, into: &mut [u8]) -> Result<(), Fault> {
        self.each(at, into.len(), false, |n, byte| into[n] = *byte)
    }
    fn write_bytes(&self, at: GuestVirt, from: &[u8]) -> Result<(), Fault> {
        self.each(at, from.len(), true, |n, byte| *byte = from[n])
    }
}

impl Tlb for Machine {
    fn activate_root(&self, l3: Mfn) {
        self.root.set(Some(l3));
    }
    fn flush(&self) {}
    fn flush_page(&self, _: GuestVirt) {}
    fn flush_data_caches(&self) {}
}

impl CpuControl for Machine {
    fn load_gdt(&self, frames: &[Mfn], entries: u32) {
        *self.gdt.borrow_mut() = (frames.to_vec(), entries);
    }
    fn load_ldt(&self, entries: u32) {
        *self.ldt.borrow_mut() = (BTreeMap::new(), entries);
    }
    fn map_ldt_page(&self, index: usize, frame: Mfn) {
        self.ldt.borrow_mut().0.insert(index, frame);
    }
    fn set_task_switched(&self, on: bool) {
        self.task_switched.set(on);
    }
    fn write_debug_register(&self, index: usize, value: u32) {
        let mut registers = self.debug_registers.get();
        registers[index] = value;
        self.debug_registers.set(registers);
    }
    fn set_fast_trap(&self, trap: Option<FastTrap>) {
        self.fast_trap.set(trap);
    }
    fn set_kernel_stack(&self, ss: u16, esp: u32) {
        self.kernel_stack.set((ss, esp));
    }
    fn load_io_bitmap(&self, bitmap: Option<[Mfn; 2]>) {
        self.io_bitmap.set(bitmap);
    }
    fn read_msr(&self, register: u32) -> Result<u64, Fault> {
        self.msrs.borrow().get(&register).copied().ok_or(Fault)
    }
    fn write_msr(&self, register: u32, value: u64) -> Result<(), Fault> {
        let mut msrs = self.msrs.borrow_mut();
        *msrs.get_mut(&register).ok_or(Fault)? = value;
        Ok(())
    }
    fn save_fpu(&self, into: &mut FpuState) {
        assert!(!self.task_switched.get());
        into.clone_from(self.fpu.borrow().as_ref().unwrap_or(&FpuState::CLEAN));
    }
    fn load_fpu(&self, from: &FpuState) {
        assert!(!self.task_switched.get());
        *self.fpu.borrow_mut() = Some(from.clone());
    }
    fn data_segments(&self) -> DataSegments {
        self.segments.get()
    }
    fn load_data_segments(&self, s: DataSegments) -> Result<(), Fault> {
        if self
            .bad_selector
            .get()
            .is_some_and(|bad| [s.ds, s.es, s.fs, s.gs].contains(&bad))
        {
            self.segments.set(DataSegments::default());
            return Err(Fault);
        }
        self.segments.set(s);
        Ok(())
    }
    fn set_shared_info(&self, frame: Mfn) {
        self.shared_info.set(Some(frame));
    }
    fn request_exit_work(&self) {
        self.exit_work.set(true);
    }
}

impl Clock for Machine {
    fn now_ns(&self) -> u64 {
        self.now_ns.get()
    }
    fn timestamp(&self) -> (u64, u64) {
        (self.now_ns.get() * 2, self.now_ns.get())
    }
    fn tsc_hz(&self) -> u64 {
        2_000_000_000
    }
    fn wall_clock_at_boot(&self) -> (u32, u32) {
        (1_000_000_000, 500_000)
    }
    fn arm_timer(&self, deadline_ns: Option<u64>) {
        self.timer.set(deadline_ns);
    }
    fn work_pending(&self) -> bool {
        match self.calm.get() {
            None => false,
            Some(0) => true,
            Some(n) => {
                self.calm.set(Some(n - 1));
                false
            }
        }
    }
}

impl Console for Machine {
    fn write_console(&self, bytes: &[u8]) {
        self.output.borrow_mut().extend_from_slice(bytes);
    }
    fn written(&self) -> u64 {
        self.output.borrow().len() as u64
    }
    fn read_history(&self, from: u64, into: &mut [u8]) -> usize {
        let output = self.output.borrow();
        let text = output.get(from as usize..).unwrap_or_default();
        let count = text.len().min(into.len());
        into[..count].copy_from_slice(&text[..count]);
        count
    }
    fn history_len(&self) -> usize {
        self.output.borrow().len() - self.forgotten.get()
    }
    fn clear_history(&self) {
        self.forgotten.set(self.output.borrow().len());
    }
    fn has_console_input(&self) -> bool {
        !self.input.borrow().is_empty()
    }
    fn read_console(&self, into: &mut [u8]) -> usize {
        let mut input = self.input.borrow_mut();
        let given = into.len().min(input.len());
        for (slot, byte) in into.iter_mut().zip(input.drain(..given)) {
            *slot = byte;
        }
        given
    }
}
