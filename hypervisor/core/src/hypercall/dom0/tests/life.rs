//! A domain's life, from its creation to its end.

use super::bench::{Bench, context};
use crate::{domain::DomId, error::HvError, life::Building, mm::MmError, sched::Held, testing::Work};

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
