//! What the commands about a domain's context, its frames, its rights and its limits do.

use super::bench::{BUFFER, Bench, context};
use crate::{
    domain::DomId,
    error::HvError,
    io_rights::IoRights,
    mm::pte::{P, RW},
    outcome::Outcome,
    platform::FrameMemory,
    testing::{Guest, entry},
};
use guest_abi::{
    addr::{GuestVirt, Mfn},
    domain::DomId as WireId,
    domctl::{
        GetDomainInfo, GetPageFrameInfo, GetPageFrameInfo2, IoMemPermission, IoPortPermission, IrqPermission,
        SetContext, SetDomainMaxMem, SetDomainVmAssist, frame_info,
    },
    errno::Errno,
    mmu::MmuUpdate,
    vcpu::CpuContext,
    vm_assist::{AssistCmd, AssistType},
};

const CHILD: WireId = WireId::new(1);

#[test]
fn a_context_that_was_read_can_be_set_again() {
    let mut bench = Bench::new();
    let guest = bench.make(1, 16);
    let ask = GetDomainInfo {
        domain: CHILD,
        ctxt: GuestVirt::new(BUFFER),
        ..GetDomainInfo::default()
    };
    bench.op(&ask).unwrap();
    let read: CpuContext = bench.read(BUFFER);
    let given = context(&guest);
    assert_eq!((read.regs, read.pt_base), (given.regs, given.pt_base));
    assert_eq!(read.trap_table[77].vector, 77);
    let set = SetContext {
        domain: CHILD,
        ctxt: GuestVirt::new(BUFFER),
        pad: 0,
    };
    let before = bench.domain(1).clone();
    bench.op(&set).unwrap();
    assert_eq!(*bench.domain(1), before);
    bench.assert_sound();
    // Domain0's own, while it runs.
    bench.world.regs.rip = 0x77;
    bench
        .op(&GetDomainInfo {
            domain: WireId::DOM0,
            ..ask
        })
        .unwrap();
    assert_eq!(bench.read::<CpuContext>(BUFFER).regs.eip, 0x77);
}

#[test]
fn frames_say_what_they_are_used_as() {
    let mut bench = Bench::new();
    let guest = bench.make(1, 16);
    let mut ask = |frame: Mfn| {
        let args = GetPageFrameInfo {
            frame,
            domain: CHILD,
            pad: 0,
            info: 9,
        };
        bench.op(&args).map(|done| done.info)
    };
    assert_eq!(ask(guest.l3()), Ok(frame_info::L3));
    assert_eq!(ask(guest.top_l2()), Ok(frame_info::L2));
    assert_eq!(ask(guest.low_l1()), Ok(frame_info::L1));
    assert_eq!(ask(guest.frames[Guest::DATA]), Ok(0));
    assert_eq!(ask(Mfn::new(3)), Err(HvError::Invalid));
    assert_eq!(ask(Mfn::new(512)), Err(HvError::Invalid));
    let words = [
        guest.l3().raw(),
        guest.l1().raw(),
        guest.frames[6].raw(),
        3,
        0x0FFF_FFFF,
    ];
    bench.write(BUFFER, &words);
    let args = GetPageFrameInfo2 {
        domain: CHILD,
        pad: 0,
        num: 5,
        array: GuestVirt::new(BUFFER),
    };
    bench.op(&args).unwrap();
    let bits = [
        frame_info::L3 | frame_info::PINNED,
        frame_info::L1,
        0,
        frame_info::INVALID,
        frame_info::INVALID,
    ];
    let expected: [u32; 5] = core::array::from_fn(|n| words[n] | bits[n]);
    assert_eq!(bench.read::<[u32; 5]>(BUFFER), expected);
}

#[test]
fn ports_go_by_a_bitmap_that_comes_with_the_first_and_goes_with_the_domain() {
    let mut bench = Bench::new();
    let free = bench.free();
    bench.make(1, 16);
    let before = bench.free();
    let ports = |first_port, nr_ports, allow| IoPortPermission {
        domain: CHILD,
        allow,
        pad: 0,
        first_port,
        nr_ports,
    };
    bench.op(&ports(0x300, 16, 0)).unwrap();
    assert_eq!(bench.domain(1).io, IoRights::NONE, "nothing to take");
    for first in [0x20, 0x3F8, 0x3F0, 0xCF8, 0xF4, 0] {
        bench.refused(&ports(first, 0x20, 1), HvError::Invalid);
    }
    bench.op(&ports(0xFFF8, 8, 1)).unwrap();
    bench.op(&ports(0x300, 2, 1)).unwrap();
    assert_eq!(bench.free(), before - 2);
    let [low, high] = bench.domain(1).io.ports.expect("a bitmap");
    assert_eq!(bench.world.machine.read_entry(low, 0x300 / 64), !3);
    assert_eq!(bench.world.machine.read_entry(high, 511), u64::MAX >> 8);
    assert_eq!(bench.world.machine.read_entry(low, 0), u64::MAX);
    bench.op(&ports(0, 0x1_0000, 0)).unwrap();
    for frame in [low, high] {
        assert!((0..512).all(|word| bench.world.machine.read_entry(frame, word) == u64::MAX));
    }
    bench.assert_sound();
    // One's own are in force at once.
    assert_eq!(bench.world.machine.cpu.io_bitmap.get(), None);
    bench
        .op(&IoPortPermission {
            domain: WireId::DOM0,
            ..ports(0x300, 1, 1)
        })
        .unwrap();
    assert_eq!(bench.world.machine.cpu.io_bitmap.get(), bench.domain(0).io.ports);
    assert_eq!(bench.destroy(1), Ok(()));
    assert_eq!(bench.free(), free - 2, "but for Domain0's");
    bench.assert_sound();
}

#[test]
fn a_bitmap_for_which_there_is_no_memory_is_not_half_made() {
    for left in 0..2 {
        let mut bench = Bench::new();
        bench.make(1, 16);
        while bench.free() > left {
            bench.world.mmu().allocate(DomId(0), 0).unwrap();
        }
        let args = IoPortPermission {
            domain: CHILD,
            allow: 1,
            pad: 0,
            first_port: 0x300,
            nr_ports: 1,
        };
        let why = bench.op(&args).unwrap_err();
        assert_eq!((why.errno(), bench.free()), (Errno::NoMem, left));
        assert_eq!(bench.domain(1).io, IoRights::NONE);
        bench.assert_sound();
    }
}

#[test]
fn device_frames_can_be_mapped_by_who_was_given_them() {
    let mut bench = Bench::new();
    let guest = bench.make(1, 16);
    let frames = |first, nr_frames, allow| IoMemPermission {
        domain: CHILD,
        allow,
        pad: 0,
        first_frame: Mfn::new(first),
        nr_frames,
    };
    for (first, count) in [
        (8, 9),
        (16, 1),
        (24, 1),
        (100, 1),
        (0xFEE00, 1),
        (0xFEDFF, 2),
        (500, 100),
        (1 << 24, 1),
    ] {
        bench.refused(&frames(first, count, 1), HvError::Invalid);
    }
    bench.refused(&frames(8, 4, 0), HvError::Invalid);
    bench.op(&frames(8, 4, 1)).unwrap();
    bench.op(&frames(0xA_0000, 2, 1)).unwrap();
    bench.op(&frames(8, 4, 1)).unwrap();
    assert_eq!(bench.domain(1).io.frames.len(), 2);
    bench.world.switch_to(&guest);
    let mut map = |n: u32| {
        let request = MmuUpdate {
            ptr: guest.l1().addr().raw() + 8 * 20,
            val: entry(Mfn::new(n), P | RW),
        };
        bench.write(Guest::va(Guest::DATA), &request);
        bench.world.call(1, [Guest::va(Guest::DATA), 1, 0, 0, 0]).is_ok()
    };
    for (n, is_good) in [
        (8, true),
        (11, true),
        (12, false),
        (7, false),
        (0xA_0001, true),
        (0xA_0002, false),
        (0, false),
    ] {
        assert_eq!(map(n), is_good, "frame {n:#x}");
    }
    bench.assert_sound();
    let dom0 = bench.dom0.clone();
    bench.world.switch_to(&dom0);
    for n in 0..6 {
        bench.op(&frames(n, 1, 1)).unwrap();
    }
    assert_eq!(bench.op(&frames(6, 1, 1)), Err(HvError::NoMemory));
    // What is mapped is not taken; what was taken cannot be mapped.
    bench.world.switch_to(&guest);
    let map = |bench: &mut Bench, n: u32, index: u64, flags: u64| {
        let request = MmuUpdate {
            ptr: guest.l1().addr().raw() + 8 * index,
            val: entry(Mfn::new(n), flags),
        };
        bench.write(Guest::va(Guest::DATA), &request);
        bench.world.call(1, [Guest::va(Guest::DATA), 1, 0, 0, 0]).is_ok()
    };
    assert!(map(&mut bench, 8, 20, P) && map(&mut bench, 0xA_0000, 21, P | RW));
    bench.world.switch_to(&dom0);
    bench.refused(&frames(8, 4, 0), HvError::Busy);
    bench.refused(&frames(0xA_0000, 2, 0), HvError::Busy);
    bench.world.switch_to(&guest);
    assert!(map(&mut bench, 0, 20, 0) && map(&mut bench, 0, 21, 0));
    bench.world.switch_to(&dom0);
    bench.op(&frames(8, 4, 0)).unwrap();
    bench.op(&frames(0xA_0000, 2, 0)).unwrap();
    assert!(!bench.domain(1).io.may_map(8));
    bench.assert_sound();
    bench.world.switch_to(&guest);
    for (n, flags) in [(8, P), (8, P | RW), (9, P), (0xA_0000, P), (0xA_0001, P | RW)] {
        assert!(!map(&mut bench, n, 22, flags), "frame {n:#x}");
    }
    // What it never had the right to is still found.
    bench
        .world
        .machine
        .poke(guest.l1(), 23, entry(Mfn::new(0xA_0002), P));
    let bad = crate::mm::audit::Difference::BadEntry {
        table: guest.l1(),
        index: 23,
    };
    assert_eq!(bench.world.audit(), [bad]);
    bench.world.machine.poke(guest.l1(), 23, 0);
    bench.assert_sound();
    bench.world.switch_to(&dom0);
    assert_eq!(bench.destroy(1), Ok(()));
    bench.assert_sound();
}

#[test]
fn lines_are_given_and_taken() {
    let mut bench = Bench::new();
    bench.make(1, 16);
    bench.hv().lines.reserve(4);
    let line = |irq, allow| IrqPermission {
        domain: CHILD,
        allow,
        pad: 0,
        irq,
    };
    bench.refused(&line(4, 1), HvError::Invalid);
    bench.op(&line(5, 1)).unwrap();
    assert!(bench.domain(1).io.may_bind(5) && !bench.domain(1).io.may_bind(4));
    assert!(!bench.domain(1).io.may_bind(16 + 5));
    bench.op(&line(5, 0)).unwrap();
    assert_eq!(bench.domain(1).io.lines, 0);
}

#[test]
fn limits_and_assists_are_set() {
    let mut bench = Bench::new();
    bench.make(1, 16);
    let limit = |max_memkb| SetDomainMaxMem {
        domain: CHILD,
        max_memkb,
        ..Default::default()
    };
    for (kib, pages) in [(0, 0), (1, 1), (4, 1), (5, 2), (400, 100), (u64::MAX, u32::MAX)] {
        bench.op(&limit(kib)).unwrap();
        assert_eq!(bench.domain(1).max_pages, pages);
    }
    assert_eq!(bench.domain(1).total_pages, 16, "what it has beyond stays");
    let assist = |cmd| SetDomainVmAssist {
        domain: CHILD,
        pad: 0,
        cmd,
        kind: AssistType::WRITABLE_PAGETABLES,
    };
    bench.op(&assist(AssistCmd::ENABLE)).unwrap();
    assert_eq!(bench.domain(1).vm_assist, 4);
    bench.op(&assist(AssistCmd::DISABLE)).unwrap();
    assert_eq!(bench.domain(1).vm_assist, 0);
}

#[test]
fn a_dying_domain_leads_nowhere_and_is_listed_while_somebody_maps_its_frames() {
    let mut bench = Bench::new();
    let guest = bench.make(1, 16);
    let at = bench.dom0.l1().addr().raw() + 8 * 20;
    let map = MmuUpdate {
        ptr: at,
        val: entry(guest.frames[9], P | RW),
    };
    assert_eq!(bench.for_domain(1, &[map]), Ok(Outcome::Return(0)));
    assert_eq!(bench.destroy(1), Ok(()));
    let info = bench
        .op(&GetDomainInfo {
            domain: CHILD,
            ..Default::default()
        })
        .unwrap();
    assert_eq!((info.domain, info.tot_pages), (CHILD, 1));
    assert!(info.flags.contains(guest_abi::domctl::DomainFlags::DYING));
    assert_eq!(bench.unpause(1), Err(HvError::NoSuchDomain));
    assert!(bench.for_domain(1, &[]).is_err());
    assert_eq!(bench.create(1, 4), Err(HvError::Invalid), "its number is taken");
    assert_eq!(bench.destroy(1), Ok(()), "again");
    bench.assert_sound();
    let own = MmuUpdate {
        ptr: at,
        val: entry(bench.dom0.frames[20], P | RW),
    };
    bench.write(BUFFER, &own);
    assert_eq!(bench.world.call(1, [BUFFER, 1, 0, 0, 0]), Ok(Outcome::Return(0)));
    assert_eq!(bench.destroy(1), Err(HvError::NoSuchDomain), "the record went");
    bench.assert_sound();
}
