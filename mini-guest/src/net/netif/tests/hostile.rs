//! What a hostile half does to the other.

use super::*;
use core::sync::atomic::Ordering;
use guest_abi::io::netif::{NetStatus, RxFlags, RxRequest, RxResponse, TxFlags, TxRequest, TxResponse};

/// A frontend that writes what it likes.
pub(super) struct Raw {
    pub(super) world: World,
    posted: u32,
}

impl Raw {
    pub(super) fn new() -> Self {
        let world = World::new();
        // Fresh rings, with nothing in them.
        world.tx.indices().init();
        world.rx.indices().init();
        Self { world, posted: 0 }
    }

    pub(super) fn back(self) -> Self {
        let World { between, tx, rx, .. } = &self.world;
        let back = Backend::new(
            between.clone(),
            Box::new(tx.clone()),
            Box::new(rx.clone()),
            None,
            0,
        );
        Self {
            world: World { back, ..self.world },
            ..self
        }
    }

    pub(super) fn send(&mut self, request: TxRequest) {
        Tx::put_request(&*self.world.tx, self.posted % Tx::COUNT, request);
        self.posted += 1;
        self.world
            .tx
            .indices()
            .req_prod
            .store(self.posted, Ordering::Release);
    }

    fn post(&mut self, index: u32, gref: u32) {
        let id = index as u16;
        Rx::put_request(&*self.world.rx, index % Rx::COUNT, RxRequest { id, pad: 0, gref });
        self.world
            .rx
            .indices()
            .req_prod
            .store(index + 1, Ordering::Release);
    }

    pub(super) fn answers(&self, from: u32) -> Vec<(u16, NetStatus)> {
        let until = self.world.tx.indices().rsp_prod.load(Ordering::Acquire);
        (from..until)
            .map(|index| Tx::response(&*self.world.tx, index % Tx::COUNT))
            .map(|TxResponse { id, status }| (id, status))
            .collect()
    }
}

/// A request like any other.
pub(super) fn good(id: u16) -> TxRequest {
    TxRequest {
        gref: FIRST_REFERENCE + 70,
        offset: 0,
        flags: TxFlags::empty(),
        id,
        size: 60,
    }
}

#[test]
fn nonsense_in_a_request_is_its_own_error() {
    let mut raw = Raw::new().back();
    let bad = [
        TxRequest { size: 13, ..good(1) },
        TxRequest {
            size: 1515,
            ..good(2)
        },
        TxRequest {
            offset: 4090,
            ..good(3)
        },
        TxRequest {
            flags: TxFlags::CSUM_BLANK,
            ..good(4)
        },
        TxRequest {
            flags: TxFlags::from_bits_retain(0x40),
            ..good(5)
        },
        TxRequest { gref: 5, ..good(6) },
        TxRequest {
            gref: u32::MAX,
            ..good(7)
        },
        TxRequest {
            flags: TxFlags::MORE_DATA,
            ..good(8)
        },
        // The end of its chain.
        good(9),
    ];
    for request in bad {
        raw.send(request);
    }
    raw.send(good(10));
    raw.world.settle();
    let mut wanted: Vec<_> = (1..10).map(|id| (id, NetStatus::ERROR)).collect();
    wanted.push((10, NetStatus::OKAY));
    assert_eq!(raw.answers(0), wanted);
    let counters = raw.world.back.counters();
    assert_eq!((counters.refused, counters.bad_grants, counters.sent), (7, 2, 1));
    assert_eq!(raw.world.port.came.len(), 1);
}

#[test]
fn slots_of_extra_information_have_no_error_of_their_own() {
    let mut raw = Raw::new().back();
    raw.send(TxRequest {
        flags: TxFlags::EXTRA_INFO,
        ..good(1)
    });
    raw.send(TxRequest {
        gref: 1,
        ..TxRequest::default()
    });
    raw.send(good(2));
    raw.world.settle();
    assert_eq!(
        raw.answers(0),
        [(1, NetStatus::ERROR), (0, NetStatus::NULL), (2, NetStatus::OKAY)]
    );
}

#[test]
fn a_chain_without_end_does_no_work_and_stops_nobody() {
    let mut raw = Raw::new().back();
    for n in 0..1000_u32 {
        raw.send(TxRequest {
            flags: TxFlags::MORE_DATA,
            ..good(n as u16)
        });
        assert_eq!(raw.world.settle(), Step::Idle);
    }
    assert_eq!(raw.world.back.counters().refused, 1000);
    assert_eq!(
        (raw.world.port.came.len(), raw.world.between.copies.get()),
        (0, 0)
    );
}

#[test]
fn an_index_that_makes_no_sense_is_the_end() {
    for (ring, value) in [(0, 257_u32), (0, u32::MAX), (0, 1 << 31), (1, 257), (1, u32::MAX)] {
        let mut raw = Raw::new().back();
        raw.send(good(1));
        raw.post(0, FIRST_REFERENCE);
        raw.world.port.going.extend((0..5).map(|n| frame(n, 60)));
        raw.world.settle();
        assert_eq!(raw.world.port.came.len(), 1);
        let page = if ring == 0 { &raw.world.tx } else { &raw.world.rx };
        page.indices()
            .req_prod
            .store(value.wrapping_add(1), Ordering::Release);
        assert_eq!(raw.world.settle(), Step::Broken, "{ring} {value}");
        // It stays so, though the index were good again.
        let page = if ring == 0 { &raw.world.tx } else { &raw.world.rx };
        page.indices().req_prod.store(2, Ordering::Release);
        assert_eq!(raw.world.settle(), Step::Broken);
        assert_eq!(raw.world.port.came.len(), 1);
    }
}

#[test]
fn requests_that_are_taken_back_are_the_end() {
    let mut raw = Raw::new().back();
    for id in 0..4 {
        raw.send(good(id));
    }
    raw.world.settle();
    raw.world.tx.indices().req_prod.store(2, Ordering::Release);
    assert_eq!(raw.world.settle(), Step::Broken);
}

#[test]
fn a_slot_that_changes_after_it_was_taken_means_nothing() {
    let mut raw = Raw::new().back();
    for id in 0..BATCH as u16 {
        raw.send(good(id));
    }
    assert_eq!(raw.world.back.step(&mut raw.world.port, 0), Step::More);
    for slot in 0..BATCH as u32 {
        Tx::put_request(
            &*raw.world.tx,
            slot,
            TxRequest {
                size: 0xFFFF,
                gref: 0,
                ..good(77)
            },
        );
    }
    raw.world.settle();
    let wanted: Vec<_> = (0..BATCH as u16).map(|id| (id, NetStatus::OKAY)).collect();
    assert_eq!(raw.answers(0), wanted);
}

#[test]
fn buffers_that_are_none_lose_their_frame_only() {
    let mut raw = Raw::new().back();
    raw.world.port.going.extend((0..4).map(|n| frame(n, 60)));
    // Not granted; granted only to be read; withdrawn; good.
    raw.world
        .between
        .withdrawn
        .borrow_mut()
        .insert(FIRST_REFERENCE + 1);
    for (index, gref) in [3, FIRST_REFERENCE + 80, FIRST_REFERENCE + 1, FIRST_REFERENCE]
        .into_iter()
        .enumerate()
    {
        raw.post(index as u32, gref);
    }
    assert_eq!(raw.world.settle(), Step::Idle);
    let statuses: Vec<i16> = (0..4)
        .map(|slot| Rx::response(&*raw.world.rx, slot).status)
        .collect();
    assert_eq!(statuses, [-1, -1, -1, 60]);
    let counters = raw.world.back.counters();
    assert_eq!((counters.bad_grants, counters.received), (3, 1));
}

#[test]
fn a_frontend_that_never_looks_at_answers_only_stops_itself() {
    let mut raw = Raw::new().back();
    for n in 0..Tx::COUNT {
        raw.send(good(n as u16));
    }
    assert_eq!(raw.world.settle(), Step::Idle);
    assert_eq!(raw.world.port.came.len(), Tx::COUNT as usize);
}

/// A backend that writes what it likes.
fn lie_tx(world: &World, count: u32, id: u16) {
    for slot in 0..count {
        let status = NetStatus::OKAY;
        Tx::put_response(&*world.tx, slot % Tx::COUNT, TxResponse { id, status });
    }
    world.tx.indices().rsp_prod.store(count, Ordering::Release);
}

fn lie_rx(world: &World, response: RxResponse) {
    Rx::put_response(&*world.rx, 0, response);
    world.rx.indices().rsp_prod.store(1, Ordering::Release);
}

#[test]
fn a_backend_that_lies_about_sent_frames_is_not_believed() {
    // Never sent; twice the same; more than were sent.
    for (count, id) in [(1, 5000), (1, 64), (2, 0), (65, 0), (u32::MAX, 0)] {
        let mut world = World::new();
        for n in 0..TX_BUFFERS as u16 {
            world.front.transmit(&frame(n, 60)).unwrap();
        }
        lie_tx(&world, count.min(300), id);
        world.tx.indices().rsp_prod.store(count, Ordering::Release);
        assert_eq!(
            world.front.transmit(&frame(1, 60)),
            Err(NotSent::Gone),
            "{count} {id}"
        );
        assert!(world.front.take_restart() && !world.front.take_restart());
        assert!(!world.front.is_connected());
    }
}

#[test]
fn a_backend_that_lies_about_received_frames_is_not_believed() {
    let good = RxResponse {
        id: 3,
        offset: 0,
        flags: RxFlags::empty(),
        status: 60,
    };
    for bad in [
        RxResponse { id: 64, ..good },
        RxResponse { id: 0xFFFF, ..good },
        RxResponse { offset: 4090, ..good },
        RxResponse {
            offset: 0xFFFF,
            status: i16::MAX,
            ..good
        },
    ] {
        let mut world = World::new();
        lie_rx(&world, bad);
        assert_eq!(world.received(), []);
        assert!(world.front.take_restart(), "{bad:?}");
    }
    // Odd, but it makes sense.
    for odd in [
        RxResponse { status: 13, ..good },
        RxResponse { status: 1515, ..good },
        RxResponse { status: -1, ..good },
        RxResponse {
            flags: RxFlags::MORE_DATA,
            ..good
        },
        RxResponse {
            flags: RxFlags::CSUM_BLANK,
            ..good
        },
    ] {
        let mut world = World::new();
        lie_rx(&world, odd);
        assert_eq!(world.received(), []);
        assert_eq!(
            (world.front.counters().odd, world.front.take_restart()),
            (1, false),
            "{odd:?}"
        );
        // The buffer is offered again.
        assert_eq!(
            world.rx.indices().req_prod.load(Ordering::Acquire),
            RX_BUFFERS as u32 + 1
        );
    }
}
