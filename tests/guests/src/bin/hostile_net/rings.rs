//! Rings that make no sense, or that change while they are looked at.

use core::sync::atomic::Ordering;

use guest_abi::io::netif::{NetStatus, TxRequest};
use mini_guest::blkif::RingPage;
use mini_guest::net::Mac;
use mini_guest::net::netif::slots::{Slots, Tx};
use test_guests::frontend::die;
use test_guests::{guest_abi, hypercall, println};

use crate::net::Net;

/// Rounds with slots and grants that change, and frames of each.
const ROUNDS: u32 = 40;
const CROWD: u32 = 48;
/// Turns of the endless ones from one line to the next.
const TOLD: u64 = 1000;

/// The backend says that it is over, and why; then there are other rings.
fn is_over(net: &mut Net, what: &str) {
    let backend = net.vifs[0].backend.clone();
    net.front.await_state(&backend, 5);
    let why = net.front.read(&alloc::format!("{backend}/error"));
    net.front.expect(why == "the rings make no sense", what, why);
    net.leave();
}

/// Indices that run away and go back, of both rings.
pub fn indices(net: &mut Net) {
    net.write(net.vifs[1].mac, net.vifs[0].mac, 1);
    for ahead in [Tx::COUNT + 1, 1000, 0x8000_0000, u32::MAX] {
        net.connect(0);
        net.vifs[0].show(ahead);
        is_over(net, "requests ahead");
        net.connect(0);
        // They are looked at when there is a frame for them.
        net.vifs[0].rx.indices().req_prod.store(ahead, Ordering::SeqCst);
        net.vifs[0].notify();
        net.write(net.vifs[0].mac, net.vifs[1].mac, 7);
        let request = TxRequest {
            id: net.vifs[1].sent as u16,
            ..net.good()
        };
        net.vifs[1].put(request);
        net.vifs[1].show(net.vifs[1].sent);
        is_over(net, "buffers ahead");
    }
    net.connect(0);
    net.expect_next("after all that a frame is sent", 8);
    net.vifs[0].show(0);
    is_over(net, "requests behind");
    println!("indices: done");
}

/// Nobody looks at the answers; some of the frames are for everybody.
pub fn answers_unread(net: &mut Net) {
    net.connect(0);
    for to in [Mac::BROADCAST, net.vifs[0].mac, net.vifs[0].mac] {
        net.write(to, net.vifs[0].mac, 9);
        for _ in 0..Tx::COUNT {
            let request = net.good();
            net.vifs[0].put(request);
        }
        net.vifs[0].show(net.vifs[0].sent);
        net.await_answers("all are answered that nobody looks at");
    }
    net.leave();
    println!("answers unread: done");
}

/// Slots change and grants end before they are looked at, while they are, and behind that.
pub fn changed_in_flight(net: &mut Net) {
    net.connect(0);
    net.write(net.vifs[0].mac, net.vifs[0].mac, 10);
    for round in 0..ROUNDS {
        let first = net.vifs[0].sent;
        let own = net.page.0.mfn();
        let grants = [(); CROWD as usize].map(|()| net.front.grant(own, true));
        for gref in grants {
            let request = TxRequest { gref, ..net.good() };
            net.vifs[0].put(request);
        }
        net.vifs[0].show(net.vifs[0].sent);
        for _ in 0..round % 5 {
            let _ = hypercall::yield_now();
        }
        let revokes = round % 2 == 0;
        for (slot, gref) in (first..).zip(grants) {
            if revokes {
                net.front.revoke(gref);
            } else {
                // As much as there is in a page, and more.
                let (id, size) = (0xFFFF, 0xFFFF);
                let request = TxRequest {
                    id,
                    size,
                    ..net.good()
                };
                // An answer that is there already is not to be lost.
                if net.vifs[0].answered() == first {
                    net.vifs[0].overwrite(slot, request);
                }
            }
        }
        net.await_answers("they are answered, whatever became of them");
        for slot in first..net.vifs[0].sent {
            let answer = net.vifs[0].answer(slot);
            match (answer.id, answer.status) {
                (0xFFFF, NetStatus::ERROR) => net.counts.refused += 1,
                (id, NetStatus::ERROR) if revokes && id == slot as u16 => net.counts.bad_grants += 1,
                (id, NetStatus::OKAY) if id == slot as u16 => {}
                found => net.front.expect(false, "an answer to what was asked", found),
            }
        }
        grants.iter().for_each(|gref| net.front.end(*gref));
    }
    net.leave();
    println!("changed in flight: done");
}

/// Frames without end, until the domain is destroyed, or dies by itself in the middle of them; the second interface takes none of them.
pub fn without_end(net: &mut Net, dies_after: Option<u32>) -> ! {
    net.connect(0);
    net.write(net.vifs[1].mac, net.vifs[0].mac, 11);
    let request = net.good();
    println!("frames without end");
    let vif = &mut net.vifs[0];
    for turn in 1_u64.. {
        while vif.sent.wrapping_sub(vif.answered()) < Tx::COUNT {
            vif.put(request);
        }
        vif.show(vif.sent);
        if dies_after.is_some_and(|count| vif.answered() >= count) {
            println!(
                "dies with {} frames under way",
                vif.sent.wrapping_sub(vif.answered())
            );
            die();
        }
        let _ = hypercall::yield_now();
        if turn % TOLD == 0 {
            println!("frames go on");
        }
    }
    unreachable!("somebody destroys the domain")
}
