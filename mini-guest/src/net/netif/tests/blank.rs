//! Frames whose checksums their sender left blank.

use super::hostile::{Raw, good};
use super::*;
use crate::net::checksum::tests::{TCP, UDP, frame as packet, is_right, tcp, udp};
use guest_abi::io::netif::{NetStatus, TxFlags, TxRequest};

/// The page that [`good`] names.
const PAGE_OF_GOOD: usize = 70;

/// What a stack sends that leaves its checksums to the card: a sum of the pseudo-header is in their place.
fn blank(id: u16, offset: u16, bytes: &[u8]) -> TxRequest {
    TxRequest {
        offset,
        flags: TxFlags::CSUM_BLANK | TxFlags::DATA_VALIDATED,
        size: bytes.len() as u16,
        ..good(id)
    }
}

#[test]
fn a_blank_checksum_is_filled_in_before_anybody_sees_it() {
    let mut raw = Raw::new().back();
    let packets = [
        packet(UDP, &[], &udp(b"a question", 0x142B), 0),
        packet(TCP, &[], &tcp(b"GET / HTTP/1.0\r\n\r\n", 0x1430), 0),
        // Nothing to compute: one says that there is, one does not.
        frame(3, 60).to_vec(),
        frame(4, 60).to_vec(),
        packet(UDP, &[], &udp(b"the same, said to be whole", 0x142B), 0),
    ];
    for (n, bytes) in packets.iter().enumerate() {
        let offset = 200 * n;
        Host::write(&raw.world.between, PAGE_OF_GOOD, offset, bytes);
        let mut request = blank(n as u16, offset as u16, bytes);
        if n >= 3 {
            request.flags = TxFlags::DATA_VALIDATED;
        }
        raw.send(request);
    }
    assert_eq!(raw.world.settle(), Step::Idle);
    let (okay, error) = (NetStatus::OKAY, NetStatus::ERROR);
    assert_eq!(
        raw.answers(0),
        [(0, okay), (1, okay), (2, error), (3, okay), (4, okay)]
    );
    let came = &raw.world.port.came;
    assert_eq!(came.len(), 4);
    assert!(is_right(&came[0]) && is_right(&came[1]));
    assert_eq!(
        (came[0].len(), came[1].len()),
        (packets[0].len(), packets[1].len())
    );
    // What was not said to be blank goes through as it is, right or wrong.
    assert_eq!((*came[2]).to_vec(), packets[3]);
    assert_eq!((*came[3]).to_vec(), packets[4]);
    let counters = raw.world.back.counters();
    assert_eq!((counters.refused, counters.sent, counters.bad_grants), (1, 4, 0));
    // The sender's own page is as it was.
    let mut own = vec![0; packets[0].len()];
    Host::read(&raw.world.between, PAGE_OF_GOOD, 0, &mut own);
    assert_eq!(own, packets[0]);
}
