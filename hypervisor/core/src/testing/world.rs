//! A hypervisor with domains on a [`TestMachine`].

use super::machine::TestMachine;
use crate::{
    context::Context,
    domain::{DomId, Domain},
    grant::end::{Pending, end_mappings, end_table},
    hypercall::{Args, CallResult, PackedCall, dispatch},
    hypervisor::Hypervisor,
    mm::{
        FrameInfo, FrameTable, Kind, Mm, Mmu, Owner,
        audit::{Difference, Tally, audit},
        pte::{DeniedIo, EntryRules, P, RW, US},
    },
    outcome::Outcome,
    platform::{FrameMemory, GuestMemory, Tlb},
    regs::UserRegs,
    segment::SegmentLimits,
};
use guest_abi::addr::{GuestVirt, Mfn};
use std::{boxed::Box, vec::Vec};

/// A hypervisor and its machine: frames 0 to 15 are a device's, 16 to 31 the hypervisor's, of which 24 to 27 are shown
/// to privileged domains; the others are free or domains'.
pub struct World {
    /// All state.
    pub hv: Hypervisor,
    /// The machine.
    pub machine: TestMachine,
    /// What the caller's registers are.
    pub regs: UserRegs,
}

/// A domain as [`World::add_guest`] builds it.
///
/// Frame `n` of its frames is mapped at [`Guest::va`]`(n)`, writable but for the page tables: 0 the L3, 1 the L2 of slot
/// 0, 2 the top L2, 3 the L1 at [`Guest::BASE`], 4 the L1 at address 0, which maps nothing.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Its number.
    pub id: DomId,
    /// Its slot.
    pub slot: usize,
    /// Its frames, in the order of their mapping.
    pub frames: Vec<Mfn>,
}

impl Guest {
    /// Where frame 0 is mapped.
    pub const BASE: u32 = 0xC000_0000;
    /// First frame that is not a page table.
    pub const DATA: usize = 5;

    /// Where frame `n` is mapped.
    #[must_use]
    pub const fn va(n: usize) -> u32 {
        Self::BASE + (n as u32) * 4096
    }

    /// The L3.
    #[must_use]
    pub fn l3(&self) -> Mfn {
        self.frames[0]
    }
    /// The L2 of slot 0.
    #[must_use]
    pub fn l2(&self) -> Mfn {
        self.frames[1]
    }
    /// The L2 of slot 3.
    #[must_use]
    pub fn top_l2(&self) -> Mfn {
        self.frames[2]
    }
    /// The L1 of the region at [`Guest::BASE`].
    #[must_use]
    pub fn l1(&self) -> Mfn {
        self.frames[3]
    }
    /// The L1 of the region at 0.
    #[must_use]
    pub fn low_l1(&self) -> Mfn {
        self.frames[4]
    }
}

/// An entry for `mfn` with `flags`.
#[must_use]
pub fn entry(mfn: Mfn, flags: u64) -> u64 {
    mfn.addr().raw() | flags
}

/// Everything a refused call must leave as it was.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot {
    memory: Vec<u64>,
    m2p: Vec<u32>,
    types: Vec<u64>,
    owners: Vec<u64>,
    domains: Vec<Domain>,
    root: Option<Mfn>,
}

impl core::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Snapshot")
    }
}

impl Snapshot {
    /// Leaves words of a frame out of the comparison.
    pub fn forget_word(&mut self, frame: Mfn, words: core::ops::Range<usize>) {
        for word in words {
            self.memory[frame.index() * 512 + word] = 0;
        }
    }

    /// What differs, in words.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        use std::format;
        let mut out = Vec::new();
        for (n, (a, b)) in self
            .memory
            .iter()
            .zip(&other.memory)
            .enumerate()
            .filter(|(_, (a, b))| a != b)
        {
            out.push(format!("frame {} word {}: {a:#x} -> {b:#x}", n / 512, n % 512));
        }
        for (n, (a, b)) in self
            .types
            .iter()
            .zip(&other.types)
            .enumerate()
            .filter(|(_, (a, b))| a != b)
        {
            out.push(format!("type word of {n}: {a:#x} -> {b:#x}"));
        }
        for (n, (a, b)) in self
            .owners
            .iter()
            .zip(&other.owners)
            .enumerate()
            .filter(|(_, (a, b))| a != b)
        {
            out.push(format!("owner word of {n}: {a:#x} -> {b:#x}"));
        }
        if self.m2p != other.m2p {
            out.push("machine-to-phys table".into());
        }
        if self.domains != other.domains {
            out.push("domain records".into());
        }
        if self.root != other.root {
            out.push("root".into());
        }
        out
    }
}

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
            machine: TestMachine::new(frames as usize),
            regs: UserRegs::ZERO,
        }
    }

    /// A world with one privileged guest of 40 frames, domain 0, running.
    #[must_use]
    pub fn with_dom0() -> (Self, Guest) {
        let mut world = Self::new(512);
        let dom0 = world.add_guest(0, true, 40);
        (world, dom0)
    }

    /// The page-table engine on this world.
    pub fn mmu(&mut self) -> Mmu<'_, TestMachine> {
        Mmu::new(&mut self.hv, &self.machine)
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

    /// Builds a domain of `pages` frames in the next slot, its root pinned and loaded, and makes it the one that runs.
    pub fn add_guest(&mut self, id: u16, is_privileged: bool, pages: usize) -> Guest {
        let slot = self
            .hv
            .domains
            .iter()
            .position(Option::is_none)
            .expect("a free slot");
        let shared_info = self.mmu().take_shared_page(DomId(id)).expect("a frame");
        let mut domain = Domain::new(DomId(id), shared_info);
        domain.is_privileged = is_privileged;
        domain.has_devices = is_privileged;
        domain.max_pages = if is_privileged {
            u32::MAX
        } else {
            pages as u32 + 64
        };
        domain.born = self.hv.mm.allocator.deaths();
        self.hv.insert(slot, Box::leak(Box::new(domain)));
        self.hv.current = slot;
        let frames: Vec<Mfn> = (0..pages)
            .map(|_| self.mmu().allocate(DomId(id), 0).expect("a frame"))
            .collect();
        let guest = Guest {
            id: DomId(id),
            slot,
            frames,
        };
        for (n, &mfn) in guest.frames.iter().enumerate() {
            self.machine.set_m2p(mfn, n as u32);
            let flags = if n < Guest::DATA { P | US } else { P | US | RW };
            if n < Guest::DATA {
                self.machine.zero_frame(mfn);
            }
            self.machine.poke(guest.l1(), n, entry(mfn, flags));
        }
        for n in pages..512 {
            self.machine.poke(guest.l1(), n, 0);
        }
        self.machine.poke(guest.l3(), 0, entry(guest.l2(), P));
        self.machine.poke(guest.l3(), 3, entry(guest.top_l2(), P));
        self.machine
            .poke(guest.l2(), 0, entry(guest.low_l1(), P | RW | US));
        self.machine
            .poke(guest.top_l2(), 0, entry(guest.l1(), P | RW | US));
        let owner = self.owner(slot);
        let l3 = u64::from(guest.l3().raw());
        self.mmu().pin(l3, Kind::L3, owner).expect("a good root");
        self.mmu().load_root(l3, owner).expect("a good root");
        guest
    }

    /// A third domain, small enough to fit in beside the others.
    pub fn add_bystander(&mut self) -> Guest {
        self.add_guest(9, false, Guest::DATA + 1)
    }

    /// The domain in `slot` as owner of frames.
    #[must_use]
    pub fn owner(&self, slot: usize) -> Owner {
        Owner::of(self.hv.domains[slot].as_deref().expect("a domain"))
    }

    /// Makes `guest` the one that runs.
    pub fn switch_to(&mut self, guest: &Guest) {
        self.hv.current = guest.slot;
        let root = self.hv.domains[guest.slot]
            .as_deref()
            .and_then(|d| d.vcpus[0].roots[0]);
        self.machine.activate_root(root.expect("a root"));
    }

    /// Takes all memory from `guest`, which does not run. Its grants go as far as nobody uses them.
    pub fn relinquish(&mut self, guest: &Guest) {
        assert_ne!(self.hv.current, guest.slot);
        while end_mappings(&mut self.mmu(), guest.slot).is_err() {}
        while self.mmu().relinquish(guest.slot).is_err() {}
        while end_table(&mut self.mmu(), guest.slot) == Err(Pending::Preempted) {}
    }

    /// Ends `guest`, which does not run and of which nobody maps anything.
    pub fn destroy(&mut self, guest: &Guest) {
        self.relinquish(guest);
        let domain = self.hv.remove(guest.slot).expect("a domain");
        assert_eq!(domain.total_pages, 0);
        self.hv.mm.allocator.note_death();
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
        let mut cx = Context {
            hv: &mut self.hv,
            platform: &self.machine,
            regs: &mut self.regs,
        };
        dispatch(&mut cx, PackedCall::new(number, args))
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
        Snapshot {
            memory: self.machine.memory(),
            m2p: self.machine.m2p.borrow().clone(),
            types: frames().map(typed).collect(),
            owners: frames().map(|info| info.owner_word().0).collect(),
            domains: self.hv.domains.iter().flatten().map(|d| (**d).clone()).collect(),
            root: self.machine.root(),
        }
    }
}
