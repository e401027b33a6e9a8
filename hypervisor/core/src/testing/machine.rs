//! The machine.

use super::tlb::{Cached, StaleTlb};
use crate::{
    domain::Domain,
    mm::{RecordFrame, pte::P},
    platform::{
        Clock, Console, CpuControl, FastTrap, Fault, FrameMemory, GuestMemory, GuestPod, OneByOne, Records,
        Tlb,
    },
    vcpu::{DataSegments, FpuState},
};
use guest_abi::addr::{GuestVirt, HV_START, Mfn};
use std::{
    boxed::Box,
    cell::{Cell, RefCell},
    vec,
    vec::Vec,
};

/// What [`Clock::work_pending`] answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Nothing is ever pending.
    Never,
    /// Something always is: every operation pauses as early as it may.
    Always,
}

/// A machine with memory, one processor and nothing else.
#[derive(Debug)]
pub struct TestMachine {
    words: Vec<Cell<u64>>,
    /// The machine-to-phys table.
    pub m2p: RefCell<Vec<u32>>,
    root: Cell<Option<Mfn>>,
    /// What the processor remembers of the guest's tables.
    pub tlb: RefCell<StaleTlb>,
    /// Flushes of everything so far.
    pub flushes: Cell<u32>,
    /// Flushes of one page so far.
    pub page_flushes: RefCell<Vec<GuestVirt>>,
    /// Flushes of the data caches so far.
    pub cache_flushes: Cell<u32>,
    /// Words that somebody else changes, one after each time the hypervisor reads guest memory: frame, index, value.
    pub tamper: RefCell<Vec<(Mfn, usize, u64)>>,
    /// Whether work is pending.
    pub work: Cell<Work>,
    entries_read: Cell<u32>,
    /// Most entries read between two questions for pending work.
    pub longest_stretch: Cell<u32>,
    /// LDT entries loaded last.
    pub ldt_entries: Cell<u32>,
    /// Pages in the LDT window.
    pub ldt_pages: RefCell<Vec<(usize, Mfn)>>,
    /// GDT loaded last.
    pub gdt: RefCell<(Vec<Mfn>, u32)>,
    /// The data segment registers.
    pub segments: Cell<DataSegments>,
    /// Bytes written to the console.
    pub console_output: RefCell<Vec<u8>>,
    /// The bitmap of ports loaded last.
    pub io_bitmap: Cell<Option<[Mfn; 2]>>,
    /// Bytes to be read from it.
    pub console_input: RefCell<Vec<u8>>,
    /// Time since boot.
    pub time_ns: Cell<u64>,
    /// Armed deadline.
    pub deadline: Cell<Option<u64>>,
}

impl TestMachine {
    /// A machine with `frames` frames of RAM, filled with a pattern that is not zero.
    #[must_use]
    pub fn new(frames: usize) -> Self {
        Self {
            words: vec![Cell::new(0x5A5A_0000_5A5A_0000); frames * 512],
            m2p: RefCell::new(vec![0x5555_5555; frames]),
            root: Cell::new(None),
            tlb: RefCell::default(),
            flushes: Cell::new(0),
            page_flushes: RefCell::default(),
            cache_flushes: Cell::new(0),
            tamper: RefCell::default(),
            work: Cell::new(Work::Never),
            entries_read: Cell::new(0),
            longest_stretch: Cell::new(0),
            ldt_entries: Cell::new(0),
            ldt_pages: RefCell::default(),
            gdt: RefCell::default(),
            segments: Cell::default(),
            console_output: RefCell::default(),
            io_bitmap: Cell::default(),
            console_input: RefCell::default(),
            time_ns: Cell::new(0),
            deadline: Cell::new(None),
        }
    }

    /// All of memory.
    #[must_use]
    pub fn memory(&self) -> Vec<u64> {
        self.words.iter().map(Cell::get).collect()
    }

    /// One word of memory, without counting as a check.
    #[must_use]
    pub fn peek(&self, frame: Mfn, index: usize) -> u64 {
        self.words[frame.index() * 512 + index].get()
    }

    /// Sets one word of memory, whoever may do so.
    pub fn poke(&self, frame: Mfn, index: usize, value: u64) {
        self.words[frame.index() * 512 + index].set(value);
    }

    /// Begins to measure [`TestMachine::longest_stretch`].
    pub fn measure_stretch(&self) {
        self.entries_read.set(0);
        self.longest_stretch.set(0);
    }

    /// Fills a frame with zeroes.
    pub fn zero(&self, frame: Mfn) {
        self.zero_frame(frame);
    }

    /// The root in force.
    #[must_use]
    pub fn root(&self) -> Option<Mfn> {
        self.root.get()
    }

    /// What the guest's kernel reaches at `at`, through caches that may be stale.
    ///
    /// # Errors
    /// A page fault.
    pub fn translate(&self, at: u32, is_write: bool) -> Result<Cached, Fault> {
        let root = self.root.get().ok_or(Fault)?;
        let read = |frame: u64, index: usize| {
            let word = usize::try_from(frame).ok()?.checked_mul(512)? + index;
            self.words.get(word).map(Cell::get)
        };
        let cached = self
            .tlb
            .borrow_mut()
            .translate(at, is_write, u64::from(root.raw()), &read);
        cached.ok_or(Fault)
    }

    /// Has the processor remember every page that the guest's tables map (it may at any time).
    pub fn prefetch(&self) {
        let Some(root) = self.root.get() else { return };
        let entries = |frame: u64, count: usize| {
            let is_ram = (frame as usize) < self.words.len() / 512;
            (0..if is_ram { count } else { 0 })
                .filter(move |&i| self.peek(Mfn::new(frame as u32), i) & P != 0)
                .map(move |i| {
                    (
                        i,
                        crate::mm::pte::frame_number(self.peek(Mfn::new(frame as u32), i)),
                    )
                })
        };
        for (i3, l2) in entries(u64::from(root.raw()), 4) {
            for (i2, l1) in entries(l2, if i3 == 3 { 480 } else { 512 }) {
                for (i1, _) in entries(l1, 512) {
                    let at = ((i3 << 30) | (i2 << 21) | (i1 << 12)) as u32;
                    let _ = self
                        .translate(at, true)
                        .or_else(|Fault| self.translate(at, false));
                }
            }
        }
    }

    fn byte(&self, at: u32, is_write: bool) -> Result<(usize, u32), Fault> {
        let page = self.translate(at, is_write)?;
        let word = (page.frame as usize).checked_mul(512).ok_or(Fault)? + (at as usize & 0xFFF) / 8;
        if word >= self.words.len() {
            return Err(Fault);
        }
        Ok((word, at % 8 * 8))
    }

    fn set_part(&self, word: usize, shift: u32, mask: u64, value: u64) {
        let old = self.words[word].get();
        self.words[word].set((old & !(mask << shift)) | ((value & mask) << shift));
    }
}

impl FrameMemory for TestMachine {
    type Words<'a> = OneByOne<'a, Self>;
    fn words(&self, frame: Mfn) -> OneByOne<'_, Self> {
        OneByOne::new(self, frame)
    }
    fn read_entry(&self, frame: Mfn, index: usize) -> u64 {
        assert!(index < 512);
        self.entries_read.set(self.entries_read.get() + 1);
        self.longest_stretch
            .set(self.longest_stretch.get().max(self.entries_read.get()));
        self.peek(frame, index)
    }
    fn write_entry(&self, frame: Mfn, index: usize, value: u64) {
        assert!(index < 512);
        self.poke(frame, index, value);
    }
    fn compare_exchange_entry(&self, frame: Mfn, index: usize, old: u64, new: u64) -> Result<(), u64> {
        match self.peek(frame, index) {
            now if now == old => {
                self.poke(frame, index, new);
                Ok(())
            }
            now => Err(now),
        }
    }
    fn zero_frame(&self, frame: Mfn) {
        for index in 0..512 {
            self.poke(frame, index, 0);
        }
    }
    fn load_u8(&self, frame: Mfn, offset: usize) -> u8 {
        (self.peek(frame, offset / 8) >> (offset % 8 * 8)) as u8
    }
    fn store_u8(&self, frame: Mfn, offset: usize, value: u8) {
        self.set_part(
            frame.index() * 512 + offset / 8,
            (offset % 8 * 8) as u32,
            0xFF,
            u64::from(value),
        );
    }
    fn load_u32(&self, frame: Mfn, offset: usize) -> u32 {
        assert!(offset.is_multiple_of(4));
        (self.peek(frame, offset / 8) >> (offset % 8 * 8)) as u32
    }
    fn store_u32(&self, frame: Mfn, offset: usize, value: u32) {
        assert!(offset.is_multiple_of(4));
        self.set_part(
            frame.index() * 512 + offset / 8,
            (offset % 8 * 8) as u32,
            0xFFFF_FFFF,
            u64::from(value),
        );
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
        assert!(at + len <= 4096 && into + len <= 4096);
        let bytes: Vec<u8> = (at..at + len).map(|offset| self.load_u8(from, offset)).collect();
        for (offset, byte) in (into..).zip(bytes) {
            self.store_u8(to, offset, byte);
        }
    }
    fn set_m2p(&self, frame: Mfn, value: u32) {
        self.m2p.borrow_mut()[frame.index()] = value;
    }
}

impl Records for TestMachine {
    fn place_record(&self, frame: RecordFrame, mut domain: Domain) -> &'static mut Domain {
        domain.record = Some(frame.mfn());
        Box::leak(Box::new(domain))
    }
    fn unplace_record(&self, record: &'static mut Domain) -> RecordFrame {
        RecordFrame::returned(record.record.expect("a record in a frame"))
    }
}

impl GuestMemory for TestMachine {
    fn read<T: GuestPod>(&self, at: GuestVirt) -> Result<T, Fault> {
        let mut bytes = vec![0; size_of::<T>()];
        self.read_bytes(at, &mut bytes)?;
        T::read_from_bytes(&bytes).map_err(|_| Fault)
    }
    fn write<T: GuestPod>(&self, at: GuestVirt, value: &T) -> Result<(), Fault> {
        self.write_bytes(at, value.as_bytes())
    }
    fn read_bytes(&self, at: GuestVirt, into: &mut [u8]) -> Result<(), Fault> {
        check_range(at, into.len())?;
        for (at, byte) in (at.raw()..).zip(into) {
            let (word, shift) = self.byte(at, false)?;
            *byte = (self.words[word].get() >> shift) as u8;
        }
        if let Some((frame, index, value)) = self.tamper.borrow_mut().pop() {
            self.poke(frame, index, value);
        }
        Ok(())
    }
    fn write_bytes(&self, at: GuestVirt, from: &[u8]) -> Result<(), Fault> {
        check_range(at, from.len())?;
        for (at, &byte) in (at.raw()..).zip(from) {
            let (word, shift) = self.byte(at, true)?;
            self.set_part(word, shift, 0xFF, u64::from(byte));
        }
        Ok(())
    }
}

fn check_range(at: GuestVirt, len: usize) -> Result<(), Fault> {
    let end = u64::from(at.raw()) + len as u64;
    if end <= u64::from(HV_START) {
        Ok(())
    } else {
        Err(Fault)
    }
}

impl Tlb for TestMachine {
    fn activate_root(&self, l3: Mfn) {
        self.root.set(Some(l3));
        self.tlb.borrow_mut().flush();
    }
    fn flush(&self) {
        self.flushes.set(self.flushes.get() + 1);
        self.tlb.borrow_mut().flush();
    }
    fn flush_page(&self, at: GuestVirt) {
        self.page_flushes.borrow_mut().push(at);
        self.tlb.borrow_mut().flush_page(at);
    }
    fn flush_data_caches(&self) {
        self.cache_flushes.set(self.cache_flushes.get() + 1);
    }
}

impl CpuControl for TestMachine {
    fn load_gdt(&self, frames: &[Mfn], entries: u32) {
        *self.gdt.borrow_mut() = (frames.to_vec(), entries);
    }
    fn load_ldt(&self, entries: u32) {
        self.ldt_entries.set(entries);
        self.ldt_pages.borrow_mut().clear();
    }
    fn map_ldt_page(&self, index: usize, frame: Mfn) {
        self.ldt_pages.borrow_mut().push((index, frame));
    }
    fn set_task_switched(&self, _on: bool) {}
    fn write_debug_register(&self, _index: usize, _value: u32) {}
    fn set_fast_trap(&self, _trap: Option<FastTrap>) {}
    fn set_kernel_stack(&self, _ss: u16, _esp: u32) {}
    fn load_io_bitmap(&self, bitmap: Option<[Mfn; 2]>) {
        self.io_bitmap.set(bitmap);
    }
    fn read_msr(&self, _register: u32) -> Result<u64, Fault> {
        Err(Fault)
    }
    fn write_msr(&self, _register: u32, _value: u64) -> Result<(), Fault> {
        Err(Fault)
    }
    fn save_fpu(&self, _into: &mut FpuState) {}
    fn load_fpu(&self, _from: &FpuState) {}
    fn data_segments(&self) -> DataSegments {
        self.segments.get()
    }
    fn load_data_segments(&self, segments: DataSegments) -> Result<(), Fault> {
        self.segments.set(segments);
        Ok(())
    }
    fn set_shared_info(&self, _frame: Mfn) {}
    fn request_exit_work(&self) {}
}

impl Clock for TestMachine {
    fn now_ns(&self) -> u64 {
        self.time_ns.get()
    }
    fn timestamp(&self) -> (u64, u64) {
        (self.time_ns.get(), self.time_ns.get())
    }
    fn tsc_hz(&self) -> u64 {
        1_000_000_000
    }
    fn wall_clock_at_boot(&self) -> (u32, u32) {
        (0, 0)
    }
    fn arm_timer(&self, deadline_ns: Option<u64>) {
        self.deadline.set(deadline_ns);
    }
    fn work_pending(&self) -> bool {
        self.entries_read.set(0);
        self.work.get() == Work::Always
    }
}

impl Console for TestMachine {
    fn write_console(&self, bytes: &[u8]) {
        self.console_output.borrow_mut().extend_from_slice(bytes);
    }
    fn written(&self) -> u64 {
        self.console_output.borrow().len() as u64
    }
    fn read_history(&self, from: u64, into: &mut [u8]) -> usize {
        let output = self.console_output.borrow();
        let text = output.get(from as usize..).unwrap_or_default();
        let count = text.len().min(into.len());
        into[..count].copy_from_slice(&text[..count]);
        count
    }
    fn history_len(&self) -> usize {
        self.console_output.borrow().len()
    }
    fn clear_history(&self) {
        self.console_output.borrow_mut().clear();
    }
    fn has_console_input(&self) -> bool {
        !self.console_input.borrow().is_empty()
    }
    fn read_console(&self, into: &mut [u8]) -> usize {
        let mut input = self.console_input.borrow_mut();
        let count = into.len().min(input.len());
        for (to, from) in into.iter_mut().zip(input.drain(..count)) {
            *to = from;
        }
        count
    }
}
