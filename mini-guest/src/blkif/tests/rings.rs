//! What goes right: data, order, merging, room.

use super::*;
use crate::block::ram::RamDisk;

#[test]
fn what_is_written_is_read_and_nothing_is_copied() {
    let mut world = World::new();
    for frame in 0..8 {
        world.between.memory.fill(frame, 0x10 + frame as u8);
        world.submit(Op::Write, frame * 8, frame, 1, frame).unwrap();
    }
    assert_eq!(world.run(), (0..8).map(|id| (id, Ok(()))).collect());
    assert_eq!(world.disk.cached.borrow()[5 * PAGE], 0x15);
    assert_eq!(world.disk.medium.borrow()[5 * PAGE], 0, "not flushed");
    world.submit(Op::Flush, 0, 0, 0, 9).unwrap();
    assert_eq!(world.run(), BTreeMap::from([(9, Ok(()))]));
    assert_eq!(world.disk.medium.borrow()[5 * PAGE], 0x15);
    world.submit(Op::Read, 3 * 8, 20, 5, 10).unwrap();
    assert_eq!(world.run(), BTreeMap::from([(10, Ok(()))]));
    for n in 0..5 {
        assert_eq!(world.between.memory.bytes(20 + n), [0x13 + n as u8; PAGE]);
    }
    let counters = world.back().counters();
    assert_eq!((counters.requests, counters.copied, counters.failed), (10, 0, 0));
    assert_eq!(counters.bytes, 13 * PAGE as u64);
    assert!(
        world.between.grants.borrow().is_empty(),
        "everything is given back"
    );
}

#[test]
fn what_a_disk_of_memory_copies_is_counted() {
    let mut world = World::new();
    let page = Box::new(world.page.clone());
    let disk = Rc::new(RamDisk::new(&[], 1 << 20));
    world.back = Some(Backend::new(
        world.between.clone(),
        page,
        Layout::X86_32,
        disk,
        false,
    ));
    world.submit(Op::Write, 0, 0, 3, 1).unwrap();
    while world.back().step() == Step::More {}
    let counters = world.back().counters();
    assert_eq!(counters.bytes, 3 * PAGE as u64);
    assert_eq!(counters.copied, counters.bytes);
}

#[test]
fn requests_that_are_shown_later_are_one_event_there_and_one_back() {
    let mut world = World::new();
    while world.back().step() == Step::More {}
    world.between.shows_later.set(true);
    let (before, _) = world.between.events.get();
    for id in 0..5 {
        world.submit(Op::Read, 16 * id, id, 1, id).unwrap();
    }
    assert_eq!(world.back().step(), Step::Idle);
    assert_eq!(world.between.events.get().0, before);
    world.front.show();
    world.front.show();
    assert_eq!(world.between.events.get().0, before + 1);
    while world.back().step() == Step::More {}
    assert_eq!(world.disk.queue.borrow().len(), 5);
    let (_, answered) = world.between.events.get();
    while world.disk.finish(0) {}
    while world.back().step() == Step::More {}
    assert_eq!(world.between.events.get().1, answered + 1);
    assert!(world.front.poll());
    let done = core::iter::from_fn(|| world.client.take());
    assert_eq!(done.count(), 5);
}

#[test]
fn neighbours_become_one_request_and_nothing_moves_across_a_flush() {
    let mut world = World::new();
    // All of them are there before the backend looks, in a wild order.
    for (id, sector) in [(1, 16), (2, 0), (3, 8), (4, 80)] {
        world.submit(Op::Write, sector, id, 1, id).unwrap();
    }
    world.submit(Op::Flush, 0, 0, 0, 5).unwrap();
    world.submit(Op::Write, 24, 6, 1, 6).unwrap();
    while world.back().step() == Step::More {}
    let asked: Vec<_> = world
        .disk
        .queue
        .borrow()
        .iter()
        .map(|request| (request.op, request.sector, request.segments.len()))
        .collect();
    let expected = [
        (Op::Write, 0, 3),
        (Op::Write, 80, 1),
        (Op::Flush, 0, 0),
        (Op::Write, 24, 1),
    ];
    assert_eq!(asked, expected);
    assert_eq!(world.run().len(), 6);
    let counters = world.back().counters();
    assert_eq!((counters.requests, counters.submitted), (6, 4));
}

#[test]
fn of_neighbours_that_fail_together_each_has_its_own_answer() {
    let mut world = World::new();
    for id in 0..3 {
        world.submit(Op::Write, id * 8, id, 1, id).unwrap();
    }
    while world.back().step() == Step::More {}
    assert_eq!(world.disk.queue.borrow().len(), 1);
    world.disk.fail(0);
    while world.back().step() == Step::More {}
    assert_eq!(world.disk.queue.borrow().len(), 3);
    world.disk.fail(1);
    let results = world.run();
    let expected = [(0, Ok(())), (1, Err(BlockError::Io)), (2, Ok(()))];
    assert_eq!(results, BTreeMap::from(expected));
}

#[test]
fn more_than_the_ring_or_the_disk_takes_waits() {
    let mut world = World::new();
    world.disk.depth.set(2);
    world.between.most.set(20);
    let mut taken = 0;
    while world
        .submit(Op::Read, (taken * 16) % 500, taken % 64, 1, taken)
        .is_ok()
    {
        taken += 1;
    }
    assert_eq!(taken, world.front.info().depth as u64);
    assert_eq!(world.submit(Op::Read, 0, 0, 1, 0), Err(BlockError::Busy));
    assert_eq!(world.run(), (0..taken).map(|id| (id, Ok(()))).collect());
    assert!(world.between.grants.borrow().is_empty());
}

#[test]
fn nobody_is_told_for_nothing() {
    let mut world = World::new();
    for id in 0..8 {
        world.submit(Op::Read, id * 16, id, 1, id).unwrap();
    }
    assert_eq!(
        world.between.events.get().0,
        1,
        "one event for all that came before it was seen"
    );
    world.run();
    let (to_backend, _) = world.between.events.get();
    assert_eq!(to_backend, 1);
}

#[test]
fn what_the_disk_refuses_is_an_error() {
    let mut world = World::new();
    world.submit(Op::Read, 504, 0, 1, 1).unwrap();
    assert_eq!(world.submit(Op::Read, 505, 0, 1, 2), Err(BlockError::OutOfRange));
    assert_eq!(world.run(), BTreeMap::from([(1, Ok(()))]));
    world.front.give_up();
    assert_eq!(world.submit(Op::Read, 0, 0, 1, 3), Err(BlockError::Gone));
}

#[test]
fn a_disk_that_goes_fails_what_is_under_way() {
    let world = World::new();
    for id in 0..40 {
        world.submit(Op::Read, id * 8, id, 1, id).unwrap();
    }
    world.front.give_up();
    let results = world.results();
    assert!(results.len() == 40 && results.values().all(|result| *result == Err(BlockError::Gone)));
    assert!(world.between.grants.borrow().is_empty());
}
