//! What is refused, by which error, with nothing changed.

use super::bench::{BUFFER, Bench, context};
use crate::{domain::DomId, error::HvError, sched::Held};
use guest_abi::{
    addr::{GuestVirt, MachAddr, Mfn},
    domain::DomId as WireId,
    domctl::{
        BuildDomain, CreateDomain, DestroyDomain, GetCrash, GetDomainInfo, GetMemList, GetPageFrameInfo,
        GetPageFrameInfo2, GetTbufs, IoMemPermission, IoPortPermission, IrqPermission, Msr, PauseDomain,
        PciDevAccess, Personality, PinCpuDomain, ReadConsole, SetContext, SetDomainInitialMem,
        SetDomainMaxMem, SetDomainVmAssist, UnpauseDomain,
    },
    segment::Selector,
    trap::TrapInfo,
    vcpu::{ContextFlags, CpuContext},
    vm_assist::{AssistCmd, AssistType},
};

const NOBODY: WireId = WireId::new(77);
const SELF: WireId = WireId::DOM0;

/// Calls `bench.refused` for each block.
macro_rules! refuse {
    ($bench:ident, $why:expr; $($args:expr),+ $(,)?) => { $( $bench.refused(&$args, $why); )+ };
}

#[test]
fn a_domain_that_does_not_exist() {
    let mut bench = Bench::new();
    for domain in [
        NOBODY,
        WireId::SELF,
        WireId::IO,
        WireId::XEN,
        WireId::new(0x7FFE),
        WireId::new(0xFFFF),
    ] {
        refuse!(bench, HvError::NoSuchDomain;
            DestroyDomain { domain, ..Default::default() },
            PauseDomain { domain, ..Default::default() },
            UnpauseDomain { domain, ..Default::default() },
            BuildDomain { domain, ..Default::default() },
            SetContext { domain, ..Default::default() },
            GetMemList { domain, ..Default::default() },
            SetDomainInitialMem { domain, ..Default::default() },
            SetDomainMaxMem { domain, ..Default::default() },
            GetPageFrameInfo2 { domain, ..Default::default() },
            SetDomainVmAssist { domain, ..Default::default() },
            PinCpuDomain { domain, ..Default::default() },
            GetCrash { domain, ..Default::default() },
            IoPortPermission { domain, ..Default::default() },
            IoMemPermission { domain, ..Default::default() },
            IrqPermission { domain, ..Default::default() },
            PciDevAccess { domain, ..Default::default() },
            GetDomainInfo { domain: WireId::new(domain.raw().max(1)), ..Default::default() },
        );
        refuse!(bench, HvError::Invalid; GetPageFrameInfo { domain, ..Default::default() });
    }
}

#[test]
fn pads_that_are_not_0() {
    let mut bench = Bench::new();
    let domain = SELF;
    refuse!(bench, HvError::Invalid;
        DestroyDomain { domain, pad: 1 },
        PauseDomain { domain, pad: 1 },
        UnpauseDomain { domain, pad: 1 },
        BuildDomain { domain, pad: 1, ..Default::default() },
        SetContext { domain, pad: 1, ..Default::default() },
        GetMemList { domain, pad: 1, ..Default::default() },
        SetDomainInitialMem { domain, pad0: 1, ..Default::default() },
        SetDomainInitialMem { domain, pad1: 1, ..Default::default() },
        SetDomainMaxMem { domain, pad0: 1, ..Default::default() },
        SetDomainMaxMem { domain, pad1: 1, ..Default::default() },
        GetPageFrameInfo { domain, pad: 1, ..Default::default() },
        GetPageFrameInfo2 { domain, pad: 1, ..Default::default() },
        SetDomainVmAssist { domain, pad: 1, ..Default::default() },
        PinCpuDomain { domain, pad: 1, ..Default::default() },
        GetCrash { domain, pad: 1, ..Default::default() },
        IoPortPermission { domain, pad: 1, ..Default::default() },
        IoMemPermission { domain, pad: 1, ..Default::default() },
        IrqPermission { domain, pad: 1, ..Default::default() },
        PciDevAccess { domain, pad: 1, ..Default::default() },
        Msr { pad: 1, cpu_mask: 1, ..Default::default() },
    );
}

#[test]
fn oneself() {
    let mut bench = Bench::new();
    let domain = SELF;
    refuse!(bench, HvError::Invalid;
        DestroyDomain { domain, pad: 0 },
        PauseDomain { domain, pad: 0 },
        PinCpuDomain { domain, ..Default::default() },
        SetContext { domain, ..Default::default() },
        BuildDomain { domain, ..Default::default() },
        SetDomainInitialMem { domain, ..Default::default() },
    );
    assert_eq!(bench.unpause(0), Ok(()), "it is not paused");
}

#[test]
fn arguments_that_make_no_sense() {
    let mut bench = Bench::new();
    let create = CreateDomain {
        memory_kb: 4,
        cpu: -1,
        domain: WireId::new(5),
        personality: Personality::V2,
    };
    let domain = SELF;
    refuse!(bench, HvError::Invalid;
        CreateDomain { personality: Personality::new(0), ..create },
        CreateDomain { personality: Personality::new(4), ..create },
        CreateDomain { cpu: -2, ..create },
        PinCpuDomain { domain, cpu: -2, pad: 0 },
        ReadConsole { flags: 2, ..Default::default() },
        Msr { write: 2, cpu_mask: 1, ..Default::default() },
        Msr { cpu_mask: 2, msr: 0x10, ..Default::default() },
        Msr { cpu_mask: 1, msr: 0x10, ..Default::default() },
        IoPortPermission { domain, allow: 2, ..Default::default() },
        IoPortPermission { domain, allow: 1, first_port: 0xFFFF, nr_ports: 2, pad: 0 },
        IoPortPermission { domain, allow: 1, first_port: u32::MAX, nr_ports: 2, pad: 0 },
        IoMemPermission { domain, allow: 2, nr_frames: 1, ..Default::default() },
        IoMemPermission { domain, allow: 1, ..Default::default() },
        IrqPermission { domain, allow: 2, ..Default::default() },
        IrqPermission { domain, allow: 1, irq: 16, pad: 0 },
        PciDevAccess { domain, bus: 256, ..Default::default() },
        PciDevAccess { domain, allow: 2, ..Default::default() },
    );
    refuse!(bench, HvError::NoMemory;
        CreateDomain { memory_kb: u64::MAX, ..create },
        CreateDomain { memory_kb: 1 << 34, ..create },
    );
    refuse!(bench, HvError::NoData; GetTbufs::default(), GetCrash { domain, ..Default::default() });
    refuse!(bench, HvError::NoDevice; PciDevAccess { domain, allow: 1, ..Default::default() });
    refuse!(bench, HvError::TooBig; GetPageFrameInfo2 { domain, num: 1025, ..Default::default() });
    refuse!(bench, HvError::NotImplemented;
        SetDomainVmAssist { domain, cmd: AssistCmd::ENABLE, kind: AssistType::FOUR_GB_SEGMENTS, pad: 0 });
    refuse!(bench, HvError::Denied;
        Msr { cpu_mask: 1, msr: 0xC000_0080, ..Default::default() },
        Msr { write: 1, cpu_mask: 1, msr: 0x10, ..Default::default() });
}

#[test]
fn pointers_that_lead_nowhere() {
    let mut bench = Bench::new();
    bench.make(1, 16);
    assert_eq!(bench.create(2, 16), Ok(2));
    let (built, fresh) = (WireId::new(1), WireId::new(2));
    bench.world.machine.output.borrow_mut().push(b'x');
    for at in [0, 0xFBFF_FFFF, 0xFC00_0000, u32::MAX].map(GuestVirt::new) {
        refuse!(bench, HvError::Fault;
            BuildDomain { domain: fresh, ctxt: at, pad: 0 },
            SetContext { domain: built, ctxt: at, pad: 0 },
            GetMemList { domain: built, max_pfns: 1, buffer: at, ..Default::default() },
            GetPageFrameInfo2 { domain: built, num: 1, array: at, pad: 0 },
            ReadConsole { buffer: at, count: 1, flags: 0 },
        );
        if at.raw() != 0 {
            refuse!(bench, HvError::Fault; GetDomainInfo { domain: built, ctxt: at, ..Default::default() });
        }
    }
}

#[test]
fn a_running_domain_has_its_context_to_itself() {
    let mut bench = Bench::new();
    let guest = bench.make(1, 16);
    bench.write(BUFFER, &context(&guest));
    let domain = WireId::new(1);
    let set = SetContext {
        domain,
        ctxt: GuestVirt::new(BUFFER),
        pad: 0,
    };
    bench.domain(1).run.held = Held::BLOCKED;
    bench.refused(&set, HvError::Invalid);
    bench.domain(1).run.held = Held::PAUSED;
    assert_eq!(bench.op(&set).map(drop), Ok(()));
    refuse!(bench, HvError::Invalid;
        BuildDomain { domain, ctxt: GuestVirt::new(BUFFER), pad: 0 },
        SetDomainInitialMem { domain, initial_memkb: 400, ..Default::default() },
    );
}

#[test]
fn every_field_of_a_context_is_judged() {
    let mut bench = Bench::new();
    assert_eq!(bench.create(1, 16), Ok(1));
    let guest = bench.fill(1);
    let ring0 = u32::from(Selector::FLAT_RING1_CS.raw() & !3);
    let bad_gate = |cs| TrapInfo {
        vector: 9,
        address: 1,
        cs: Selector::new(cs),
        ..TrapInfo::default()
    };
    type Spoil<'a> = Box<dyn Fn(&mut CpuContext) + 'a>;
    let spoils: Vec<(&str, Spoil<'_>)> = vec![
        ("flags", Box::new(|c| c.flags = ContextFlags::from_bits_retain(4))),
        ("cs of ring 0", Box::new(|c| c.regs.cs = ring0)),
        ("ss of ring 0", Box::new(|c| c.regs.ss = 0)),
        ("wide selector", Box::new(|c| c.regs.ds |= 0x1_0000)),
        ("wide selector", Box::new(|c| c.kernel_ss |= 0x1_0000)),
        ("kernel ss of ring 0", Box::new(|c| c.kernel_ss = 0)),
        ("pad", Box::new(|c| c.regs.pad = 1)),
        ("IF", Box::new(|c| c.regs.eflags = 2)),
        ("IOPL", Box::new(|c| c.regs.eflags |= 1 << 12)),
        ("NT", Box::new(|c| c.regs.eflags |= 1 << 14)),
        ("VM", Box::new(|c| c.regs.eflags |= 1 << 17)),
        ("VIF", Box::new(|c| c.regs.eflags |= 1 << 19)),
        ("bit 31", Box::new(|c| c.regs.eflags |= 1 << 31)),
        (
            "MXCSR",
            Box::new(|c| {
                c.flags = ContextFlags::FPU_VALID;
                c.fpu[26] = 1;
            }),
        ),
        ("gate", Box::new(|c| c.trap_table[9] = bad_gate(8))),
        ("gate", Box::new(|c| c.trap_table[255] = bad_gate(0xE00B))),
        ("callback", Box::new(|c| c.event_callback.cs = Selector::new(0))),
        (
            "callback",
            Box::new(|c| c.failsafe_callback.cs = Selector::new(0x10)),
        ),
        ("callback's pad", Box::new(|c| c.event_callback.pad = 1)),
        ("fast trap", Box::new(|c| c.fast_trap_vector = 0x80)),
        ("fast trap", Box::new(|c| c.fast_trap_vector = 0x100)),
        ("LDT", Box::new(|c| c.ldt_base = GuestVirt::new(1))),
        ("LDT", Box::new(|c| c.ldt_entries = 8193)),
        (
            "LDT",
            Box::new(|c| (c.ldt_base, c.ldt_entries) = (GuestVirt::new(0xFFFF_F000), 8192)),
        ),
        ("GDT", Box::new(|c| c.gdt_entries = 7169)),
        ("GDT", Box::new(|c| c.gdt_frames[0] = Mfn::new(1))),
        (
            "GDT of ours",
            Box::new(|c| (c.gdt_entries, c.gdt_frames[0]) = (1, Mfn::new(17))),
        ),
        (
            "GDT in a table",
            Box::new(|c| (c.gdt_entries, c.gdt_frames[0]) = (1, guest.l1())),
        ),
        (
            "root",
            Box::new(|c| c.pt_base = MachAddr::new(guest.l3().addr().raw() + 8)),
        ),
        ("root", Box::new(|c| c.pt_base = MachAddr::new(0))),
        ("root", Box::new(|c| c.pt_base = MachAddr::new(u64::MAX << 12))),
        ("root", Box::new(|c| c.pt_base = guest.top_l2().addr())),
        ("DR4", Box::new(|c| c.debug_regs[4] = 1)),
        ("DR0", Box::new(|c| c.debug_regs[0] = 0xFC00_0000)),
        ("DR7", Box::new(|c| c.debug_regs[7] = 1 << 13)),
    ];
    for (what, spoil) in spoils {
        let mut bad = context(&guest);
        spoil(&mut bad);
        bench.write(BUFFER, &bad);
        bench.write(super::bench::BLOCK, &0_u64);
        let before = bench.snapshot();
        let args = BuildDomain {
            domain: WireId::new(1),
            ctxt: GuestVirt::new(BUFFER),
            pad: 0,
        };
        let why = bench.op(&args).expect_err(what);
        assert_eq!(why.errno(), guest_abi::errno::Errno::Inval, "{what}: {why:?}");
        bench.write(super::bench::BLOCK, &[0_u8; 80]);
        let mut now = bench.snapshot();
        let mut before = before;
        let block = bench.dom0.frames[crate::testing::Guest::DATA];
        before.forget_word(block, 0..10);
        now.forget_word(block, 0..10);
        let differences = before.differences(&now);
        assert!(differences.is_empty(), "{what}: {differences:?}");
    }
    bench.assert_sound();
    assert_eq!(bench.build(1, &context(&guest)), Ok(()));
}

#[test]
fn an_ordinary_domain_is_told_nothing() {
    let mut bench = Bench::new();
    let guest = bench.world.add_guest(3, false, 16);
    assert_eq!(bench.world.hv.current, guest.slot);
    for cmd in 0..64 {
        let block = guest_abi::domctl::Dom0Op {
            cmd: guest_abi::domctl::Dom0Cmd::new(cmd),
            interface_version: guest_abi::domctl::DOM0_INTERFACE_VERSION,
            u: [0xFF; 72],
        };
        bench.write(super::bench::BLOCK, &block);
        let before = bench.snapshot();
        for at in [super::bench::BLOCK, 0, u32::MAX] {
            assert_eq!(bench.world.call(7, [at, 0, 0, 0, 0]), Err(HvError::Denied));
        }
        bench.world.assert_unchanged_since(&before);
    }
    assert_eq!(bench.domain(3).id, DomId(3));
}
