//! Requests whose segments lie in a granted page.

use super::hostile::{answers, keeping, post, request, run};
use super::*;
use crate::blkif::ring::Asked;
use core::sync::atomic::Ordering;
use guest_abi::io::blkif::{BlkOp, BlkStatus, Segment as Piece};
use zerocopy::IntoBytes;

fn piece(gref: u32, first_sect: u8, last_sect: u8) -> Piece {
    Piece {
        gref,
        first_sect,
        last_sect,
        pad: 0,
    }
}

/// Posts a request for `count` segments of the list in a granted page.
fn post_list(page: &Rc<SharedPage>, operation: BlkOp, id: u64, count: u16, reference: u32) {
    let asked = Asked {
        operation,
        count,
        id,
        sector: 0,
        is_indirect: true,
        page: reference,
    };
    let index = page.indices.req_prod.load(Ordering::Relaxed);
    Layout::X86_32.put(&**page, index, &asked, &[]);
    page.indices.req_prod.store(index + 1, Ordering::Relaxed);
}

fn write_list(between: &Between, frame: u64, pieces: &[Piece]) {
    let bytes = pieces.as_bytes();
    between.memory.segment(frame, 0, bytes.len() as u32).write(bytes);
}

#[test]
fn both_layouts_say_what_was_asked() {
    let page = SharedPage::new();
    let pieces = [piece(1, 2, 3), piece(4, 5, 6)];
    for layout in [Layout::X86_32, Layout::X86_64] {
        for is_indirect in [false, true] {
            let asked = Asked {
                operation: BlkOp::WRITE,
                count: 2,
                id: 0x0123_4567_89AB_CDEF,
                sector: 0xFEDC_BA98_7654_3210,
                is_indirect,
                page: if is_indirect { 77 } else { 0 },
            };
            layout.put(&*page, 33, &asked, &pieces);
            let mut found = vec![piece(9, 9, 9)];
            assert_eq!(layout.request(&*page, 1, &mut found), asked);
            assert_eq!(found, if is_indirect { &[][..] } else { &pieces });
        }
        let whole = request(BlkOp::READ, 5, 6, &[(7, 0, 1), (8, 2, 3)]);
        layout.put_request(&*page, 2, whole);
        let mut found = vec![];
        let asked = layout.request(&*page, 2, &mut found);
        assert_eq!(
            (asked.operation, asked.count, asked.id, asked.sector),
            (BlkOp::READ, 2, 5, 6)
        );
        assert_eq!(found, [piece(7, 0, 1), piece(8, 2, 3)]);
    }
}

#[test]
fn a_large_request_is_one() {
    let mut world = World::keeping(true);
    assert_eq!(world.front.info().max_segments, 32);
    for frame in 0..32 {
        world.between.memory.fill(frame, frame as u8);
    }
    for round in 0..3 {
        world.submit(Op::Write, 0, 0, 32, 1).unwrap();
        world.submit(Op::Write, 256, 0, 12, 2).unwrap();
        assert_eq!(world.run().len(), 2);
        world.submit(Op::Read, 0, 32, 32, 3).unwrap();
        assert_eq!(world.run(), [(3, Ok(()))].into());
        for frame in 0..32 {
            assert_eq!(world.between.memory.bytes(32 + frame), [frame as u8; PAGE]);
        }
        let counters = world.back().counters();
        assert_eq!(
            (counters.requests, counters.failed, counters.copied),
            (3 * (round + 1), 0, 0)
        );
    }
    // Two pages for lists were enough, and were mapped once.
    assert_eq!(world.between.lists.borrow().len(), LISTS - 2);
    assert_eq!(world.back().counters().mapped, 32 + 32 + 2);
    world.back = None;
    world.front.give_up();
    assert!(world.between.grants.borrow().is_empty() && world.between.lists.borrow().len() == LISTS);
}

#[test]
fn without_pages_for_lists_requests_wait_for_one() {
    let mut world = World::keeping(true);
    world.between.lists.borrow_mut().truncate(1);
    for id in 0..5 {
        world.submit(Op::Read, 0, 0, 20, id).unwrap();
    }
    assert_eq!(world.run(), (0..5).map(|id| (id, Ok(()))).collect());
}

#[test]
fn what_a_backend_has_not_answered_the_next_one_does_or_says_that_it_cannot() {
    let mut world = World::keeping(true);
    for keeps in [true, false] {
        world.between.memory.fill(31, 0x99);
        world.submit(Op::Write, 0, 0, 32, 1).unwrap();
        world.submit(Op::Write, 256, 31, 1, 2).unwrap();
        world.back().step();
        world.back = None;
        world.front.disconnect();
        world.page = SharedPage::new();
        world.keeps = keeps;
        world.front.set_properties(world.properties());
        world.front.connect(world.page.clone());
        world.start_backend();
        // One that takes no lists is not asked.
        let large = if keeps { Ok(()) } else { Err(BlockError::Io) };
        assert_eq!(world.run(), [(1, large), (2, Ok(()))].into());
    }
    assert_eq!(world.front.info().max_segments, 11);
    assert_eq!(world.submit(Op::Write, 0, 0, 12, 3), Err(BlockError::Malformed));
}

#[test]
fn nonsense_in_lists_is_answered_and_nothing_stays_mapped() {
    for keeps in [false, true] {
        let between = Between::new(40);
        let disk = Rc::new(TestDisk::new(512));
        let (mut backend, page) = keeping(&between, &disk, keeps);
        let good: Vec<u32> = (0..33)
            .map(|frame| between.grant(frame, false).unwrap())
            .collect();
        let (list, foreign) = (between.grant(35, true).unwrap(), 4711);
        let whole: Vec<_> = good.iter().map(|gref| piece(*gref, 0, 7)).collect();
        let changed = |at: usize, with: Piece| {
            let mut pieces = whole.clone();
            pieces[at] = with;
            pieces
        };
        let (ok, error, not) = (BlkStatus::OKAY, BlkStatus::ERROR, BlkStatus::EOPNOTSUPP);
        let cases = [
            (BlkOp::READ, 32, list, whole.clone(), ok),
            (BlkOp::WRITE, 1, list, whole.clone(), ok),
            (BlkOp::READ, 0, list, whole.clone(), error),
            (BlkOp::READ, 33, list, whole.clone(), error),
            (BlkOp::READ, 512, list, whole.clone(), error),
            (BlkOp::WRITE, u16::MAX, list, whole.clone(), error),
            (BlkOp::FLUSH_DISKCACHE, 0, list, whole.clone(), not),
            (BlkOp::INDIRECT, 2, list, whole.clone(), not),
            (BlkOp::new(99), 2, list, whole.clone(), not),
            (BlkOp::READ, 32, foreign, whole.clone(), error),
            (BlkOp::READ, 32, list, changed(31, piece(good[31], 0, 8)), error),
            (BlkOp::READ, 32, list, changed(0, piece(good[0], 5, 4)), error),
            (BlkOp::READ, 32, list, changed(31, piece(foreign, 0, 7)), error),
            (BlkOp::READ, 31, list, changed(31, piece(foreign, 0, 7)), ok),
            // The list is to be read into, and is granted to be read alone.
            (BlkOp::READ, 2, list, changed(1, piece(list, 0, 7)), error),
            (BlkOp::READ, 32, list, whole.clone(), ok),
        ];
        for (id, (op, count, reference, pieces, status)) in cases.into_iter().enumerate() {
            write_list(&between, 35, &pieces);
            post_list(&page, op, id as u64, count, reference);
            assert_eq!(run(&mut backend, &disk), Step::Idle);
            assert_eq!(answers(&page).last(), Some(&(id as u64, status)), "case {id}");
            assert!(keeps || between.mapped() == 0);
        }
        drop(backend);
        assert_eq!(between.mapped(), 0);
    }
}

/// A list is copied once: what is written into its page afterwards, by the frontend or by the disk itself, means nothing.
#[test]
fn a_list_that_changes_after_it_was_taken_means_nothing() {
    let between = Between::new(8);
    let disk = Rc::new(TestDisk::new(64));
    let (mut backend, page) = keeping(&between, &disk, true);
    let good: Vec<u32> = (0..3).map(|frame| between.grant(frame, false).unwrap()).collect();
    // The page of the list is the memory of the request, too.
    write_list(&between, 0, &[piece(good[0], 0, 7), piece(good[1], 0, 7)]);
    post_list(&page, BlkOp::READ, 1, 2, good[0]);
    post(&page, request(BlkOp::WRITE, 2, 32, &[(good[2], 0, 7)]));
    assert_eq!(backend.step(), Step::More);
    write_list(&between, 0, &[piece(4711, 7, 0); 3]);
    between.memory.fill(1, 0xEE);
    between.memory.fill(2, 0x77);
    assert_eq!(run(&mut backend, &disk), Step::Idle);
    assert!(answers(&page).iter().all(|answer| answer.1 == BlkStatus::OKAY));
    for frame in 0..2 {
        assert_eq!(between.memory.bytes(frame), [0; PAGE], "as the disk has it");
    }
    assert_eq!(disk.cached.borrow()[32 * SECTOR], 0x77);
}
