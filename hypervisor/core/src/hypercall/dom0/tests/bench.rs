//! Domain0 and what it needs to make other domains: blocks in its memory, its calls, its builder.

use crate::{
    domain::{DomId, Domain},
    error::HvError,
    hypervisor::Hypervisor,
    outcome::Outcome,
    platform::GuestPod,
    testing::{Guest, Snapshot, World},
};
use guest_abi::{
    addr::{GuestVirt, Mfn, Pfn},
    domain::DomId as WireId,
    domctl::{
        BuildDomain, CreateDomain, DestroyDomain, Dom0Args, Dom0Op, GetMemList, Personality, UnpauseDomain,
    },
    mmu::{Extended, MmuUpdate},
    segment::Selector,
    vcpu::{Callback, CpuContext},
};

/// Where the argument block lies; the page behind it is for whatever the command points to.
pub const BLOCK: u32 = Guest::va(Guest::DATA);
/// A page for what a command points to.
pub const BUFFER: u32 = Guest::va(Guest::DATA + 1);

/// Domain0 on a machine.
pub struct Bench {
    pub world: World,
    pub dom0: Guest,
}

impl Bench {
    pub fn new() -> Self {
        let (world, dom0) = World::with_dom0();
        let mut bench = Self { world, dom0 };
        bench.world.hv.mm.ram_frames = 512;
        bench.world.hv.domain_at(0).expect("Domain0").building = crate::life::Building::Built;
        bench
    }

    pub fn hv(&mut self) -> &mut Hypervisor {
        &mut self.world.hv
    }

    pub fn domain(&mut self, id: u16) -> &mut Domain {
        let slot = self.world.hv.slot_of_any(DomId(id)).expect("a domain");
        self.world.hv.domain_at(slot).expect("a domain")
    }

    pub fn free(&self) -> u32 {
        self.world.hv.mm.allocator.free_frames()
    }

    /// Writes into Domain0's memory.
    pub fn write<T: zerocopy::IntoBytes + zerocopy::Immutable>(&self, at: u32, value: &T) {
        self.world.write(at, value);
    }

    /// Reads from Domain0's memory.
    pub fn read<T: GuestPod>(&self, at: u32) -> T {
        self.world.read(at)
    }

    /// Makes a command of call 7, again and again while it pauses, and gives its block back.
    pub fn op<A: Dom0Args>(&mut self, args: &A) -> Result<A, HvError> {
        self.write(BLOCK, &Dom0Op::new(args));
        match self.world.call(7, [BLOCK, 0x1234_5678, 0xC0DE_0001, 3, 4])? {
            Outcome::Return(0) => Ok(self.read::<Dom0Op>(BLOCK).args()),
            other => panic!("{other:?}"),
        }
    }

    /// Makes a command that must be refused with `why`, and have changed nothing.
    #[track_caller]
    pub fn refused<A: Dom0Args>(&mut self, args: &A, why: HvError) {
        self.write(BLOCK, &Dom0Op::new(args));
        let before = self.snapshot();
        let result = self.world.call(7, [BLOCK, 0, 0, 0, 0]);
        assert_eq!(result, Err(why));
        self.world.assert_unchanged_since(&before);
    }

    pub fn snapshot(&self) -> Snapshot {
        self.world.snapshot()
    }

    #[track_caller]
    pub fn assert_sound(&self) {
        assert_eq!(self.world.audit(), []);
    }

    pub fn create(&mut self, id: u16, pages: u32) -> Result<u16, HvError> {
        let args = CreateDomain {
            memory_kb: u64::from(pages) * 4,
            cpu: -1,
            domain: WireId::new(id),
            personality: Personality::V2,
        };
        Ok(self.op(&args)?.domain.raw())
    }

    pub fn destroy(&mut self, id: u16) -> Result<(), HvError> {
        let args = DestroyDomain {
            domain: WireId::new(id),
            pad: 0,
        };
        self.op(&args).map(drop)
    }

    pub fn unpause(&mut self, id: u16) -> Result<(), HvError> {
        let args = UnpauseDomain {
            domain: WireId::new(id),
            pad: 0,
        };
        self.op(&args).map(drop)
    }

    /// The frames of domain `id`.
    pub fn frames(&mut self, id: u16) -> Vec<Mfn> {
        let args = GetMemList {
            domain: WireId::new(id),
            max_pfns: 1024,
            buffer: GuestVirt::new(BUFFER),
            ..GetMemList::default()
        };
        let count = self.op(&args).expect("a domain").num_pfns;
        (0..count).map(|n| Mfn::new(self.read(BUFFER + 4 * n))).collect()
    }

    /// Requests about the frames of domain `id`.
    pub fn for_domain(&mut self, id: u16, requests: &[MmuUpdate]) -> Result<Outcome, HvError> {
        let foreign = MmuUpdate::extended(Extended::SetForeignDom {
            domain: WireId::new(id),
        });
        for (n, request) in core::iter::once(&foreign).chain(requests).enumerate() {
            self.write(BUFFER + 16 * n as u32, request);
        }
        self.world.call(1, [BUFFER, requests.len() as u32 + 1, 0, 0, 0])
    }

    /// Fills the tables of domain `id` as [`World::add_guest`] does, numbers its frames and pins its root.
    pub fn fill(&mut self, id: u16) -> Guest {
        let frames = self.frames(id);
        let slot = self.world.hv.slot_of(DomId(id)).expect("a domain");
        let guest = Guest {
            id: DomId(id),
            slot,
            frames,
        };
        guest.write_tables(&self.world.machine);
        let mut requests: Vec<_> = (0..)
            .zip(&guest.frames)
            .map(|(pfn, &mfn)| MmuUpdate::machphys(mfn, Pfn::new(pfn)))
            .collect();
        requests.push(MmuUpdate::extended(Extended::Pin {
            level: 3,
            frame: guest.l3().addr(),
        }));
        assert_eq!(self.for_domain(id, &requests), Ok(Outcome::Return(0)));
        guest
    }

    pub fn build(&mut self, id: u16, context: &CpuContext) -> Result<(), HvError> {
        self.write(BUFFER, context);
        let args = BuildDomain {
            domain: WireId::new(id),
            pad: 0,
            ctxt: GuestVirt::new(BUFFER),
        };
        self.op(&args).map(drop)
    }

    /// Makes domain `id` with `pages` pages and builds it.
    pub fn make(&mut self, id: u16, pages: u32) -> Guest {
        assert_eq!(self.create(id, pages), Ok(id));
        let guest = self.fill(id);
        assert_eq!(self.build(id, &context(&guest)), Ok(()));
        guest
    }
}

/// A context in which `guest` begins to run.
pub fn context(guest: &Guest) -> CpuContext {
    let flat = Callback {
        cs: Selector::FLAT_RING1_CS,
        ..Callback::default()
    };
    let data = u32::from(Selector::FLAT_RING1_DS.raw());
    let mut context = CpuContext {
        pt_base: guest.l3().addr(),
        kernel_ss: data,
        kernel_esp: Guest::va(Guest::DATA + 1),
        event_callback: flat,
        failsafe_callback: flat,
        ..CpuContext::default()
    };
    let regs = &mut context.regs;
    (regs.cs, regs.eflags) = (Selector::FLAT_RING1_CS.raw().into(), 0x202);
    (regs.eip, regs.esp) = (Guest::BASE, context.kernel_esp);
    (regs.ss, regs.ds, regs.es, regs.fs, regs.gs) = (data, data, data, data, data);
    context
}
