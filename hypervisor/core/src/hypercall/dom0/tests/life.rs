//! A domain's life, from its creation to its end.

use super::bench::{Bench, context};
use crate::{
    domain::DomId,
    error::HvError,
    life::Building,
    mm::{MmError, pte::P},
    sched::Held,
    testing::{Work, entry},
};
use guest_abi::{domctl::PhysInfo, mmu::MmuUpdate};

#[test]
fn a_domain_is_made_built_run_and_destroyed_and_everything_is_back() {
    for work in [Work::Never, Work::Always] {
        let mut bench = Bench::new();
        bench.world.machine.work.set(work);
        let free = bench.free();
        assert_eq!(bench.create(0, 16), Ok(1), "the first free number");
        assert_eq!(bench.free(), free - 18, "its pages, its record, its shared page");
        assert_eq!(bench.domain(1).building, Building::Ready);
        let frames = bench.frames(1);
        assert_eq!(frames.len(), 16);
        for (pfn, frame) in frames.iter().enumerate() {
            assert_eq!(bench.world.machine.m2p.borrow()[frame.index()], pfn as u32);
        }
        assert_eq!(bench.unpause(1), Err(HvError::Invalid), "it has no context");
        let guest = bench.fill(1);
        assert_eq!(bench.build(1, &context(&guest)), Ok(()));
        assert_eq!(bench.domain(1).vcpus[0].roots[0], Some(guest.l3()));
        assert_eq!(bench.domain(1).run.held, Held::PAUSED);
        bench.assert_sound();
        assert_eq!(bench.unpause(1), Ok(()));
        assert_eq!(bench.domain(1).run.held, Held::empty());
        assert_eq!(bench.destroy(1), Ok(()));
        assert_eq!(bench.hv().slot_of_any(DomId(1)), None);
        assert_eq!(bench.free(), free, "to the frame");
        bench.assert_sound();
        assert_eq!(bench.create(0, 3), Ok(2), "numbers are used in turn");
    }
}

#[test]
fn creation_is_refused_with_nothing_changed() {
    let mut bench = Bench::new();
    assert_eq!(bench.create(7, 4), Ok(7));
    assert_eq!(bench.create(7, 4), Err(HvError::Invalid), "the number is taken");
    assert_eq!(bench.create(0, u32::MAX), Err(HvError::NoMemory));
    let free = bench.free();
    assert_eq!(bench.create(0, free - 1), Err(HvError::NoMemory));
    assert_eq!(bench.create(0, free - 2), Ok(1), "the last frame");
    assert_eq!(bench.free(), 0);
    assert_eq!(bench.create(0, 0), Err(HvError::NoMemory));
    bench.assert_sound();
    assert_eq!(bench.destroy(1), Ok(()));
    assert_eq!(bench.free(), free);
    assert_eq!(bench.destroy(1), Err(HvError::NoSuchDomain));
    assert_eq!(bench.destroy(0), Err(HvError::Invalid), "itself");
}

#[test]
fn a_root_that_is_not_one_builds_nothing() {
    let mut bench = Bench::new();
    assert_eq!(bench.create(1, 16), Ok(1));
    let guest = bench.fill(1);
    let mut bad = context(&guest);
    bad.pt_base = guest.l2().addr();
    let why = bench.build(1, &bad).unwrap_err();
    assert!(
        matches!(why, HvError::Mm(MmError::TypeConflict { .. })),
        "{why:?}"
    );
    bad.pt_base = bench.dom0.l3().addr();
    assert_eq!(
        bench.build(1, &bad),
        Err(HvError::Mm(MmError::NotOwned(bench.dom0.l3())))
    );
    assert!(!bench.domain(1).is_built());
    bench.assert_sound();
    assert_eq!(bench.build(1, &context(&guest)), Ok(()));
    assert_eq!(
        bench.build(1, &context(&guest)),
        Err(HvError::Invalid),
        "built already"
    );
    bench.assert_sound();
}

/// A dead domain whose frames are mapped for good costs the calls of others next to nothing.
#[test]
fn a_call_looks_at_few_of_the_dead() {
    const DEAD: u16 = 20;
    let mut bench = Bench::new();
    let free = bench.free();
    let l1 = bench.dom0.l1().addr().raw();
    for id in 1..=DEAD {
        assert_eq!(bench.create(id, 1), Ok(id));
        let frame = bench.frames(id)[0];
        let map = MmuUpdate {
            ptr: l1 + 8 * (60 + u64::from(id)),
            val: entry(frame, P),
        };
        assert!(bench.for_domain(id, &[map]).is_ok());
        assert_eq!(bench.destroy(id), Ok(()));
    }
    let dead = |bench: &mut Bench| {
        (1..=DEAD)
            .filter(|&id| bench.hv().slot_of_any(DomId(id)).is_some())
            .count()
    };
    for expected in [20, 20, 20] {
        assert!(bench.op(&PhysInfo::default()).is_ok());
        assert_eq!(dead(&mut bench), expected);
    }
    // The second half is let go first: whoever is free is found, wherever it stands.
    for id in (1..=DEAD).rev() {
        let unmap = MmuUpdate {
            ptr: l1 + 8 * (60 + u64::from(id)),
            val: 0,
        };
        assert!(bench.for_domain(0, &[unmap]).is_ok());
    }
    let mut left = 20;
    while left > 0 {
        assert!(bench.op(&PhysInfo::default()).is_ok());
        let now = dead(&mut bench);
        assert!(now < left && left - now <= 8, "{left} to {now}");
        left = now;
    }
    assert_eq!(bench.free(), free);
    bench.assert_sound();
}
