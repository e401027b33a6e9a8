//! Requests to send that make no sense, or send what is not the domain's. Each has its own answer, and the next one is done.

use guest_abi::addr::Mfn;
use guest_abi::domain::DomId;
use guest_abi::grant_table::GrantFlags;
use guest_abi::io::netif::{ExtraInfo, NetStatus, TxFlags, TxRequest};
use mini_guest::net::Mac;
use test_guests::{guest_abi, println};

use crate::net::{Net, OTHERS};

const ERROR: NetStatus = NetStatus::ERROR;

/// A slot with extra information.
fn extra(goes_on: bool) -> TxRequest {
    let extra = ExtraInfo {
        kind: 1,
        flags: u8::from(goes_on),
        data: [0xFF; 6],
    };
    TxRequest {
        gref: u32::from_le_bytes([extra.kind, extra.flags, 0xFF, 0xFF]),
        offset: 0xFFFF,
        flags: TxFlags::from_bits_retain(0xFFFF),
        id: 0xFFFF,
        size: 0xFFFF,
    }
}

/// What cannot be sent.
pub fn nonsense(net: &mut Net) {
    net.connect(0);
    net.write(net.vifs[1].mac, net.vifs[0].mac, 1);
    for (offset, size) in [
        (0, 0),
        (0, 13),
        (0, 1515),
        (0, 0xFFFF),
        (4096 - 59, 60),
        (4096, 60),
        (0xFFFF, 60),
        (0xFFFF, 0xFFFF),
    ] {
        let request = TxRequest {
            offset,
            size,
            ..net.good()
        };
        net.send("a length or a place that is none", &[request], &[ERROR]);
        net.counts.refused += 1;
    }
    for bits in [0x10, 0x40, 0x8000, 0xFFF0] {
        let request = TxRequest {
            flags: TxFlags::from_bits_retain(bits),
            ..net.good()
        };
        net.send("a flag that means nothing", &[request], &[ERROR]);
        net.counts.refused += 1;
    }
    let with = |net: &Net, flags| TxRequest { flags, ..net.good() };
    let blank = with(net, TxFlags::CSUM_BLANK);
    net.send("a checksum of what has none", &[blank], &[ERROR]);
    let more = with(net, TxFlags::MORE_DATA);
    net.send(
        "pieces as long as the whole",
        &[more, more, net.good()],
        &[ERROR; 3],
    );
    let piece = TxRequest { size: 1, ..more };
    let whole = TxRequest { size: 1000, ..more };
    let mut pieces = [piece; 24];
    pieces[0] = whole;
    pieces[23].flags = TxFlags::empty();
    net.send("a frame of many pieces", &pieces, &[ERROR; 24]);
    let beyond = TxRequest {
        offset: 4096,
        flags: TxFlags::empty(),
        ..piece
    };
    net.send("a piece beyond its page", &[whole, beyond], &[ERROR; 2]);
    let empty = TxRequest {
        size: 0,
        ..net.good()
    };
    net.send("an empty piece", &[whole, empty], &[ERROR; 2]);
    net.counts.refused += 1 + 3 + 24 + 2 + 2;
    let informed = with(net, TxFlags::EXTRA_INFO);
    net.send(
        "extra information",
        &[informed, extra(false)],
        &[ERROR, NetStatus::NULL],
    );
    let both = with(net, TxFlags::EXTRA_INFO | TxFlags::MORE_DATA);
    let null = NetStatus::NULL;
    net.send(
        "extra information again and again, and another slot",
        &[both, extra(true), extra(true), extra(false), net.good()],
        &[ERROR, null, null, null, ERROR],
    );
    net.counts.refused += 1 + 2;
    net.expect_next("nothing of the nonsense was sent", 2);
    net.leave();
    println!("nonsense in requests: done");
}

/// Pages that are not granted, or not so, or that nobody may grant.
pub fn foreign_frames(net: &mut Net) {
    net.connect(0);
    net.write(net.vifs[1].mac, net.vifs[0].mac, 1);
    let own = net.page.0.mfn();
    let access = GrantFlags::PERMIT_ACCESS;
    let zero = DomId::DOM0;
    let grants = [
        ("to another domain", DomId::new(4711), own, access),
        ("nobody's frame", zero, Mfn::new(0x00FF_FFF0), access),
        ("no frame at all", zero, Mfn::new(u32::MAX), access),
        ("the hypervisor's code", zero, Mfn::new(0x100), access),
        ("for a transfer", zero, own, GrantFlags::ACCEPT_TRANSFER),
        ("of no kind", zero, own, GrantFlags::from_bits_retain(3)),
    ];
    for (what, to, frame, flags) in grants {
        let gref = net.front.publish(to, frame, flags);
        let request = TxRequest { gref, ..net.good() };
        net.send(what, &[request], &[ERROR]);
        net.counts.bad_grants += 1;
        net.front.end(gref);
    }
    let withdrawn = net.front.grant(own, true);
    net.front.end(withdrawn);
    for gref in [withdrawn, 511, 512, 0x8000_0000, u32::MAX] {
        let request = TxRequest { gref, ..net.good() };
        net.send("a reference to nothing", &[request], &[ERROR]);
        net.counts.bad_grants += 1;
    }
    net.expect_next("nothing of others' was sent", 3);
    net.leave();
    println!("frames of others: done");
}

/// Frames from addresses that are others', or nobody's; and frames that are not for the second interface.
pub fn foreign_addresses(net: &mut Net) {
    net.connect(0);
    // It may write its own key; nobody reads it there.
    let own = net.vifs[0].mac;
    net.vifs[0].set(&mut net.front, "mac", OTHERS[0]);
    let looker = net.vifs[1].mac;
    let nobody = Mac([0x02, 0x11, 0x22, 0x33, 0x44, 0x55]);
    let okay = [NetStatus::OKAY];
    for from in [
        OTHERS[0],
        OTHERS[1],
        looker,
        nobody,
        Mac::BROADCAST,
        Mac([0; 6]),
        Mac([0x01, 0, 0x5E, 0, 0, 1]),
    ] {
        for to in [looker, Mac::BROADCAST] {
            net.write(to, from, 1);
            net.send("a frame with another's source", &[net.good()], &okay);
            net.counts.foreign += 1;
        }
    }
    // To where bridges speak with each other.
    net.write(Mac([0x01, 0x80, 0xC2, 0, 0, 0]), own, 1);
    net.send("a frame for bridges", &[net.good()], &okay);
    net.counts.foreign += 1;
    // These are passed on, or lead nowhere; the second interface hears nothing of them.
    for to in [OTHERS[0], nobody, own] {
        net.write(to, own, 1);
        net.send("a frame for others", &[net.good()], &okay);
    }
    net.expect_next("nothing came through, and nothing for others", 4);
    net.write(Mac::BROADCAST, own, 5);
    net.send("a frame for everybody", &[net.good()], &okay);
    let found = net.next_received();
    net.front
        .expect(found == Some(5), "a frame for everybody comes", found);
    net.vifs[0].set(&mut net.front, "mac", own);
    net.leave();
    println!("addresses of others: done");
}
