//! What one thread can see of the ring: order, room, notification, and indices that lie.

use super::*;

const SLOTS: u32 = 4;

fn ring() -> (RingIndices, FrontRing, BackRing) {
    let shared = RingIndices::default();
    shared.init();
    (shared, FrontRing::new(SLOTS), BackRing::new(SLOTS))
}

/// A ring whose indices are about to wrap around.
fn old_ring() -> (RingIndices, FrontRing, BackRing) {
    let start = u32::MAX - 1;
    let shared = RingIndices::default();
    shared.req_prod.store(start, Ordering::Relaxed);
    shared.rsp_prod.store(start, Ordering::Relaxed);
    shared.req_event.store(start.wrapping_add(1), Ordering::Relaxed);
    shared.rsp_event.store(start.wrapping_add(1), Ordering::Relaxed);
    let front = FrontRing {
        req_prod: start,
        pushed: start,
        rsp_cons: start,
        ..FrontRing::new(SLOTS)
    };
    let back = BackRing::attach(SLOTS, &shared);
    (shared, front, back)
}

#[test]
fn as_many_slots_as_fit_a_page() {
    assert_eq!(slots(112), 32);
    assert_eq!(slots(108), 32);
    assert_eq!(slots(12), 256);
    assert_eq!(slots(8), 256);
    assert_eq!(slots(PAGE_SIZE - SLOTS_OFFSET), 1);
}

#[test]
fn requests_come_in_order_and_answers_go_back() {
    for (shared, mut front, mut back) in [ring(), old_ring()] {
        for round in 0..5 {
            for _ in 0..SLOTS {
                front.reserve().unwrap();
            }
            assert_eq!(front.reserve(), None, "round {round}");
            assert!(front.push_requests(&shared));

            let mut taken = 0;
            while let Some(slot) = back.take_request(&shared).unwrap() {
                assert_eq!(back.in_flight(), taken + 1);
                assert!(slot < SLOTS);
                taken += 1;
            }
            assert_eq!(taken, SLOTS);
            for _ in 0..SLOTS {
                back.respond().unwrap();
            }
            assert_eq!(back.respond(), None);
            assert!(back.push_responses(&shared));
            assert!(!back.check_requests(&shared).unwrap());

            for _ in 0..SLOTS {
                assert!(front.take_response(&shared).unwrap().is_some());
            }
            assert_eq!(front.take_response(&shared).unwrap(), None);
            assert!(!front.check_responses(&shared).unwrap());
            assert_eq!(front.free(), SLOTS);
        }
    }
}

#[test]
fn nobody_is_notified_who_did_not_ask() {
    let (shared, mut front, mut back) = ring();
    front.reserve();
    assert!(
        front.push_requests(&shared),
        "the first request is always asked for"
    );
    front.reserve();
    assert!(!front.push_requests(&shared), "the backend is awake");
    back.take_request(&shared).unwrap();
    assert!(
        back.check_requests(&shared).unwrap(),
        "the second request is there already"
    );
    back.take_request(&shared).unwrap();
    assert!(!back.check_requests(&shared).unwrap());
    front.reserve();
    assert!(front.push_requests(&shared), "the backend asked again");
    assert!(!front.push_requests(&shared), "nothing new");
}

#[test]
fn a_backend_does_not_follow_a_frontend_that_runs_away() {
    let (shared, mut front, mut back) = ring();
    shared.req_prod.store(SLOTS + 1, Ordering::Relaxed);
    assert_eq!(
        back.take_request(&shared),
        Err(RingError::RequestsOverrun { claimed: SLOTS + 1 })
    );

    shared.req_prod.store(0, Ordering::Relaxed);
    front.reserve();
    front.reserve();
    let _ = front.push_requests(&shared);
    back.take_request(&shared).unwrap();
    back.take_request(&shared).unwrap();
    // Producer behind consumer.
    shared.req_prod.store(1, Ordering::Relaxed);
    assert_eq!(
        back.take_request(&shared),
        Err(RingError::RequestsOverrun { claimed: 1 })
    );
    assert_eq!(
        back.check_requests(&shared),
        Err(RingError::RequestsOverrun { claimed: 1 })
    );
    shared.req_prod.store(u32::MAX, Ordering::Relaxed);
    assert!(back.take_request(&shared).is_err());
}

#[test]
fn a_slot_is_not_free_before_its_answer_is_shown() {
    let (shared, mut front, mut back) = ring();
    front.reserve();
    let _ = front.push_requests(&shared);
    back.take_request(&shared).unwrap();
    back.respond().unwrap();
    // The frontend cannot know of the answer yet: five requests now would be one too many.
    shared.req_prod.store(SLOTS + 1, Ordering::Relaxed);
    assert!(back.take_request(&shared).is_err());
    let _ = back.push_responses(&shared);
    assert!(back.take_request(&shared).unwrap().is_some());
}

#[test]
fn a_frontend_does_not_follow_a_backend_that_runs_away() {
    let (shared, mut front, _) = ring();
    front.reserve();
    front.reserve();
    assert_eq!(front.take_response(&shared), Ok(None));
    // Reserved, but the backend has not seen it.
    shared.rsp_prod.store(1, Ordering::Relaxed);
    assert_eq!(
        front.take_response(&shared),
        Err(RingError::ResponsesOverrun { claimed: 1 })
    );
    let _ = front.push_requests(&shared);
    assert_eq!(front.take_response(&shared), Ok(Some(0)));
    shared.rsp_prod.store(0, Ordering::Relaxed);
    assert_eq!(
        front.check_responses(&shared),
        Err(RingError::ResponsesOverrun { claimed: u32::MAX })
    );
}

#[test]
fn a_new_backend_consumes_what_the_old_one_left() {
    let (shared, mut front, mut old) = ring();
    for _ in 0..3 {
        front.reserve();
    }
    let _ = front.push_requests(&shared);
    while old.take_request(&shared).unwrap().is_some() {}
    old.respond().unwrap();
    let _ = old.push_responses(&shared);

    let mut new = BackRing::attach(SLOTS, &shared);
    assert_eq!(new.take_request(&shared), Ok(Some(1)));
    assert_eq!(new.take_request(&shared), Ok(Some(2)));
    assert_eq!(new.take_request(&shared), Ok(None));
}
