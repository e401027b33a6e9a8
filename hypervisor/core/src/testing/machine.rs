//! The machine.

use super::{cpu::Cpu, devices::Devices, tlb::StaleTlb};
use crate::{
    domain::Domain,
    mm::RecordFrame,
    platform::{Clock, Console, Records, Timestamp},
};
use guest_abi::addr::{GuestVirt, Mfn};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

/// What [`Clock::work_pending`] answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Nothing is ever pending.
    Never,
    /// Something is, once it was asked so often: an operation pauses there.
    After(u32),
    /// Something always is: every operation pauses as early as it may.
    Always,
}

/// A machine with memory, one processor, a clock, a console and what devices a test adds.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Memory, frame by frame. A frame is copied only when it is written while a copy of the machine or a snapshot has it.
    pub(super) ram: RefCell<Vec<Rc<[u64; 512]>>>,
    /// The machine-to-phys table.
    pub m2p: RefCell<Vec<u32>>,
    /// The processor's registers.
    pub cpu: Cpu,
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
    pub(super) entries_read: Cell<u32>,
    /// Most entries read between two questions for pending work.
    pub longest_stretch: Cell<u32>,
    /// Time since boot.
    pub now_ns: Cell<u64>,
    /// When the timer is to fire.
    pub timer: Cell<Option<u64>>,
    /// Bytes written to the console.
    pub output: RefCell<Vec<u8>>,
    /// How many of them its history has forgotten.
    pub forgotten: Cell<usize>,
    /// Bytes to be read from the console.
    pub input: RefCell<VecDeque<u8>>,
    /// Interrupt lines and PCI functions.
    pub devices: Devices,
}

impl Machine {
    /// A machine with `frames` frames of RAM, filled with a pattern that is not zero.
    #[must_use]
    pub fn new(frames: usize) -> Self {
        let frame = Rc::new([0x5A5A_0000_5A5A_0000; 512]);
        Self {
            ram: RefCell::new((0..frames).map(|_| Rc::clone(&frame)).collect()),
            m2p: RefCell::new(vec![0x5555_5555; frames]),
            cpu: Cpu::default(),
            tlb: RefCell::default(),
            flushes: Cell::new(0),
            page_flushes: RefCell::default(),
            cache_flushes: Cell::new(0),
            tamper: RefCell::default(),
            work: Cell::new(Work::Never),
            entries_read: Cell::new(0),
            longest_stretch: Cell::new(0),
            now_ns: Cell::new(1_000_000),
            timer: Cell::default(),
            output: RefCell::default(),
            forgotten: Cell::default(),
            input: RefCell::default(),
            devices: Devices::default(),
        }
    }

    /// Begins to measure [`Machine::longest_stretch`].
    pub fn measure_stretch(&self) {
        self.entries_read.set(0);
        self.longest_stretch.set(0);
    }
}

impl Clock for Machine {
    fn now_ns(&self) -> u64 {
        self.now_ns.get()
    }
    fn timestamp(&self) -> Timestamp {
        Timestamp {
            tsc: self.now_ns.get() * 2,
            ns: self.now_ns.get(),
            tsc_hz: self.tsc_hz(),
        }
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
        self.entries_read.set(0);
        match self.work.get() {
            Work::Never => false,
            Work::After(0) | Work::Always => true,
            Work::After(n) => {
                self.work.set(Work::After(n - 1));
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
        let count = into.len().min(input.len());
        for (to, from) in into.iter_mut().zip(input.drain(..count)) {
            *to = from;
        }
        count
    }
}

/// Records of domains are ordinary memory of the test's: nobody looks at the frames that are counted for them.
impl Records for Machine {
    fn place_record(&self, frame: RecordFrame, mut domain: Domain) -> &'static mut Domain {
        domain.record = Some(frame.mfn());
        Box::leak(Box::new(domain))
    }
    fn unplace_record(&self, record: &'static mut Domain) -> RecordFrame {
        RecordFrame::returned(record.record.expect("a record in a frame"))
    }
}
