//! Memory that runs out while a domain is made or grows: it is told, and everything is back.

use super::{
    bench::{BLOCK, BUFFER, Bench},
    steps::{CHILD, create_args},
};
use crate::{
    domain::DomId,
    error::HvError,
    life::Building,
    mm::pte::{P, RW},
    outcome::Outcome,
    testing::{Guest, Work, entry},
};
use guest_abi::{
    domctl::{Dom0Args, Dom0Op, SetDomainInitialMem},
    mmu::{Extended, MmuUpdate},
};

/// Runs a command for as many of its pauses as `pauses` says, and says whether it ended by then.
fn run_for<A: Dom0Args>(bench: &mut Bench, args: &A, pauses: usize) -> Option<Result<(), HvError>> {
    bench.write(BLOCK, &Dom0Op::new(args));
    let mut registers = [BLOCK, 0, 0, 0, 0];
    for _ in 0..=pauses {
        match bench.world.call_once(7, registers) {
            Ok(Outcome::Again(next)) => registers = next,
            Ok(Outcome::Return(0)) => return Some(Ok(())),
            Ok(other) => panic!("{other:?}"),
            Err(why) => return Some(Err(why)),
        }
    }
    None
}

/// Takes free frames for Domain0 until `left` are free.
fn exhaust(bench: &mut Bench, left: u32) -> Vec<guest_abi::addr::Mfn> {
    let mut taken = Vec::new();
    bench.domain(0).max_pages = u32::MAX;
    while bench.free() > left {
        taken.push(bench.world.mmu().allocate(DomId(0), 0).expect("a free frame"));
    }
    taken
}

#[test]
fn memory_that_runs_out_at_any_allocation_of_a_creation_is_told_and_everything_is_back() {
    const PAGES: u32 = 20;
    for left in 0..PAGES + 3 {
        let mut bench = Bench::new();
        exhaust(&mut bench, left);
        let result = bench.op(&create_args(PAGES)).map(drop);
        if left < PAGES + 2 {
            assert_eq!(
                result.map_err(HvError::errno),
                Err(guest_abi::errno::Errno::NoMem)
            );
            assert_eq!(bench.free(), left);
            assert_eq!(bench.hv().slot_of_any(DomId(1)), None);
        } else {
            assert_eq!(result, Ok(()));
        }
        bench.assert_sound();
    }
}

/// Between two pauses somebody else takes what the creation was promised.
#[test]
fn memory_that_is_snatched_away_during_a_creation_is_told_and_everything_is_back() {
    const PAGES: u32 = 120;
    let mut pauses = 0;
    loop {
        let mut bench = Bench::new();
        bench.world.machine.work.set(Work::Always);
        if run_for(&mut bench, &create_args(PAGES), pauses).is_some() {
            break;
        }
        let building = bench.domain(1).building;
        let id = 0xC0DE_0001;
        let taken = exhaust(&mut bench, 0);
        let result = bench.world.call(7, [BLOCK, id, 0, 0, 0]);
        if matches!(building, Building::Populating { .. }) && bench.hv().slot_of(DomId(1)).is_none() {
            assert_eq!(
                result.map_err(HvError::errno),
                Err(guest_abi::errno::Errno::NoMem)
            );
        } else {
            assert_eq!(result, Ok(Outcome::Return(0)));
            assert_eq!(bench.destroy(1), Ok(()));
        }
        let free = 512 - 32 - 40 - 1 - taken.len() as u32;
        assert_eq!(bench.free(), free);
        bench.assert_sound();
        pauses += 1;
    }
    assert!(pauses > 2, "{pauses} pauses");
}

/// A block that cannot be written any more when the domain is there.
#[test]
fn a_creation_whose_answer_cannot_be_told_makes_nothing() {
    let mut bench = Bench::new();
    bench.world.machine.work.set(Work::Always);
    let free = bench.free();
    assert_eq!(run_for(&mut bench, &create_args(120), 1), None);
    let (l1, frame) = (bench.dom0.l1(), bench.dom0.frames[Guest::DATA]);
    let address = bench.dom0.l1().addr().raw() + 8 * Guest::DATA as u64;
    let read_only = MmuUpdate {
        ptr: address,
        val: entry(frame, P),
    };
    bench.write(
        BUFFER,
        &[read_only, MmuUpdate::extended(Extended::TlbFlush)].map(|r| [r.ptr, r.val]),
    );
    assert_eq!(bench.world.call(1, [BUFFER, 2, 0, 0, 0]), Ok(Outcome::Return(0)));
    assert_eq!(bench.world.machine.peek(l1, Guest::DATA) & RW, 0);
    assert_eq!(
        bench.world.call(7, [BLOCK, 0xC0DE_0001, 0, 0, 0]),
        Err(HvError::Fault)
    );
    assert_eq!(bench.free(), free);
    assert_eq!(bench.hv().slot_of_any(DomId(1)), None);
    bench.assert_sound();
}

#[test]
fn growth_that_fails_is_undone() {
    let mut bench = Bench::new();
    assert_eq!(bench.create(1, 8), Ok(1));
    let grow = |pages: u64| SetDomainInitialMem {
        domain: CHILD,
        initial_memkb: pages * 4,
        ..Default::default()
    };
    assert_eq!(bench.op(&grow(24)).map(drop), Ok(()));
    assert_eq!((bench.domain(1).total_pages, bench.domain(1).max_pages), (24, 24));
    let frames = bench.frames(1);
    for (pfn, frame) in frames.iter().enumerate() {
        assert_eq!(bench.world.machine.m2p.borrow()[frame.index()], pfn as u32);
    }
    let free = bench.free();
    let too_much = u64::from(24 + free + 1);
    bench.refused(&grow(too_much), HvError::NoMemory);
    bench.world.machine.work.set(Work::Always);
    assert_eq!(run_for(&mut bench, &grow(200), 1), None);
    let taken = exhaust(&mut bench, 0).len() as u32;
    let result = bench.world.call(7, [BLOCK, 0, 0, 0, 0]);
    assert_eq!(
        result.map_err(HvError::errno),
        Err(guest_abi::errno::Errno::NoMem)
    );
    assert_eq!((bench.domain(1).total_pages, bench.domain(1).max_pages), (24, 24));
    assert_eq!(bench.free(), free - taken);
    bench.assert_sound();
}
