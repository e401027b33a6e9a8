//! Frontends and backends that do what they like.

use super::*;
use core::sync::atomic::Ordering;
use guest_abi::io::blkif::Segment as Slice;
use guest_abi::io::blkif::{BlkOp, BlkStatus, Request64, Response64};
use proptest::prelude::*;

const LAYOUT: Layout = Layout::X86_32;

/// A backend with a ring that the test writes itself.
fn backend(between: &Between, disk: &Rc<TestDisk>) -> (Backend<Between>, Rc<SharedPage>) {
    keeping(between, disk, false)
}

/// The same for a frontend that says that it uses grants again, or does not.
pub fn keeping(between: &Between, disk: &Rc<TestDisk>, keeps: bool) -> (Backend<Between>, Rc<SharedPage>) {
    let page = SharedPage::new();
    let own = Box::new(page.clone());
    let backend = Backend::new(between.clone(), own, LAYOUT, disk.clone(), keeps);
    (backend, page)
}

pub fn post(page: &Rc<SharedPage>, request: Request64) {
    let index = page.indices.req_prod.load(Ordering::Relaxed);
    LAYOUT.put_request(&**page, index, request);
    page.indices
        .req_prod
        .store(index.wrapping_add(1), Ordering::Relaxed);
}

pub fn request(operation: BlkOp, id: u64, sector: u64, segments: &[(u32, u8, u8)]) -> Request64 {
    let mut request = Request64 {
        operation,
        nr_segments: segments.len() as u8,
        id,
        sector_number: sector,
        ..Request64::default()
    };
    for (slot, &(gref, first_sect, last_sect)) in request.seg.iter_mut().zip(segments) {
        *slot = Slice {
            gref,
            first_sect,
            last_sect,
            pad: 0,
        };
    }
    request
}

pub fn answers(page: &Rc<SharedPage>) -> Vec<(u64, BlkStatus)> {
    let all = 0..page.indices.rsp_prod.load(Ordering::Relaxed);
    let answer = |slot| LAYOUT.response(&**page, slot % 32);
    all.map(answer)
        .map(|response| (response.id, response.status))
        .collect()
}

pub fn run(backend: &mut Backend<Between>, disk: &TestDisk) -> Step {
    for _ in 0..10_000 {
        let step = backend.step();
        if step != Step::More && !disk.finish(0) {
            return step;
        }
    }
    panic!("it never comes to rest");
}

/// Thirty-two requests of eleven frames, and room for so many frames that two of them fit.
#[test]
fn who_may_map_little_has_its_requests_done_one_after_the_other() {
    let between = Between::new(32);
    let disk = Rc::new(TestDisk::new(64));
    let good = between.grant(0, false).unwrap();
    for (limit, most) in [(0, 11), (43, 11), (44, 22), (usize::MAX, 352)] {
        let (mut backend, page) = backend(&between, &disk);
        backend.set_limit(limit);
        for id in 0..32 {
            post(&page, request(BlkOp::WRITE, id, 0, &[(good, 0, 0); 11]));
        }
        let mut mapped = 0;
        loop {
            let step = backend.step();
            mapped = mapped.max(between.mapped());
            if step != Step::More && !disk.finish(0) {
                break;
            }
        }
        assert_eq!(mapped, most, "limit {limit}");
        let mut ids: Vec<u64> = answers(&page).iter().map(|answer| answer.0).collect();
        ids.sort_unstable();
        assert_eq!(ids, Vec::from_iter(0..32));
        assert!(answers(&page).iter().all(|answer| answer.1 == BlkStatus::OKAY));
        assert_eq!(between.mapped(), 0);
    }
}

#[test]
fn nonsense_is_answered_and_the_next_request_is_done() {
    let between = Between::new(4);
    let disk = Rc::new(TestDisk::new(64));
    let good = between.grant(0, false).unwrap();
    let read_only = between.grant(1, true).unwrap();
    let (mut backend, page) = backend(&between, &disk);
    let not = BlkStatus::EOPNOTSUPP;
    let cases = [
        (request(BlkOp::new(77), 1, 0, &[(good, 0, 7)]), not),
        (request(BlkOp::INDIRECT, 2, 0, &[(good, 0, 7)]), BlkStatus::ERROR),
        (request(BlkOp::WRITE_BARRIER, 3, 0, &[(good, 0, 7)]), not),
        (request(BlkOp::READ, 4, 0, &[(good, 0, 8)]), BlkStatus::ERROR),
        (request(BlkOp::READ, 5, 0, &[(good, 5, 4)]), BlkStatus::ERROR),
        (request(BlkOp::READ, 6, 0, &[(4711, 0, 7)]), BlkStatus::ERROR),
        (request(BlkOp::READ, 7, 0, &[(read_only, 0, 7)]), BlkStatus::ERROR),
        (request(BlkOp::READ, 8, 57, &[(good, 0, 7)]), BlkStatus::ERROR),
        (
            request(BlkOp::WRITE, 9, u64::MAX, &[(good, 0, 7)]),
            BlkStatus::ERROR,
        ),
        (request(BlkOp::READ, 10, 0, &[]), BlkStatus::ERROR),
        (
            request(BlkOp::WRITE, 11, 0, &[(read_only, 0, 7)]),
            BlkStatus::OKAY,
        ),
        (request(BlkOp::READ, 12, 0, &[(good, 0, 7)]), BlkStatus::OKAY),
    ];
    let mut expected = vec![];
    for (request, status) in cases {
        post(&page, request);
        assert_eq!(run(&mut backend, &disk), Step::Idle);
        expected.push((request.id, status));
    }
    assert_eq!(answers(&page), expected);
    let counters = backend.counters();
    assert_eq!(
        (counters.refused, counters.bad_grants, counters.failed),
        (7, 2, 1)
    );
    drop(backend);
    assert_eq!(between.mapped(), 0);
}

#[test]
fn indices_that_make_no_sense_end_the_ring_and_nothing_more_is_taken() {
    for claim in [33, 1000, u32::MAX, 0x8000_0000] {
        let between = Between::new(4);
        let disk = Rc::new(TestDisk::new(64));
        let (mut backend, page) = backend(&between, &disk);
        page.indices.req_prod.store(claim, Ordering::Relaxed);
        assert_eq!(run(&mut backend, &disk), Step::Broken, "{claim:#x}");
        page.indices.req_prod.store(1, Ordering::Relaxed);
        assert_eq!(backend.step(), Step::Broken, "for good");
        assert_eq!(backend.counters().requests, 0);
    }
    // Behind what was taken, while the disk works.
    let between = Between::new(4);
    let disk = Rc::new(TestDisk::new(64));
    let good = between.grant(0, false).unwrap();
    let (mut backend, page) = backend(&between, &disk);
    post(&page, request(BlkOp::READ, 1, 0, &[(good, 0, 7)]));
    while backend.step() == Step::More {}
    assert_eq!((backend.in_flight(), between.mapped()), (1, 1));
    page.indices.req_prod.store(0, Ordering::Relaxed);
    assert_eq!(run(&mut backend, &disk), Step::Broken);
    assert_eq!(
        (backend.in_flight(), between.mapped()),
        (0, 0),
        "what was begun is ended"
    );
}

#[test]
fn a_slot_that_changes_after_it_was_taken_means_nothing() {
    let between = Between::new(4);
    let disk = Rc::new(TestDisk::new(64));
    let (good, other) = (between.grant(0, false).unwrap(), between.grant(1, false).unwrap());
    between.memory.fill(0, 0xAA);
    between.memory.fill(1, 0xBB);
    let (mut backend, page) = backend(&between, &disk);
    post(&page, request(BlkOp::WRITE, 1, 8, &[(good, 0, 7)]));
    assert_eq!(backend.step(), Step::More);
    LAYOUT.put_request(&*page, 0, request(BlkOp::WRITE, 2, 16, &[(other, 0, 7)]));
    // The grant is withdrawn in flight, too: what is mapped stays until it is unmapped.
    between.end(good);
    assert_eq!(run(&mut backend, &disk), Step::Idle);
    assert_eq!(answers(&page), [(1, BlkStatus::OKAY)]);
    assert_eq!(disk.cached.borrow()[8 * SECTOR], 0xAA);
    assert_eq!(disk.cached.borrow()[16 * SECTOR], 0);
    assert!(!between.grants.borrow().contains_key(&good));
}

#[test]
fn a_frontend_does_not_believe_an_answer_to_nothing() {
    let answer = |id, operation| Response64 {
        id,
        operation,
        status: BlkStatus::OKAY,
        ..Response64::default()
    };
    for (response, claimed) in [
        (answer(99, BlkOp::READ), 1),
        (answer(1, BlkOp::WRITE), 1),
        (answer(1, BlkOp::READ), 2),
        (answer(1, BlkOp::READ), u32::MAX),
    ] {
        let world = World::new();
        world.submit(Op::Read, 0, 0, 1, 7).unwrap();
        LAYOUT.put_response(&*world.page, 0, response);
        world.page.indices.rsp_prod.store(claimed, Ordering::Relaxed);
        assert!(!world.front.poll() && !world.front.is_connected());
        assert!(world.results().is_empty());
    }
    // Another backend does it after all.
    let mut world = World::new();
    world.submit(Op::Read, 0, 0, 1, 7).unwrap();
    world.page.indices.rsp_prod.store(9, Ordering::Relaxed);
    assert!(!world.front.poll());
    world.page = SharedPage::new();
    world.front.connect(world.page.clone());
    world.start_backend();
    assert_eq!(world.run(), BTreeMap::from([(7, Ok(()))]));
}

proptest! {
    /// Any bytes in the slots, any indices, at any time: the backend comes to rest, and everything is unmapped in the end.
    #[test]
    fn no_ring_hurts_the_backend(
        keeps: bool,
        limit in 0_usize..60,
        slots in proptest::collection::vec((0_u8..8, 0_u8..14, any::<u64>(), 0_u64..80, 0_u32..6, 0_u8..10, 0_u8..10), 1..40),
        claims in proptest::collection::vec(prop_oneof![0_u32..40, any::<u32>()], 1..20),
    ) {
        let between = Between::new(4);
        for frame in 0..4 {
            between.grant(frame, frame == 3).unwrap();
        }
        let disk = Rc::new(TestDisk::new(64));
        let (mut backend, page) = keeping(&between, &disk, keeps);
        backend.set_limit(limit);
        for (n, (operation, count, id, sector, gref, first, last)) in slots.into_iter().enumerate() {
            let mut asked = request(BlkOp::new(operation), id, sector, &[(gref, first, last); 11]);
            asked.nr_segments = count;
            LAYOUT.put_request(&*page, n as u32, asked);
        }
        for claim in claims {
            page.indices.req_prod.store(claim, Ordering::Relaxed);
            for _ in 0..7 {
                backend.step();
                prop_assert!(between.mapped() <= limit.max(33));
            }
            disk.finish(0);
        }
        run(&mut backend, &disk);
        prop_assert_eq!(backend.in_flight(), 0);
        drop(backend);
        prop_assert_eq!(between.mapped(), 0);
    }
}
