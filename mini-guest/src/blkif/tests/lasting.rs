//! Grants that stay: found again, bounded, and what a hostile frontend makes of them.

use super::hostile::{answers, keeping, post, request, run};
use super::*;
use crate::blkif::backend::REQUEST_FRAMES;
use core::sync::atomic::Ordering;
use guest_abi::io::blkif::{BlkOp, BlkStatus};

#[test]
fn a_frame_is_granted_and_mapped_once() {
    let mut world = World::keeping(true);
    for round in 0..50 {
        let op = if round % 2 == 0 { Op::Write } else { Op::Read };
        for (id, frame) in [(0, 3), (1, 7), (2, 11)] {
            world.submit(op, 64 * id, frame, 4, id).unwrap();
        }
        assert_eq!(world.run().len(), 3);
    }
    assert_eq!(world.between.last.get(), 12, "grants in all");
    assert_eq!(world.between.mapped(), 12);
    let counters = world.back().counters();
    // What was written first is mapped again to be read.
    assert_eq!((counters.mapped, counters.found), (24, 50 * 12 - 24));
    assert_eq!((counters.copied, counters.failed, counters.bad_grants), (0, 0, 0));
    // The backend goes, the grants stay; the disk goes, and nothing stays.
    world.back = None;
    assert_eq!(
        (world.between.mapped(), world.between.holds.borrow().len()),
        (0, 12)
    );
    world.front.give_up();
    assert!(world.between.grants.borrow().is_empty() && world.between.holds.borrow().is_empty());
}

#[test]
fn a_frame_that_is_still_mapped_is_held_until_it_is_not() {
    let mut world = World::keeping(true);
    world.submit(Op::Read, 0, 5, 2, 1).unwrap();
    world.run();
    world.front.give_up();
    assert_eq!(
        world.between.holds.borrow().len(),
        2,
        "the backend has them mapped"
    );
    world.back = None;
    assert!(world.between.grants.borrow().is_empty() && world.between.holds.borrow().is_empty());
}

#[test]
fn frames_that_do_not_stay_are_granted_for_a_request() {
    let mut world = World::keeping(true);
    world.between.lasting.set(40);
    for _ in 0..3 {
        world.submit(Op::Write, 0, 38, 4, 1).unwrap();
        assert_eq!(world.run(), [(1, Ok(()))].into());
    }
    let holds = world.between.holds.borrow().keys().copied().collect::<Vec<_>>();
    assert_eq!(holds, [40, 41]);
    assert_eq!(world.between.last.get(), 2 + 3 * 2);
    // The backend knows of no difference: it lets go when it needs the room.
    assert_eq!(world.between.mapped(), 8);
    world.back().set_limit(0);
    for n in 0..20 {
        world.submit(Op::Read, 0, n, 4, 1).unwrap();
        assert_eq!(world.run(), [(1, Ok(()))].into());
        assert!(world.between.mapped() <= REQUEST_FRAMES);
    }
    assert!(world.between.grants.borrow().len() <= REQUEST_FRAMES + 2);
}

/// The frontend's references run out: those go that the backend does not have mapped.
#[test]
fn a_frontend_takes_back_what_the_backend_has_let_go_of() {
    let mut world = World::keeping(true);
    world.between.most.set(40);
    world.back().set_limit(0);
    for n in 0..40 {
        world.submit(Op::Read, 0, n * 5 % 60, 4, n).unwrap();
        assert_eq!(world.run(), [(n, Ok(()))].into());
        let (grants, mapped) = (world.between.grants.borrow().len(), world.between.mapped());
        assert!(
            grants <= 40 && mapped <= REQUEST_FRAMES,
            "{grants} grants, {mapped} mapped"
        );
        assert_eq!(world.between.holds.borrow().len(), grants);
    }
}

/// Fewer references than the backend keeps mapped: the frontend begins anew, and goes on.
#[test]
fn a_frontend_without_a_reference_for_anything_wants_a_fresh_connection() {
    let mut world = World::keeping(true);
    world.between.most.set(16);
    let mut fresh = 0;
    for n in 0..30 {
        world.submit(Op::Read, 0, n * 5 % 60, 4, n).unwrap();
        let mut results = world.run();
        if world.front.is_starved() {
            assert!(results.is_empty() && !world.front.is_starved(), "asked once");
            fresh += 1;
            world.back = None;
            world.front.disconnect();
            world.page = SharedPage::new();
            world.front.connect(world.page.clone());
            world.start_backend();
            results = world.run();
        }
        assert_eq!(results, [(n, Ok(()))].into());
    }
    assert!((1..10).contains(&fresh), "{fresh} times");
}

#[test]
fn who_keeps_nothing_any_more_withdraws_all() {
    let mut world = World::keeping(true);
    world.submit(Op::Read, 0, 0, 8, 1).unwrap();
    world.run();
    // The backend goes in the midst of a request, and the next one keeps nothing.
    world.submit(Op::Write, 0, 4, 8, 2).unwrap();
    world.back().step();
    world.back = None;
    world.front.disconnect();
    world.keeps = false;
    world.front.set_properties(world.properties());
    assert_eq!(world.between.grants.borrow().len(), 8, "those of the request");
    world.page = SharedPage::new();
    world.front.connect(world.page.clone());
    world.start_backend();
    assert_eq!(world.run(), [(2, Ok(()))].into());
    assert!(world.between.grants.borrow().is_empty() && world.between.holds.borrow().is_empty());
    assert_eq!(world.between.mapped(), 0);
}

#[test]
fn the_least_used_mappings_go_first_and_never_those_in_use() {
    let between = Between::new(64);
    let disk = Rc::new(TestDisk::new(64));
    let grants: Vec<u32> = (0..60)
        .map(|frame| between.grant(frame, false).unwrap())
        .collect();
    let (mut backend, page) = keeping(&between, &disk, true);
    backend.set_limit(40);
    let is_mapped = |frame: usize| between.grants.borrow()[&grants[frame]].mapped == 1;
    for (id, frame) in (0..60).enumerate() {
        // The first one again each time.
        post(
            &page,
            request(
                BlkOp::READ,
                id as u64,
                0,
                &[(grants[0], 0, 0), (grants[frame], 1, 1)],
            ),
        );
        assert_eq!(run(&mut backend, &disk), Step::Idle);
        assert!(between.mapped() <= 40 && is_mapped(0) && is_mapped(frame));
    }
    // All of the room is taken by requests that the disk has.
    disk.depth.set(0);
    let all = |from: usize| {
        grants[from..from + 11]
            .iter()
            .map(|gref| (*gref, 0, 0))
            .collect::<Vec<_>>()
    };
    for (id, from) in [(100, 0), (101, 11)] {
        post(&page, request(BlkOp::WRITE, id, 0, &all(from)));
    }
    while backend.step() == Step::More {}
    assert!((0..11).all(is_mapped) && between.mapped() <= 40);
    disk.depth.set(8);
    backend.device_has_room();
    assert_eq!(run(&mut backend, &disk), Step::Idle);
    assert_eq!(page.indices.rsp_prod.load(Ordering::Relaxed), 62);
    assert!(answers(&page).iter().all(|answer| answer.1 == BlkStatus::OKAY));
    drop(backend);
    assert_eq!(between.mapped(), 0);
}

#[test]
fn a_grant_to_be_read_alone_is_never_written() {
    let between = Between::new(4);
    let disk = Rc::new(TestDisk::new(64));
    let (mut backend, page) = keeping(&between, &disk, true);
    let read_only = between.grant(0, true).unwrap();
    between.memory.fill(0, 0xAA);
    let asks = [BlkOp::WRITE, BlkOp::READ, BlkOp::WRITE, BlkOp::READ];
    for (id, op) in asks.into_iter().enumerate() {
        post(&page, request(op, id as u64, 0, &[(read_only, 0, 7)]));
        assert_eq!(run(&mut backend, &disk), Step::Idle);
    }
    // While a request has it mapped, too.
    post(&page, request(BlkOp::WRITE, 4, 8, &[(read_only, 0, 7)]));
    post(&page, request(BlkOp::READ, 5, 0, &[(read_only, 0, 7)]));
    assert_eq!(run(&mut backend, &disk), Step::Idle);
    let mut statuses = answers(&page);
    statuses.sort_unstable_by_key(|answer| answer.0);
    for (id, status) in statuses {
        let expected = if id % 2 == 0 {
            BlkStatus::OKAY
        } else {
            BlkStatus::ERROR
        };
        assert_eq!(status, expected, "{id}");
    }
    assert_eq!(between.memory.bytes(0), [0xAA; PAGE]);
    assert_eq!(backend.counters().bad_grants, 3);
}

/// A reference that is withdrawn and granted anew with another frame, while the backend has it mapped: what the backend has is the old frame, which is the frontend's own and
/// pinned. It sees no difference, and reaches nothing that it was not given.
#[test]
fn a_reference_that_names_another_frame_now_means_the_one_that_is_mapped() {
    let between = Between::new(4);
    let disk = Rc::new(TestDisk::new(64));
    let (mut backend, page) = keeping(&between, &disk, true);
    let reference = between.grant(0, false).unwrap();
    between.memory.fill(0, 0xAA);
    between.memory.fill(1, 0xBB);
    post(&page, request(BlkOp::READ, 1, 0, &[(reference, 0, 7)]));
    run(&mut backend, &disk);
    between.end(reference);
    // Still mapped, so the entry is there; a hostile frontend writes what it likes into it.
    between.grants.borrow_mut().get_mut(&reference).unwrap().frame = 1;
    post(&page, request(BlkOp::WRITE, 2, 8, &[(reference, 0, 7)]));
    run(&mut backend, &disk);
    assert_eq!(answers(&page), [(1, BlkStatus::OKAY), (2, BlkStatus::OKAY)]);
    assert_eq!(
        disk.cached.borrow()[8 * SECTOR],
        0,
        "of frame 0, which was read there"
    );
    // Once it is unmapped, the reference is nobody's.
    backend.set_limit(0);
    for id in 3..8 {
        let other = |_| (between.grant(2, false).unwrap(), 0, 0);
        let others: Vec<_> = (0..11).map(other).collect();
        post(&page, request(BlkOp::WRITE, id, 0, &others));
        run(&mut backend, &disk);
    }
    post(&page, request(BlkOp::WRITE, 8, 0, &[(reference, 0, 7)]));
    run(&mut backend, &disk);
    assert_eq!(answers(&page)[7], (8, BlkStatus::ERROR));
}

#[test]
fn references_that_are_none_unmap_nothing_and_hold_nothing() {
    let between = Between::new(16);
    let disk = Rc::new(TestDisk::new(64));
    let (mut backend, page) = keeping(&between, &disk, true);
    let good = between.grant(0, false).unwrap();
    post(&page, request(BlkOp::READ, 0, 0, &[(good, 0, 7)]));
    run(&mut backend, &disk);
    for id in 1..30 {
        post(
            &page,
            request(BlkOp::READ, id, 0, &[(good, 0, 7), (4711, 0, 7), (good, 0, 7)]),
        );
        run(&mut backend, &disk);
        assert_eq!(answers(&page).last(), Some(&(id, BlkStatus::ERROR)));
    }
    assert_eq!(between.mapped(), 1);
    // One twice in a request, before it is mapped.
    let other = between.grant(1, false).unwrap();
    post(
        &page,
        request(BlkOp::READ, 30, 0, &[(other, 0, 7), (other, 0, 7)]),
    );
    run(&mut backend, &disk);
    assert_eq!(between.mapped(), 2, "the second mapping does not stay");
    backend.set_limit(0);
    drop(backend);
    assert_eq!(between.mapped(), 0);
}
