//! A hypervisor with domains on the machine.

use super::machine::{Machine, PAGE};
use crate::{
    context::Context,
    domain::{DomId, Domain},
    hypercall::{self, Args},
    hypervisor::Hypervisor,
    mm::{FrameInfo, FrameTable, Mm, WINDOW_SLOTS, pte::EntryRules},
    platform::{FrameMemory, GuestMemory, GuestPod},
    regs::{UserRegs, eflags},
    sched::{self, Held, Scheduler},
    segment::SegmentLimits,
    time::TimeState,
    vcpu::Vcpu,
};
use guest_abi::{
    addr::{GuestVirt, Mfn},
    segment::Selector,
};

/// Frame of the shared page of the domain in slot 0; those of others follow.
pub const SHARED: Mfn = Mfn::new(0x100);
/// Frames that the hypervisor may take for its own tables.
const OWN_FRAMES: core::ops::Range<u32> = 4..8;
/// Top of the kernel stack that domains get: page 0x80 below is mapped.
pub const KERNEL_ESP: u32 = 0x8_1000;
/// Where the guest's kernel "runs": code at 0x40_0000, stack page 0x90.
pub const INNER_ESP: u32 = 0x9_1000;
/// A page for arguments.
pub const ARGS: u32 = 0x10_0000;

/// State, machine, and the registers of the caller.
pub struct World {
    pub hv: Hypervisor,
    pub machine: Machine,
    pub regs: UserRegs,
}

type Thunk = fn(&mut Context<'_, Machine>, Args) -> u32;

macro_rules! thunks {
    ($($number:literal)*) => { [$(hypercall::call::<Machine, $number>),*] };
}

static THUNKS: [Thunk; 23] = thunks!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22);

/// All of a [`World`] that a refused call must leave alone: everything but the counters of calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    pub domains: Vec<Option<Domain>>,
    pub current: usize,
    pub sched: Scheduler,
    pub time: TimeState,
    pub machine: Machine,
    pub regs: UserRegs,
}

impl World {
    /// Domain0 runs in ring 1, every mapped page writable, handlers registered for all vectors at 0x50_0000 +
    /// vector, for events at 0x51_0000 and for failsafe at 0x52_0000.
    pub fn new() -> Self {
        let mut world = Self {
            hv: Hypervisor::new(SegmentLimits::Truncate(0xFC40_0000)),
            machine: Machine::new(),
            regs: ring1_regs(),
        };
        let infos = (0..OWN_FRAMES.end).map(|_| FrameInfo::new()).collect();
        let table = FrameTable::new(Vec::leak(infos));
        world.hv.mm = Mm::new(table, EntryRules::NOTHING, [0; WINDOW_SLOTS]);
        world
            .hv
            .mm
            .allocator
            .add(table, Mfn::new(OWN_FRAMES.start)..Mfn::new(OWN_FRAMES.end));
        for frame in OWN_FRAMES {
            world.machine.add_frame(Mfn::new(frame));
        }
        for page in [0x80, 0x90, ARGS / PAGE, ARGS / PAGE + 1] {
            world.machine.map(page, true);
        }
        let slot = world.add_domain(DomId(0), true);
        world.hv.sched.begin(slot);
        world
    }

    /// A domain like the first in the next free slot, able to run.
    pub fn add_domain(&mut self, id: DomId, is_privileged: bool) -> usize {
        let slot = self
            .hv
            .domains
            .iter()
            .position(Option::is_none)
            .expect("a free slot");
        let shared = Mfn::new(SHARED.raw() + slot as u32);
        self.machine.add_frame(shared);
        let mut domain = Domain::new(id, shared);
        domain.is_privileged = is_privileged;
        set_up(&mut domain.vcpus[0]);
        self.hv.insert(slot, Box::leak(Box::new(domain)));
        sched::change(&mut self.hv, &self.machine, slot, |run| run.held = Held::empty());
        self.hv.sched.wants_pick = false;
        self.machine.exit_work.set(false);
        slot
    }

    pub fn cx(&mut self) -> Context<'_, Machine> {
        Context {
            hv: &mut self.hv,
            platform: &self.machine,
            regs: &mut self.regs,
        }
    }

    pub fn domain(&mut self, slot: usize) -> &mut Domain {
        self.hv.domain_at(slot).expect("a domain")
    }

    pub fn vcpu(&mut self) -> &mut Vcpu {
        let slot = self.hv.current;
        &mut self.domain(slot).vcpus[0]
    }

    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            domains: self.hv.domains.iter().map(|d| d.as_deref().cloned()).collect(),
            current: self.hv.current,
            sched: self.hv.sched.clone(),
            time: self.hv.time.clone(),
            machine: self.machine.clone(),
            regs: self.regs,
        }
    }

    /// Makes a call as the entry code does, through the thunk of its own, EAX included.
    pub fn call(&mut self, number: u32, args: Args) -> u32 {
        self.regs.rax = u64::from(number);
        let eax = match THUNKS.get(number as usize) {
            Some(thunk) => thunk(&mut self.cx(), args),
            None => hypercall::unknown(&mut self.hv),
        };
        self.regs.set_eax(eax);
        eax
    }

    /// Makes a call that must be refused with `error`, and have changed nothing.
    #[track_caller]
    pub fn refused(&mut self, number: u32, args: Args, error: guest_abi::errno::Errno) {
        let before = self.snapshot();
        let eax = self.call(number, args);
        self.regs = before.regs;
        assert_eq!(eax, error.to_eax(), "{eax:#x}");
        assert_eq!(self.snapshot(), before);
    }

    pub fn write<T: GuestPod>(&self, at: u32, value: &T) {
        self.machine.write(GuestVirt::new(at), value).expect("mapped");
    }

    pub fn read<T: GuestPod>(&self, at: u32) -> T {
        self.machine.read(GuestVirt::new(at)).expect("mapped")
    }

    pub fn shared_u8(&self, slot: u32, offset: usize) -> u8 {
        self.machine.load_u8(Mfn::new(SHARED.raw() + slot), offset)
    }

    pub fn shared_u32(&self, slot: u32, offset: usize) -> u32 {
        self.machine.load_u32(Mfn::new(SHARED.raw() + slot), offset)
    }
}

/// Handlers and a stack.
fn set_up(vcpu: &mut Vcpu) {
    for (vector, gate) in vcpu.gates.iter_mut().enumerate() {
        gate.address = 0x50_0000 + vector as u32;
    }
    vcpu.event_callback.eip = 0x51_0000;
    vcpu.failsafe_callback.eip = 0x52_0000;
    vcpu.kernel_esp = KERNEL_ESP;
    vcpu.regs = ring1_regs();
}

/// The guest's kernel, interrupted.
pub fn ring1_regs() -> UserRegs {
    UserRegs {
        rip: 0x40_0002,
        cs: Selector::FLAT_RING1_CS.raw().into(),
        rflags: (eflags::IF | eflags::RESERVED).into(),
        rsp: INNER_ESP.into(),
        ss: Selector::FLAT_RING1_DS.raw().into(),
        ..UserRegs::ZERO
    }
}

/// An application, interrupted.
pub fn ring3_regs() -> UserRegs {
    UserRegs {
        cs: Selector::FLAT_RING3_CS.raw().into(),
        rsp: 0x7000_0000,
        ss: Selector::FLAT_RING3_DS.raw().into(),
        ..ring1_regs()
    }
}
