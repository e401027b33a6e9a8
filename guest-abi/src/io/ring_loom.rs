//! Both sides at once, in every order that the memory model allows: no notification is lost.

use loom::sync::Arc;
use loom::sync::atomic::AtomicBool;
use loom::thread;

use super::*;

/// A consumer that went to sleep without having seen the request was notified of it.
#[test]
fn a_backend_that_sleeps_was_notified() {
    loom::model(|| {
        let shared = Arc::new(RingIndices::default());
        shared.init();
        // The backend has consumed nothing and asked for nothing: it must find or be told of the request.
        shared.req_event.store(0, Ordering::Relaxed);
        let notified = Arc::new(AtomicBool::new(false));

        let frontend = {
            let (shared, notified) = (shared.clone(), notified.clone());
            thread::spawn(move || {
                let mut front = FrontRing::new(2);
                front.reserve();
                if front.push_requests(&shared) {
                    notified.store(true, Ordering::Release);
                }
            })
        };
        let found = BackRing::new(2).check_requests(&shared).unwrap();
        frontend.join().unwrap();
        assert!(found || notified.load(Ordering::Acquire));
    });
}

/// The same for a response.
#[test]
fn a_frontend_that_sleeps_was_notified() {
    loom::model(|| {
        let shared = Arc::new(RingIndices::default());
        shared.init();
        let mut front = FrontRing::new(2);
        front.reserve();
        let _ = front.push_requests(&shared);
        shared.rsp_event.store(0, Ordering::Relaxed);
        let notified = Arc::new(AtomicBool::new(false));

        let backend = {
            let (shared, notified) = (shared.clone(), notified.clone());
            thread::spawn(move || {
                let mut back = BackRing::new(2);
                assert!(back.take_request(&shared).unwrap().is_some());
                back.respond();
                if back.push_responses(&shared) {
                    notified.store(true, Ordering::Release);
                }
            })
        };
        let found = front.check_responses(&shared).unwrap();
        backend.join().unwrap();
        assert!(found || notified.load(Ordering::Acquire));
    });
}

/// What the producer wrote to a slot is what the consumer of the index finds there.
#[test]
fn a_slot_is_filled_before_its_index_moves() {
    loom::model(|| {
        let shared = Arc::new(RingIndices::default());
        shared.init();
        let slot = Arc::new(AtomicU32::new(0));

        let frontend = {
            let (shared, slot) = (shared.clone(), slot.clone());
            thread::spawn(move || {
                let mut front = FrontRing::new(2);
                front.reserve();
                slot.store(7, Ordering::Relaxed);
                let _ = front.push_requests(&shared);
            })
        };
        if BackRing::new(2).take_request(&shared).unwrap().is_some() {
            assert_eq!(slot.load(Ordering::Relaxed), 7);
        }
        frontend.join().unwrap();
    });
}
