//! Right checksums, and frames that have none.

use super::*;
use alloc::vec::Vec;
use proptest::prelude::*;

/// Bytes of an Ethernet header and of an IPv4 header without options.
const IP: usize = 14;
const TRANSPORT: usize = IP + 20;
/// As the IPv4 header says them.
pub const TCP: u8 = 6;
/// Likewise.
pub const UDP: u8 = 17;

/// The sum of RFC 1071, written down as it is there, to have another one than that which is tested.
fn sum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u64;
    for word in bytes.chunks(2) {
        sum += u64::from(word[0]) << 8 | word.get(1).map_or(0, |low| u64::from(*low));
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum as u16
}

/// A frame with that payload; behind it, what fills a short frame up.
pub fn frame(protocol: u8, options: &[u8], transport: &[u8], padding: usize) -> Vec<u8> {
    let header = 20 + options.len();
    let total = (header + transport.len()) as u16;
    let mut frame = [[2; 6], [4; 6]].concat();
    frame.extend([8, 0, 0x40 | (header / 4) as u8, 0]);
    frame.extend(total.to_be_bytes());
    frame.extend([0x12, 0x34, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend(options);
    frame.extend(transport);
    frame.resize(frame.len() + padding, 0xEE);
    frame
}

/// A datagram with that in the place of its checksum.
pub fn udp(payload: &[u8], field: u16) -> Vec<u8> {
    let length = (8 + payload.len()) as u16;
    let mut datagram = Vec::from([0x30, 0x39, 0, 53]);
    datagram.extend(length.to_be_bytes());
    datagram.extend(field.to_be_bytes());
    datagram.extend(payload);
    datagram
}

/// A segment with that in the place of its checksum.
pub fn tcp(payload: &[u8], field: u16) -> Vec<u8> {
    let mut segment = Vec::from([
        0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 0x20, 0, 0, 0, 0, 0,
    ]);
    segment[16..18].copy_from_slice(&field.to_be_bytes());
    segment.extend(payload);
    segment
}

/// Whether the segment or datagram in that frame sums up to what RFC 768 and RFC 9293 want.
pub fn is_right(frame: &[u8]) -> bool {
    let header = usize::from(frame[IP] & 15) * 4;
    let total = usize::from(u16::from_be_bytes([frame[IP + 2], frame[IP + 3]]));
    let mut transport = &frame[IP + header..IP + total];
    if frame[IP + 9] == UDP {
        transport = &transport[..u16::from_be_bytes([transport[4], transport[5]]).into()];
    }
    let mut summed = frame[IP + 12..IP + 20].to_vec();
    summed.extend([0, frame[IP + 9]]);
    summed.extend((transport.len() as u16).to_be_bytes());
    summed.extend(transport);
    sum(&summed) == 0xFFFF
}

/// RFC 1071, section 3, for the sum that the others are judged by.
#[test]
fn the_example_of_rfc_1071() {
    assert_eq!(sum(&[0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7]), 0xDDF2);
}

/// Worked out by hand: 10.0.0.1 to 10.0.0.2, port 12345 to 53, payload of the words of RFC 1071.
#[test]
fn known_checksums() {
    let words = [0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7];
    let mut bytes = frame(UDP, &[], &udp(&words, 0x1434), 0);
    assert_eq!(fill(&mut bytes), Ok(()));
    // 0A00 + 0001 + 0A00 + 0002 + 0011 + 0010 + 3039 + 0035 + 0010 + DDF2 = 12294, with its carry 2295.
    assert_eq!(bytes[TRANSPORT + 6..TRANSPORT + 8], (!0x2295_u16).to_be_bytes());

    let mut bytes = frame(TCP, &[], &tcp(&words, 0x1430), 0);
    assert_eq!(fill(&mut bytes), Ok(()));
    // 0A00 + 0001 + 0A00 + 0002 + 0006 + 001C + 3039 + 0050 + 0001 + 0002 + 5018 + 2000 + DDF2 = 192BB, with its carry 92BC.
    assert_eq!(bytes[TRANSPORT + 16..TRANSPORT + 18], (!0x92BC_u16).to_be_bytes());
}

#[test]
fn a_sum_of_zero_is_said_as_ones_by_udp() {
    // The payload is what is missing to a sum of ones.
    let mut bytes = frame(UDP, &[], &udp(&[0, 0], 0), 0);
    let rest = {
        fill(&mut bytes).unwrap();
        [bytes[TRANSPORT + 6], bytes[TRANSPORT + 7]]
    };
    let mut bytes = frame(UDP, &[], &udp(&rest, 0x5555), 0);
    assert_eq!(fill(&mut bytes), Ok(()));
    assert_eq!(bytes[TRANSPORT + 6..TRANSPORT + 8], [0xFF, 0xFF]);
    assert!(is_right(&bytes));
}

#[test]
fn options_and_padding_are_not_summed() {
    for (options, padding) in [
        (&[][..], 0),
        (&[], 6),
        (&[1, 1, 1, 0], 0),
        // A router's alert; a time stamp's place; the end, and then bytes that mean nothing.
        (&[148, 4, 0, 0], 9),
        (&[1, 68, 7, 5, 0, 0, 0, 0], 1),
        (&[0, 131, 3, 0], 0),
    ] {
        for payload in [&b""[..], b"x", b"xyz", &[0xFF; 1001]] {
            for (protocol, transport) in [(UDP, udp(payload, 1)), (TCP, tcp(payload, 2))] {
                let mut bytes = frame(protocol, options, &transport, padding);
                assert_eq!(fill(&mut bytes), Ok(()), "{options:?}");
                assert!(is_right(&bytes), "{options:?} {padding} {protocol}");
            }
        }
    }
}

#[test]
fn bytes_behind_a_datagram_are_not_its_own() {
    let mut datagram = udp(b"12345", 0);
    datagram.extend(b"behind");
    let mut bytes = frame(UDP, &[], &datagram, 0);
    assert_eq!(fill(&mut bytes), Ok(()));
    assert!(is_right(&bytes));
}

#[test]
fn what_has_no_checksum_is_not_changed() {
    let good = || frame(TCP, &[], &tcp(b"payload", 7), 0);
    let datagram = || frame(UDP, &[], &udp(b"payload", 7), 0);
    let with = |mut frame: Vec<u8>, at: usize, value: u8| {
        frame[at] = value;
        frame
    };
    let cases = [
        ("no bytes", Vec::new()),
        ("half a header", good()[..13].to_vec()),
        ("an Ethernet header alone", good()[..14].to_vec()),
        ("half an IPv4 header", good()[..33].to_vec()),
        ("ARP", with(good(), 13, 6)),
        ("IPv6", with(good(), 12, 0x86)),
        ("a tag", with(good(), 12, 0x81)),
        ("a length", with(good(), 12, 0)),
        ("version 6", with(good(), IP, 0x65)),
        ("version 0", with(good(), IP, 0x05)),
        ("a header of 0", with(good(), IP, 0x40)),
        ("a header of 16", with(good(), IP, 0x44)),
        ("a header beyond the packet", with(good(), IP, 0x4F)),
        ("a total length below the header", with(good(), IP + 3, 19)),
        ("a total length of 0", with(good(), IP + 3, 0)),
        ("a total length beyond the frame", with(good(), IP + 3, 48)),
        ("a total length of 64 KiB", with(good(), IP + 2, 0xFF)),
        ("more fragments", with(good(), IP + 6, 0x20)),
        ("a fragment's rest", with(good(), IP + 7, 1)),
        ("a fragment far behind", with(good(), IP + 6, 0x1F)),
        ("ICMP", with(good(), IP + 9, 1)),
        ("SCTP", with(good(), IP + 9, 132)),
        ("a segment without room for its header", with(good(), IP + 3, 39)),
        ("a TCP header of 16", with(good(), TRANSPORT + 12, 0x40)),
        ("a TCP header of 0", with(good(), TRANSPORT + 12, 0)),
        (
            "a TCP header beyond the segment",
            with(good(), TRANSPORT + 12, 0x70),
        ),
        ("half a UDP header", with(datagram(), IP + 3, 27)),
        ("a datagram of 7", with(datagram(), TRANSPORT + 5, 7)),
        ("a datagram of 0", with(datagram(), TRANSPORT + 5, 0)),
        (
            "a datagram beyond its packet",
            with(datagram(), TRANSPORT + 5, 16),
        ),
        ("a datagram of 64 KiB", with(datagram(), TRANSPORT + 4, 0xFF)),
        ("a loose route", frame(UDP, &[1, 131, 3, 4], &udp(b"", 1), 0)),
        (
            "a strict route",
            frame(TCP, &[137, 7, 4, 10, 0, 0, 3, 0], &tcp(b"", 1), 0),
        ),
        (
            "a route behind an option",
            frame(TCP, &[68, 4, 5, 0, 131, 3, 4, 0], &tcp(b"", 1), 0),
        ),
        (
            "an option of length 0",
            frame(UDP, &[7, 0, 0, 0], &udp(b"", 1), 0),
        ),
        (
            "an option of length 1",
            frame(UDP, &[7, 1, 0, 0], &udp(b"", 1), 0),
        ),
        (
            "an option beyond the header",
            frame(UDP, &[1, 1, 7, 3], &udp(b"", 1), 0),
        ),
        (
            "an option without a length",
            frame(UDP, &[1, 1, 1, 7], &udp(b"", 1), 0),
        ),
    ];
    for (what, bytes) in cases {
        let mut filled = bytes.clone();
        assert_eq!(fill(&mut filled), Err(NoChecksum), "{what}");
        assert_eq!(filled, bytes, "{what}");
    }
}

proptest! {
    /// Whatever a frame's headers say: it gets a right checksum and nothing else is changed, or nothing is.
    #[test]
    fn any_frame_is_right_or_as_before(
        protocol in prop_oneof![Just(TCP), Just(UDP), any::<u8>()],
        payload in proptest::collection::vec(any::<u8>(), 0..80),
        padding in 0..8_usize,
        spoilt in proptest::collection::vec((12..60_usize, any::<u8>()), 0..4),
        cut in 0..2_usize,
    ) {
        let transport = if protocol == UDP { udp(&payload, 3) } else { tcp(&payload, 3) };
        let mut bytes = frame(protocol, &[], &transport, padding);
        for (at, value) in spoilt {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(bytes.len() - cut);
        let mut filled = bytes.clone();
        if fill(&mut filled).is_ok() {
            prop_assert!(is_right(&filled));
            let header = usize::from(bytes[IP] & 15) * 4;
            let field = IP + header + if bytes[IP + 9] == UDP { 6 } else { 16 };
            bytes[field..field + 2].copy_from_slice(&filled[field..field + 2]);
        }
        prop_assert_eq!(filled, bytes);
    }
}
