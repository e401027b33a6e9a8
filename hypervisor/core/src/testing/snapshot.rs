//! All that a refused call must leave as it was.

use super::{cpu::Cpu, devices::Devices, world::World};
use crate::{
    domain::Domain, event::Lines, io_rights::given::Given, mm::FrameInfo, regs::UserRegs, sched::Scheduler,
    time::TimeState,
};
use guest_abi::addr::Mfn;
use std::{collections::VecDeque, format, rc::Rc, string::String, vec::Vec};

/// State of the hypervisor and the machine at one moment. Not in it: what the processor remembers of page tables, which
/// may change at any time, and what only counts (calls, flushes, output of the log).
#[derive(Clone)]
pub struct Snapshot {
    memory: Vec<Rc<[u64; 512]>>,
    m2p: Vec<u32>,
    types: Vec<u64>,
    owners: Vec<u64>,
    domains: Vec<Option<Domain>>,
    current: usize,
    sched: Scheduler,
    time: TimeState,
    lines: Lines,
    given: Given,
    regs: UserRegs,
    cpu: Cpu,
    timer: Option<u64>,
    output: (Vec<u8>, usize),
    input: VecDeque<u8>,
    devices: Devices,
}

impl World {
    /// Everything that a refused call must leave as it was. The kind and stamp of a frame without typed use do not count:
    /// they only say what it was used as last.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let frames = || (0..self.table().len()).map(|n| self.info(Mfn::new(n as u32)));
        let typed = |info: &FrameInfo| {
            let word = info.type_word();
            if info.owner_word().is_free() || !word.is_held() {
                0
            } else {
                word.with_stamp(0).0
            }
        };
        // Where a call takes a frame and gives it back, it is free since a later time.
        const STAMP: u64 = 0xFF_FFFF << 32;
        let owned = |info: &FrameInfo| match info.owner_word() {
            word if word.is_free() => word.0 & !STAMP,
            word => word.0,
        };
        let (hv, machine) = (&self.hv, &self.machine);
        let domains = hv.domains.iter().map(|domain| domain.as_deref().cloned());
        Snapshot {
            memory: machine.ram.borrow().clone(),
            m2p: machine.m2p.borrow().clone(),
            types: frames().map(typed).collect(),
            owners: frames().map(owned).collect(),
            domains: domains.collect(),
            current: hv.current,
            sched: hv.sched.clone(),
            time: hv.time.clone(),
            lines: hv.lines.clone(),
            given: hv.given.clone(),
            regs: self.regs,
            cpu: machine.cpu.clone(),
            timer: machine.timer.get(),
            output: (machine.output.borrow().clone(), machine.forgotten.get()),
            input: machine.input.borrow().clone(),
            devices: machine.devices.clone(),
        }
    }

    /// Fails unless everything is as it was.
    #[track_caller]
    pub fn assert_unchanged_since(&self, before: &Snapshot) {
        assert_eq!(before.differences(&self.snapshot()), Vec::<String>::new());
    }
}

impl Snapshot {
    /// Leaves words of a frame out of the comparison.
    pub fn forget_word(&mut self, frame: Mfn, words: core::ops::Range<usize>) {
        Rc::make_mut(&mut self.memory[frame.index()])[words].fill(0);
    }

    /// What differs, in words.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut out = Vec::new();
        for (n, (a, b)) in self.memory.iter().zip(&other.memory).enumerate() {
            if !Rc::ptr_eq(a, b) {
                list(&mut out, &format!("frame {n} word"), &a[..], &b[..]);
            }
        }
        list(&mut out, "type word of", &self.types, &other.types);
        list(&mut out, "owner word of", &self.owners, &other.owners);
        let parts = [
            ("machine-to-phys table", self.m2p == other.m2p),
            ("domain records", self.domains == other.domains),
            ("who runs", self.current == other.current),
            ("scheduler", self.sched == other.sched),
            ("timers", (&self.time, self.timer) == (&other.time, other.timer)),
            ("interrupt lines", self.lines == other.lines),
            ("what is given away", self.given == other.given),
            ("the caller's registers", self.regs == other.regs),
            ("the processor's registers", self.cpu == other.cpu),
            (
                "console",
                (&self.output, &self.input) == (&other.output, &other.input),
            ),
            ("devices", self.devices == other.devices),
        ];
        let differing = parts.into_iter().filter(|(_, is_same)| !is_same);
        out.extend(differing.map(|(name, _)| name.into()));
        out
    }
}

/// Adds a line for each word that differs.
fn list(out: &mut Vec<String>, what: &str, before: &[u64], after: &[u64]) {
    for (n, (a, b)) in before.iter().zip(after).enumerate().filter(|(_, (a, b))| a != b) {
        out.push(format!("{what} {n}: {a:#x} -> {b:#x}"));
    }
}
