//! What comes from a network where everybody may send anything.

use super::*;
use crate::net::testing::Wire;
use crate::net::{FRAME, HEADER};
use proptest::prelude::*;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::*;

const OWN: Mac = Mac([2, 0, 0, 0, 0, 0xb]);

/// A stack with an address at a wire's end, and the other end.
fn exposed() -> (Stack, Wire) {
    let (one, other) = Wire::between(Mac([2, 0, 0, 0, 0, 0xa]), OWN, 1024);
    let mut stack = Stack::new(3, 0);
    assert!(stack.attach(Box::new(other), fixed(B)).is_ok());
    (stack, one)
}

/// A segment from `from` to port 80 of [`B`], as a frame.
fn segment(from: SocketAddrV4, control: TcpControl, seq: i32, ack: Option<i32>) -> Vec<u8> {
    let tcp = TcpRepr {
        src_port: from.port(),
        dst_port: 80,
        control,
        seq_number: TcpSeqNumber(seq),
        ack_number: ack.map(TcpSeqNumber),
        window_len: 1000,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    let ip = Ipv4Repr {
        src_addr: *from.ip(),
        dst_addr: B,
        next_header: IpProtocol::Tcp,
        payload_len: tcp.buffer_len(),
        hop_limit: 64,
    };
    let mut bytes = vec![0; HEADER + ip.buffer_len() + tcp.buffer_len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    frame.set_dst_addr(EthernetAddress(OWN.0));
    frame.set_src_addr(EthernetAddress([2, 0, 0, 0, 0, 0xa]));
    frame.set_ethertype(EthernetProtocol::Ipv4);
    let caps = ChecksumCapabilities::default();
    let mut packet = Ipv4Packet::new_unchecked(frame.payload_mut());
    ip.emit(&mut packet, &caps);
    let mut place = TcpPacket::new_unchecked(packet.payload_mut());
    tcp.emit(&mut place, &from.ip().to_owned().into(), &B.into(), &caps);
    bytes
}

#[test]
fn a_flood_of_requests_takes_no_more_than_the_backlog() {
    let (mut stack, mut wire) = exposed();
    let server = stack.open(Kind::Stream).unwrap();
    stack.bind(server, at(B, 80)).unwrap();
    stack.listen(server, 1000).unwrap();
    let mut now = 0;
    let mut most = 0;
    for n in 0..2000_u16 {
        let from = at(Ipv4Addr::from_bits(A.to_bits() + u32::from(n % 200)), 2000 + n);
        wire.transmit(&segment(from, TcpControl::Syn, n.into(), None))
            .unwrap();
        now += 10 * MS;
        stack.poll(now);
        most = most.max(stack.sockets.iter().count());
        while wire.receive(&mut [0; FRAME]).is_some() {}
    }
    assert_eq!(most, tcp::MAX_BACKLOG);
    // When it is over, what is left of it goes, and others come through.
    now += 6000 * MS;
    stack.poll(now);
    wire.transmit(&segment(at(A, 999), TcpControl::Syn, 5, None))
        .unwrap();
    stack.poll(now + MS);
    let ports = stack.sockets.iter().map(|(_, socket)| match socket {
        smoltcp::socket::Socket::Tcp(socket) => socket.remote_endpoint().map(|end| end.port),
        _ => None,
    });
    let states: Vec<_> = ports.collect();
    assert!(states.contains(&Some(999)) && states.len() <= 2, "{states:?}");
}

#[test]
fn a_request_said_twice_is_one_connection() {
    let (mut stack, mut wire) = exposed();
    let server = stack.open(Kind::Stream).unwrap();
    stack.bind(server, at(B, 80)).unwrap();
    stack.listen(server, 8).unwrap();
    for n in 0..4 {
        wire.transmit(&segment(at(A, 999), TcpControl::Syn, 5, None))
            .unwrap();
        stack.poll(n * MS);
    }
    // The one, and the next that listens.
    assert_eq!(stack.sockets.iter().count(), 2);
}

#[test]
fn sockets_are_limited() {
    let mut stack = Stack::new(1, 0);
    let all: Vec<_> = (0..MAX_SOCKETS)
        .map(|_| stack.open(Kind::Stream).unwrap())
        .collect();
    assert_eq!(stack.open(Kind::Datagram), Err(Errno::ENFILE));
    stack.close(all[5]);
    assert!(stack.open(Kind::Datagram).is_ok());
    assert_eq!(stack.open(Kind::Stream), Err(Errno::ENFILE));
}

#[test]
fn frames_from_outside_are_not_from_ourselves() {
    let (mut stack, mut wire) = exposed();
    let server = stack.open(Kind::Stream).unwrap();
    stack.bind(server, at(Ipv4Addr::UNSPECIFIED, 80)).unwrap();
    stack.listen(server, 8).unwrap();
    wire.transmit(&segment(at(Ipv4Addr::LOCALHOST, 999), TcpControl::Syn, 5, None))
        .unwrap();
    stack.poll(MS);
    assert_eq!(wire.receive(&mut [0; FRAME]), None);
    assert_eq!(stack.drops(), (1, 0));
    // A frame to somebody else, as a bridge floods it.
    let mut bytes = segment(at(A, 999), TcpControl::Syn, 5, None);
    bytes[5] = 0xc;
    wire.transmit(&bytes).unwrap();
    stack.poll(2 * MS);
    assert_eq!(wire.receive(&mut [0; FRAME]), None);
    assert_eq!(stack.sockets.iter().count(), 1);
}

#[test]
fn a_wrong_checksum_is_no_frame() {
    let (mut stack, mut wire) = exposed();
    let server = stack.open(Kind::Stream).unwrap();
    stack.bind(server, at(B, 80)).unwrap();
    stack.listen(server, 8).unwrap();
    let right = segment(at(A, 999), TcpControl::Syn, 5, None);
    for place in [HEADER + 10, HEADER + 20 + 16] {
        let mut bytes = right.clone();
        bytes[place] ^= 1;
        wire.transmit(&bytes).unwrap();
    }
    stack.poll(MS);
    assert_eq!(stack.sockets.iter().count(), 1);
    assert_eq!(wire.receive(&mut [0; FRAME]), None);
    wire.transmit(&right).unwrap();
    stack.poll(2 * MS);
    assert_eq!(stack.sockets.iter().count(), 2);
}

/// A frame that begins well enough to be looked at, and then is anything.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..200);
    (0..4_u8, bytes, any::<bool>()).prop_map(|(kind, mut bytes, checksum)| {
        let mut whole = segment(at(A, 999), TcpControl::Syn, 5, None);
        match kind {
            0 => whole = bytes,
            1 => {
                whole.truncate(HEADER + 20);
                whole[HEADER + 9] = *bytes.first().unwrap_or(&1);
                whole.append(&mut bytes);
            }
            2 => {
                whole.truncate(HEADER);
                whole[13] = 6;
                whole.extend([0, 1, 8, 0, 6, 4, 0, 1]);
                whole.append(&mut bytes);
            }
            _ => bytes.iter().enumerate().for_each(|(n, byte)| {
                let at = HEADER + usize::from(*byte) % (whole.len() - HEADER);
                whole[at] ^= 1 << (n % 8);
            }),
        }
        if checksum && whole.len() >= HEADER + 20 && kind != 2 {
            let len = (whole.len() - HEADER) as u16;
            let mut packet = Ipv4Packet::new_unchecked(&mut whole[HEADER..]);
            packet.set_total_len(len);
            packet.set_header_len(20);
            packet.fill_checksum();
        }
        whole
    })
}

proptest! {
    #[test]
    fn no_frame_does_harm(frames in proptest::collection::vec(frame(), 1..20)) {
        let (mut stack, mut wire) = exposed();
        let server = stack.open(Kind::Stream).unwrap();
        stack.bind(server, at(B, 80)).unwrap();
        stack.listen(server, 8).unwrap();
        let raw = stack.open(Kind::Icmp).unwrap();
        let udp = stack.open(Kind::Datagram).unwrap();
        stack.bind(udp, at(B, 80)).unwrap();
        let mut now = 0;
        for frame in &frames {
            let _ = wire.transmit(frame);
            now += MS;
            stack.poll(now);
            prop_assert!(stack.sockets.iter().count() <= tcp::MAX_BACKLOG + 2);
            for id in [raw, udp] {
                let _ = stack.receive(id, &mut [0; 64], false);
            }
        }
        // It still answers.
        while wire.receive(&mut [0; FRAME]).is_some() {}
        let known = segment(at(A, 4000), TcpControl::Syn, 5, None);
        wire.transmit(&known).unwrap();
        stack.poll(now + 10_000 * MS);
        prop_assert!(wire.receive(&mut [0; FRAME]).is_some());
    }
}
