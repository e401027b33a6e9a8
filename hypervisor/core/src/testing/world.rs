//! A hypervisor with domains on a [`Machine`].

use super::{
    guest::{Guest, entry},
    machine::Machine,
};
use crate::{
    context::Context,
    domain::{DomId, Domain},
    hypercall::{self, Args, CallResult, PackedCall, dispatch},
    hypervisor::Hypervisor,
    mm::{
        FrameInfo, FrameTable, Mm, Mmu, Owner,
        audit::{Difference, Tally, audit},
        pte::{DeniedIo, EntryRules, P, RW, US},
    },
    outcome::Outcome,
    platform::{FrameMemory, GuestMemory, GuestPod, Tlb},
    regs::{UserRegs, eflags},
    sched::{self, Held},
    segment::SegmentLimits,
    vcpu::Vcpu,
};
use guest_abi::{
    addr::{GuestVirt, Mfn},
    errno::Errno,
    segment::Selector,
};
use std::{boxed::Box, vec::Vec};
use zerocopy::{Immutable, IntoBytes};

/// Top of the kernel stack that vCPUs have; the page below is mapped in [`World::running`].
pub const KERNEL_ESP: u32 = 0x8_1000;
/// Stack pointer of an interrupted kernel; the page below is mapped too.
pub const INNER_ESP: u32 = 0x9_1000;
/// Two pages for arguments.
pub const ARGS: u32 = 0x10_0000;

/// A hypervisor and its machine: frames 0 to 15 are a device's, 16 to 31 the hypervisor's, of which 24 to 27 are shown
/// to privileged domains; the others are free or domains'.
pub struct World {
    /// All state.
    pub hv: Hypervisor,
    /// The machine.
    pub machine: Machine,
    /// What the caller's registers are.
    pub regs: UserRegs,
}

type Thunk = fn(&mut Context<'_, Machine>, Args) -> u32;

macro_rules! thunks {
    ($($number:literal)*) => { [$(hypercall::call::<Machine, $number>),*] };
}

static THUNKS: [Thunk; 23] = thunks!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22);

/// Worlds and their domains.
impl World {
    /// A world of `frames` frames without domains.
    #[must_use]
    pub fn new(frames: u32) -> Self {
        let infos: Vec<FrameInfo> = (0..frames).map(|_| FrameInfo::new()).collect();
        let table = FrameTable::new(Vec::leak(infos));
        let mut denied = DeniedIo::new();
        denied.push((0xFEE00, 0xFEE01));
        let rules = EntryRules::new(u64::from(frames), 36, true, denied);
        let window = core::array::from_fn(|slot| entry(Mfn::new(24), P | ((slot as u64) << 52)));
        let mut mm = Mm::new(table, rules, window);
        table.reserve_for_io(Mfn::new(0)..Mfn::new(16));
        table.reserve(Mfn::new(16)..Mfn::new(32));
        table.show_read_only(Mfn::new(24)..Mfn::new(28));
        mm.allocator.add(table, Mfn::new(32)..Mfn::new(frames));
        let mut hv = Hypervisor::new(SegmentLimits::Truncate(0xFC40_0000));
        hv.mm = mm;
        Self {
            hv,
            machine: Machine::new(frames as usize),
            regs: ring1_regs(),
        }
    }

    /// A world with one privileged guest of 40 frames, domain 0, running.
    #[must_use]
    pub fn with_dom0() -> (Self, Guest) {
        let mut world = Self::new(512);
        let dom0 = world.add_guest(0, true, 40);
        world.hv.sched.begin(dom0.slot);
        (world, dom0)
    }

    /// A world for tests that care little for memory: Domain0 runs in ring 1, with pages of zeroes below [`KERNEL_ESP`]
    /// and [`INNER_ESP`] and two at [`ARGS`].
    #[must_use]
    pub fn running() -> Self {
        let (mut world, dom0) = Self::with_dom0();
        let (table, owner) = (dom0.low_l1(), world.owner(dom0.slot));
        let pages = [KERNEL_ESP - 4096, INNER_ESP - 4096, ARGS, ARGS + 4096];
        for (at, &frame) in pages.into_iter().zip(&dom0.frames[Guest::DATA..]) {
            world.machine.zero(frame);
            let mapped = world
                .mmu()
                .update_l1(table, at as usize / 4096, entry(frame, P | RW | US), owner);
            mapped.expect("a frame of its own");
        }
        world
    }

    /// Adds a domain without memory in the next free slot, able to run, with [handlers](handlers) registered. It has no
    /// tables either: its addresses are Domain0's.
    pub fn add_domain(&mut self, id: DomId, is_privileged: bool) -> usize {
        let slot = self
            .hv
            .domains
            .iter()
            .position(Option::is_none)
            .expect("a free slot");
        let shared_info = self.mmu().take_shared_page(id).expect("a frame");
        self.machine.zero(shared_info);
        let mut domain = Domain::new(id, shared_info);
        domain.is_privileged = is_privileged;
        handlers(&mut domain.vcpus[0]);
        domain.vcpus[0].roots[0] = self.hv.domain_in(0).and_then(|dom0| dom0.vcpus[0].roots[0]);
        self.hv.insert(slot, Box::leak(Box::new(domain)));
        sched::change(&mut self.hv, &self.machine, slot, |run| run.held = Held::empty());
        self.hv.sched.wants_pick = false;
        self.machine.cpu.exit_work.set(false);
        slot
    }
}

/// Handlers for all vectors at 0x50_0000 + vector, for events at 0x51_0000 and for failsafe at 0x52_0000, and a stack.
fn handlers(vcpu: &mut Vcpu) {
    for (vector, gate) in vcpu.gates.iter_mut().enumerate() {
        gate.address = 0x50_0000 + vector as u32;
    }
    vcpu.event_callback.eip = 0x51_0000;
    vcpu.failsafe_callback.eip = 0x52_0000;
    vcpu.kernel_esp = KERNEL_ESP;
    vcpu.regs = ring1_regs();
}

/// The guest's kernel, interrupted.
#[must_use]
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
#[must_use]
pub fn ring3_regs() -> UserRegs {
    UserRegs {
        cs: Selector::FLAT_RING3_CS.raw().into(),
        rsp: 0x7000_0000,
        ss: Selector::FLAT_RING3_DS.raw().into(),
        ..ring1_regs()
    }
}

/// Ways in.
impl World {
    /// What the entry code hands to a handler.
    pub fn cx(&mut self) -> Context<'_, Machine> {
        Context {
            hv: &mut self.hv,
            platform: &self.machine,
            regs: &mut self.regs,
        }
    }

    /// The page-table engine on this world.
    pub fn mmu(&mut self) -> Mmu<'_, Machine> {
        Mmu::new(&mut self.hv, &self.machine)
    }

    /// Makes call `number` as the running domain, again and again while it pauses.
    ///
    /// # Errors
    /// Those of the call.
    pub fn call(&mut self, number: u32, args: Args) -> CallResult {
        let mut args = args;
        for _ in 0..1_000_000 {
            match self.call_once(number, args) {
                Ok(Outcome::Again(next)) => args = next,
                other => return other,
            }
        }
        panic!("call {number} never ends");
    }

    /// Makes call `number` as the running domain, once.
    ///
    /// # Errors
    /// Those of the call.
    pub fn call_once(&mut self, number: u32, args: Args) -> CallResult {
        dispatch::<_, false>(&mut self.cx(), PackedCall::new(number, args))
    }

    /// Makes a call as the entry code does, once and through the thunk of its own, and gives the new EAX.
    pub fn hypercall(&mut self, number: u32, args: Args) -> u32 {
        self.regs.rax = u64::from(number);
        let eax = match THUNKS.get(number as usize) {
            Some(thunk) => thunk(&mut self.cx(), args),
            None => hypercall::unknown(&mut self.hv),
        };
        self.regs.set_eax(eax);
        eax
    }

    /// Makes such a call that must be refused with `error`, and have changed nothing.
    #[track_caller]
    pub fn refused(&mut self, number: u32, args: Args, error: Errno) {
        let (before, regs) = (self.snapshot(), self.regs);
        let eax = self.hypercall(number, args);
        self.regs = regs;
        assert_eq!(eax, error.to_eax(), "{eax:#x}");
        self.assert_unchanged_since(&before);
    }
}

/// Looking at it.
impl World {
    /// The domain in `slot`.
    pub fn domain(&mut self, slot: usize) -> &mut Domain {
        self.hv.domain_at(slot).expect("a domain")
    }

    /// The vCPU that runs.
    pub fn vcpu(&mut self) -> &mut Vcpu {
        &mut self.hv.running_mut().vcpus[0]
    }

    /// The domain in `slot` as owner of frames.
    #[must_use]
    pub fn owner(&self, slot: usize) -> Owner {
        Owner::of(self.hv.domain_in(slot).expect("a domain"))
    }

    /// The frame table.
    #[must_use]
    pub fn table(&self) -> FrameTable {
        self.hv.mm.frames
    }

    /// What is known about `mfn`.
    #[must_use]
    pub fn info(&self, mfn: Mfn) -> &'static FrameInfo {
        self.hv.mm.frames.at(mfn)
    }

    /// What an audit finds wrong.
    #[must_use]
    pub fn audit(&self) -> Vec<Difference> {
        let mut found = Vec::new();
        let mut scratch = std::vec![Tally::default(); self.table().len() as usize];
        audit(&self.hv, &self.machine, &mut scratch, |difference| {
            found.push(difference)
        });
        found
    }

    /// The page that the domain in `slot` shares with the hypervisor.
    #[must_use]
    pub fn shared(&self, slot: usize) -> Mfn {
        self.hv.domain_in(slot).expect("a domain").shared_info
    }

    /// A byte of that page.
    #[must_use]
    pub fn shared_u8(&self, slot: usize, offset: usize) -> u8 {
        self.machine.load_u8(self.shared(slot), offset)
    }

    /// A word of that page.
    #[must_use]
    pub fn shared_u32(&self, slot: usize, offset: usize) -> u32 {
        self.machine.load_u32(self.shared(slot), offset)
    }
}

/// The running guest's memory.
impl World {
    /// Reads at an address that is mapped.
    #[must_use]
    pub fn read<T: GuestPod>(&self, at: u32) -> T {
        self.machine.read(GuestVirt::new(at)).expect("mapped")
    }

    /// Writes at an address that is mapped writable.
    pub fn write<T: IntoBytes + Immutable>(&self, at: u32, value: &T) {
        let done = self.machine.write_bytes(GuestVirt::new(at), value.as_bytes());
        done.expect("mapped");
    }

    /// Reads a word as the guest's kernel.
    #[must_use]
    pub fn guest_read(&self, at: u32) -> Option<u32> {
        self.machine.read::<u32>(GuestVirt::new(at)).ok()
    }

    /// Writes a word as the guest's kernel; whether that was possible.
    pub fn guest_write(&self, at: u32, value: u32) -> bool {
        self.machine.write::<u32>(GuestVirt::new(at), &value).is_ok()
    }

    /// Makes the page at `at` read-only.
    pub fn protect(&mut self, at: u32) {
        let owner = self.owner(self.hv.current);
        let mut mmu = Mmu::new(&mut self.hv, &self.machine);
        let (table, index) = mmu.find_l1(GuestVirt::new(at)).expect("a table");
        let entry = self.machine.peek(table, index) & !RW;
        mmu.update_l1(table, index, entry, owner).expect("its own page");
        self.machine.flush();
    }
}
