//! Keys that name what is not there, and states in no order.

use guest_abi::domain::DomId;
use guest_abi::grant_table::GrantFlags;
use mini_guest::events;
use test_guests::{guest_abi, println};

use crate::net::Net;

/// Rings and ports that there are not, and wishes that nobody fulfils.
pub fn keys_that_lie(net: &mut Net) {
    let access = GrantFlags::PERMIT_ACCESS;
    let ring = net.vifs[0].tx.0.mfn();
    let read_only = net
        .front
        .publish(DomId::DOM0, ring, access | GrantFlags::READ_ONLY);
    let others = net.front.publish(DomId::new(4711), ring, access);
    let table = net.front.publish(DomId::DOM0, net.front.page_table, access);
    let others_port = events::alloc_unbound(DomId::SELF).expect("a port");
    for (tx, rx, port, copies) in [
        (Some(400), None, None, 1),
        (None, Some(400), None, 1),
        (Some(u32::MAX), None, None, 1),
        (None, Some(read_only), None, 1),
        (Some(others), None, None, 1),
        (None, Some(table), None, 1),
        (None, None, Some(0), 1),
        (None, None, Some(900), 1),
        (None, None, Some(u32::MAX), 1),
        (None, None, Some(others_port), 1),
        (None, None, None, 0),
    ] {
        let Net { front, vifs, .. } = &mut *net;
        let vif = &mut vifs[0];
        front.await_state(&vif.backend, 2);
        vif.prepare(front);
        let places = [
            tx.unwrap_or(vif.tx_reference),
            rx.unwrap_or(vif.rx_reference),
            port.unwrap_or(vif.port),
        ];
        vif.offer(front, places, copies);
        front.await_state(&vif.backend, 5);
        let why = front.read(&alloc::format!("{}/error", vif.backend));
        front.expect(!why.is_empty(), "it is said why", places);
        vif.leave(front);
    }
    for reference in [read_only, others, table] {
        net.front.end(reference);
    }
    let _ = events::close(others_port);
    println!("keys that lie: done");
}

/// States in no order, and none at all; and keys that are not its to write.
pub fn states_that_jump(net: &mut Net) {
    let Net { front, vifs, .. } = &mut *net;
    let vif = &vifs[0];
    front.await_state(&vif.backend, 2);
    for state in ["3", "4", "5", "99", "-1", "many", "", "4", "2", "8", "0", "4"] {
        vif.set(front, "state", state);
        front.let_it_work();
    }
    for (key, value) in [("mac", "00:16:3e:77:00:01"), ("permit", "1"), ("rate", "")] {
        let written = front.try_write(&alloc::format!("{}/{key}", vif.backend), value);
        front.expect(written.is_err(), "the backend's keys are its own", (key, written));
    }
    vif.set(front, "state", "6");
    front.await_state(&vif.backend, 6);
    vif.set(front, "state", "1");
    println!("states that jump: done");
}
