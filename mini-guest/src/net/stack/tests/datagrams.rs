//! UDP and ping.

use super::*;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, Ipv4Packet};

#[test]
fn datagrams_keep_their_bounds() {
    let mut pair = Pair::new();
    let (client, server) = (
        pair.a.open(Kind::Datagram).unwrap(),
        pair.b.open(Kind::Datagram).unwrap(),
    );
    pair.b.bind(server, at(Ipv4Addr::UNSPECIFIED, 53)).unwrap();
    assert_eq!(pair.a.send(client, b"x", None), Err(Errno::EDESTADDRREQ));
    for text in [&b"first"[..], b"", b"third"] {
        assert_eq!(pair.a.send(client, text, Some(at(B, 53))), Ok(text.len()));
    }
    pair.settle();
    let mut buffer = [0; 3];
    assert_eq!(pair.b.receive(server, &mut buffer, true).unwrap().0, 5);
    let (len, from) = pair.b.receive(server, &mut buffer, false).unwrap();
    assert_eq!((len, &buffer), (5, b"fir"));
    assert_eq!(from, Some(at(A, pair.a.local(client).unwrap().port())));
    assert_eq!(pair.b.receive(server, &mut buffer, false).unwrap().0, 0);
    assert_eq!(pair.b.receive(server, &mut buffer, false).unwrap().0, 5);
    assert_eq!(pair.b.receive(server, &mut buffer, false), Err(Errno::EAGAIN));
    // And back.
    pair.b.send(server, b"reply", from).unwrap();
    pair.settle();
    assert_eq!(pair.a.readiness(client), poll::IN | poll::OUT);
}

#[test]
fn the_longest_and_too_long() {
    let mut pair = Pair::new();
    let (client, server) = (
        pair.a.open(Kind::Datagram).unwrap(),
        pair.b.open(Kind::Datagram).unwrap(),
    );
    pair.b.bind(server, at(B, 9)).unwrap();
    assert_eq!(pair.a.send(client, &[5; 1472], Some(at(B, 9))), Ok(1472));
    assert_eq!(
        pair.a.send(client, &[5; 1473], Some(at(B, 9))),
        Err(Errno::EMSGSIZE)
    );
    pair.settle();
    let mut buffer = [0; 2000];
    assert_eq!(pair.b.receive(server, &mut buffer, false).unwrap().0, 1472);
}

#[test]
fn a_connected_socket_hears_its_peer_only() {
    let mut pair = Pair::new();
    let (a1, a2) = (
        pair.a.open(Kind::Datagram).unwrap(),
        pair.a.open(Kind::Datagram).unwrap(),
    );
    let b = pair.b.open(Kind::Datagram).unwrap();
    pair.a.bind(a1, at(A, 1001)).unwrap();
    pair.a.bind(a2, at(A, 1002)).unwrap();
    pair.b.connect(b, at(A, 1001)).unwrap();
    let to = pair.b.local(b).unwrap();
    pair.a.send(a2, b"not for you", Some(to)).unwrap();
    pair.a.send(a1, b"for you", Some(to)).unwrap();
    pair.settle();
    assert_eq!(read_all(&mut pair.b, b), b"for you");
    assert_eq!(pair.b.peer(b), Ok(at(A, 1001)));
    assert_eq!(pair.b.send(b, b"y", None), Ok(1));
}

#[test]
fn a_flood_is_bounded() {
    let mut pair = Pair::new();
    let (client, server) = (
        pair.a.open(Kind::Datagram).unwrap(),
        pair.b.open(Kind::Datagram).unwrap(),
    );
    pair.b.bind(server, at(B, 9)).unwrap();
    // All are taken, none is promised: nobody has said yet where that is.
    for _ in 0..1000 {
        assert_eq!(pair.a.send(client, &[1; 100], Some(at(B, 9))), Ok(100));
    }
    for _ in 0..100 {
        for _ in 0..8 {
            let _ = pair.a.send(client, &[1; 100], Some(at(B, 9)));
        }
        pair.settle();
    }
    assert_eq!(read_all(&mut pair.b, server).len(), 16 * 100);
}

#[test]
fn who_does_not_answer_keeps_nobody_waiting() {
    let mut pair = Pair::new();
    let nobody = Ipv4Addr::new(10, 0, 0, 77);
    let (client, server) = (
        pair.a.open(Kind::Datagram).unwrap(),
        pair.b.open(Kind::Datagram).unwrap(),
    );
    pair.b.bind(server, at(B, 9)).unwrap();
    pair.a.bind(client, at(A, 1000)).unwrap();
    let raw = pair.a.open(Kind::Icmp).unwrap();
    for _ in 0..20 {
        assert_eq!(pair.a.send(client, &[0; 900], Some(at(nobody, 9))), Ok(900));
        ping(&mut pair.a, raw, nobody);
    }
    pair.pass(1500 * MS);
    for _ in 0..20 {
        assert_eq!(pair.a.send(client, &[1; 900], Some(at(B, 9))), Ok(900));
        ping(&mut pair.a, raw, B);
        pair.pass(1500 * MS);
    }
    let (len, from) = pair.b.receive(server, &mut [0; 1000], false).unwrap();
    assert_eq!((len, from), (900, Some(at(A, 1000))));
    assert!(replies(&mut pair.a, raw) > 0);
}

#[test]
fn to_everybody_only_who_asked() {
    let mut pair = Pair::new();
    let (client, server) = (
        pair.a.open(Kind::Datagram).unwrap(),
        pair.b.open(Kind::Datagram).unwrap(),
    );
    pair.b.bind(server, at(Ipv4Addr::UNSPECIFIED, 9)).unwrap();
    let all = at(Ipv4Addr::new(10, 0, 0, 255), 9);
    assert_eq!(pair.a.send(client, b"all", Some(all)), Err(Errno::EACCES));
    let options = socket::Options {
        broadcast: true,
        ..Default::default()
    };
    pair.a.set_options(client, options).unwrap();
    pair.a.send(client, b"all", Some(all)).unwrap();
    pair.settle();
    assert_eq!(read_all(&mut pair.b, server), b"all");
}

/// Sends an echo request and gives back what came: identifier, number and data of each reply.
fn ping(stack: &mut Stack, id: SocketId, to: Ipv4Addr) {
    let request = Icmpv4Repr::EchoRequest {
        ident: 77,
        seq_no: 3,
        data: b"abcdefgh",
    };
    let mut bytes = vec![0; request.buffer_len()];
    request.emit(
        &mut Icmpv4Packet::new_unchecked(&mut bytes[..]),
        &ChecksumCapabilities::default(),
    );
    assert_eq!(stack.send(id, &bytes, Some(at(to, 0))), Ok(bytes.len()));
}

fn replies(stack: &mut Stack, id: SocketId) -> usize {
    let mut buffer = [0; 200];
    let mut count = 0;
    while let Ok((len, from)) = stack.receive(id, &mut buffer, false) {
        let packet = Ipv4Packet::new_checked(&buffer[..len]).unwrap();
        assert_eq!(from, Some(at(packet.src_addr(), 0)));
        let message = Icmpv4Packet::new_checked(packet.payload()).unwrap();
        let message = Icmpv4Repr::parse(&message, &ChecksumCapabilities::default()).unwrap();
        count += usize::from(matches!(
            message,
            Icmpv4Repr::EchoReply {
                ident: 77,
                seq_no: 3,
                data: b"abcdefgh"
            }
        ));
    }
    count
}

#[test]
fn ping_is_answered() {
    for to in [B, A, Ipv4Addr::LOCALHOST] {
        let mut pair = Pair::new();
        let id = pair.a.open(Kind::Icmp).unwrap();
        ping(&mut pair.a, id, to);
        pair.settle();
        assert_eq!(replies(&mut pair.a, id), 1, "{to}");
    }
    let mut pair = Pair::new();
    let id = pair.a.open(Kind::Icmp).unwrap();
    ping(&mut pair.a, id, Ipv4Addr::new(10, 0, 0, 9));
    pair.pass(5000 * MS);
    assert_eq!(replies(&mut pair.a, id), 0);
}
