//! Keys that name what is not there, and states in no order.

use guest_abi::domain::DomId;
use guest_abi::grant_table::GrantFlags;
use guest_abi::io::blkif::PROTOCOL_X86_32;
use mini_guest::events;
use test_guests::{guest_abi, println};

use crate::disk::Disk;

/// Rings, ports and layouts that there are not.
pub fn keys_that_lie(disk: &mut Disk) {
    let access = GrantFlags::PERMIT_ACCESS;
    let ring = disk.ring.0.mfn();
    let read_only = disk
        .front
        .publish(DomId::DOM0, ring, access | GrantFlags::READ_ONLY);
    let others = disk.front.publish(DomId::new(4711), ring, access);
    let table = disk.front.publish(DomId::DOM0, disk.front.page_table, access);
    let others_port = events::alloc_unbound(DomId::SELF).expect("a port");
    for (ring, port, protocol) in [
        (Some(400), None, PROTOCOL_X86_32),
        (Some(u32::MAX), None, PROTOCOL_X86_32),
        (Some(read_only), None, PROTOCOL_X86_32),
        (Some(others), None, PROTOCOL_X86_32),
        (Some(table), None, PROTOCOL_X86_32),
        (None, Some(0), PROTOCOL_X86_32),
        (None, Some(900), PROTOCOL_X86_32),
        (None, Some(u32::MAX), PROTOCOL_X86_32),
        (None, Some(others_port), PROTOCOL_X86_32),
        (None, None, "m68k-abi"),
        (None, None, ""),
    ] {
        disk.await_backend(2);
        disk.prepare();
        disk.offer(
            ring.unwrap_or(disk.reference),
            port.unwrap_or(disk.port),
            protocol,
        );
        disk.await_backend(5);
        let why = disk.front.read(&alloc::format!("{}/error", disk.backend));
        disk.front
            .expect(!why.is_empty(), "it is said why", (ring, port, protocol));
        disk.leave();
    }
    for reference in [read_only, others, table] {
        disk.front.end(reference);
    }
    let _ = events::close(others_port);
    println!("keys that lie: done");
}

/// States in no order, and none at all; then it connects.
pub fn states_that_jump(disk: &mut Disk) {
    disk.await_backend(2);
    for state in ["4", "3", "5", "99", "-1", "many", "", "3", "2", "8", "0", "4"] {
        disk.set("state", state);
        disk.front.let_it_work();
    }
    // Keys of the backend's directory are not its to write.
    let path = alloc::format!("{}/params", disk.backend);
    let written = disk.front.try_write(&path, "vda");
    disk.front
        .expect(written.is_err(), "the backend's keys are its own", written);
    disk.set("state", "6");
    disk.await_backend(6);
    disk.set("state", "1");
    println!("states that jump: done");
}
