//! TCP.

use super::*;

#[test]
fn connect_echo_close() {
    let mut pair = Pair::new();
    let (_, client, server) = pair.connected();
    assert_eq!(pair.a.peer(client), Ok(at(B, 80)));
    assert_eq!(*pair.a.local(client).unwrap().ip(), A);
    assert_eq!(pair.b.peer(server), Ok(pair.a.local(client).unwrap()));
    assert_eq!(pair.a.send(client, b"hello", None), Ok(5));
    pair.pass(50 * MS);
    assert_eq!(pair.b.readiness(server), poll::IN | poll::OUT);
    assert_eq!(pair.b.waiting(server), 5);
    let text = read_all(&mut pair.b, server);
    assert_eq!(text, b"hello");
    assert_eq!(pair.b.send(server, b"HELLO", None), Ok(5));
    // The server says goodbye; the client reads what came before, then the end, and can still send.
    pair.b.shut_down(server, false, true).unwrap();
    assert_eq!(pair.b.send(server, b"x", None), Err(Errno::EPIPE));
    pair.pass(50 * MS);
    let mut buffer = [0; 3];
    assert_eq!(
        pair.a.receive(client, &mut buffer, true),
        Ok((3, Some(at(B, 80))))
    );
    assert_eq!(read_all(&mut pair.a, client), b"HELLO");
    assert_eq!(pair.a.receive(client, &mut buffer, false).unwrap().0, 0);
    assert_eq!(pair.a.readiness(client), poll::IN | poll::OUT | poll::RDHUP);
    assert_eq!(pair.a.send(client, b"bye", None), Ok(3));
    pair.pass(50 * MS);
    assert_eq!(read_all(&mut pair.b, server), b"bye");
    pair.a.close(client);
    pair.pass(50 * MS);
    pair.b.close(server);
    pair.pass(60_000 * MS);
    assert!(pair.a.orphans.is_empty() && pair.b.orphans.is_empty());
    assert_eq!(pair.a.sockets.iter().count(), 0);
    assert_eq!((pair.a.poll_at(), pair.b.poll_at()), (None, None));
}

#[test]
fn a_long_stream_arrives_whole() {
    let mut pair = Pair::new();
    let (_, client, server) = pair.connected();
    let text: Vec<u8> = (0..200_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    let (mut sent, mut seen) = (0, Vec::new());
    while seen.len() < text.len() {
        match pair.a.send(client, &text[sent..], None) {
            Ok(count) => sent += count,
            Err(error) => assert!(sent == text.len() || error == Errno::EAGAIN),
        }
        pair.pass(20 * MS);
        seen.extend(read_all(&mut pair.b, server));
    }
    assert!(seen == text);
}

#[test]
fn what_nobody_listens_to_is_refused() {
    let mut pair = Pair::new();
    let client = pair.a.open(Kind::Stream).unwrap();
    assert_eq!(pair.a.connect(client, at(B, 81)), Err(Errno::EINPROGRESS));
    assert_eq!(pair.a.connect(client, at(B, 81)), Err(Errno::EALREADY));
    pair.pass(50 * MS);
    assert_eq!(pair.a.readiness(client) & poll::ERR, poll::ERR);
    assert_eq!(pair.a.connect(client, at(B, 81)), Err(Errno::ECONNREFUSED));
    // And can be tried again.
    assert_eq!(pair.a.connect(client, at(B, 81)), Err(Errno::EINPROGRESS));
}

#[test]
fn who_is_not_there_times_out() {
    let mut pair = Pair::new();
    let client = pair.a.open(Kind::Stream).unwrap();
    let nobody = at(Ipv4Addr::new(10, 0, 0, 77), 80);
    assert_eq!(pair.a.connect(client, nobody), Err(Errno::EINPROGRESS));
    pair.pass(10_000 * MS);
    assert_eq!(pair.a.connect(client, nobody), Err(Errno::EALREADY));
    pair.pass(120_000 * MS);
    assert_eq!(pair.a.connect(client, nobody), Err(Errno::ETIMEDOUT));
}

#[test]
fn there_is_no_way_out_of_the_network() {
    let mut pair = Pair::new();
    let client = pair.a.open(Kind::Stream).unwrap();
    let far = at(Ipv4Addr::new(192, 168, 7, 7), 80);
    assert_eq!(pair.a.connect(client, far), Err(Errno::ENETUNREACH));
    let other = at(Ipv4Addr::new(127, 0, 0, 2), 80);
    assert_eq!(pair.a.connect(client, other), Err(Errno::ENETUNREACH));
    let own = Address::new(A, 24, Some(B)).unwrap();
    pair.a.set_address(Some(own));
    assert_eq!(pair.a.connect(client, far), Err(Errno::EINPROGRESS));
}

#[test]
fn a_reset_is_told_once() {
    let mut pair = Pair::new();
    let (_, client, server) = pair.connected();
    pair.a.send(client, b"unread", None).unwrap();
    pair.pass(50 * MS);
    // Bytes that nobody read: the other side is told.
    pair.b.close(server);
    pair.pass(50 * MS);
    let mut buffer = [0; 8];
    assert_eq!(pair.a.receive(client, &mut buffer, false), Err(Errno::ECONNRESET));
    assert_eq!(pair.a.receive(client, &mut buffer, false).unwrap().0, 0);
    assert_eq!(pair.a.send(client, b"x", None), Err(Errno::EPIPE));
    pair.a.close(client);
    pair.pass(MS);
    assert!(pair.a.orphans.is_empty());
}

#[test]
fn who_sends_to_a_closed_end_is_told() {
    let mut pair = Pair::new();
    let (_, client, server) = pair.connected();
    pair.b.close(server);
    pair.pass(50 * MS);
    assert_eq!(pair.a.send(client, b"too late", None), Ok(8));
    pair.pass(50 * MS);
    assert_eq!(pair.a.send(client, b"x", None), Err(Errno::ECONNRESET));
    assert_eq!(pair.a.send(client, b"x", None), Err(Errno::EPIPE));
    assert!(pair.b.orphans.is_empty());
}

#[test]
fn the_loop_needs_no_interface() {
    for ip in [Ipv4Addr::LOCALHOST, A] {
        let mut pair = Pair::new();
        let stack = &mut pair.a;
        let server = stack.open(Kind::Stream).unwrap();
        stack.bind(server, at(ip, 7)).unwrap();
        stack.listen(server, 2).unwrap();
        let client = stack.open(Kind::Stream).unwrap();
        assert_eq!(stack.connect(client, at(ip, 7)), Err(Errno::EINPROGRESS));
        stack.poll(MS);
        assert_eq!(stack.connect(client, at(ip, 7)), Ok(()), "{ip}");
        let (accepted, from) = stack.accept(server).unwrap();
        assert_eq!(*from.ip(), ip);
        stack.send(client, b"to ourselves", None).unwrap();
        stack.poll(2 * MS);
        assert_eq!(read_all(stack, accepted), b"to ourselves");
        let lo = stack.lo();
        assert!(lo.sent.frames() > 4 && lo.received.frames() == lo.sent.frames());
        // Nothing of it went out.
        assert!(!pair.b.poll(3 * MS));
    }
}

#[test]
fn ports_are_one_sockets_own() {
    let mut stack = Stack::new(1, 0);
    let (one, other) = (
        stack.open(Kind::Stream).unwrap(),
        stack.open(Kind::Stream).unwrap(),
    );
    stack.bind(one, at(Ipv4Addr::UNSPECIFIED, 80)).unwrap();
    assert_eq!(stack.bind(one, at(Ipv4Addr::UNSPECIFIED, 81)), Err(Errno::EINVAL));
    assert_eq!(
        stack.bind(other, at(Ipv4Addr::LOCALHOST, 80)),
        Err(Errno::EADDRINUSE)
    );
    assert_eq!(stack.bind(other, at(A, 80)), Err(Errno::EADDRNOTAVAIL));
    // UDP's ports are others.
    let datagram = stack.open(Kind::Datagram).unwrap();
    stack.bind(datagram, at(Ipv4Addr::UNSPECIFIED, 80)).unwrap();
    for id in [one, other] {
        let options = socket::Options {
            reuse_address: true,
            ..Default::default()
        };
        stack.set_options(id, options).unwrap();
    }
    stack.bind(other, at(Ipv4Addr::UNSPECIFIED, 80)).unwrap();
    stack.listen(one, 1).unwrap();
    assert_eq!(stack.listen(other, 1), Err(Errno::EADDRINUSE));
    stack.close(one);
    assert_eq!(stack.listen(other, 1), Ok(()));
    let free = stack.open(Kind::Stream).unwrap();
    stack.bind(free, at(Ipv4Addr::LOCALHOST, 0)).unwrap();
    assert!(stack.local(free).unwrap().port() >= 49152);
}

#[test]
fn several_connections_wait_and_one_at_a_time_comes() {
    let mut pair = Pair::new();
    let server = pair.b.open(Kind::Stream).unwrap();
    pair.b.bind(server, at(B, 80)).unwrap();
    pair.b.listen(server, 3).unwrap();
    let clients: Vec<_> = (0..5).map(|_| pair.a.open(Kind::Stream).unwrap()).collect();
    for client in &clients {
        assert_eq!(pair.a.connect(*client, at(B, 80)), Err(Errno::EINPROGRESS));
    }
    pair.pass(100 * MS);
    let there = |pair: &mut Pair| {
        let ready = clients
            .iter()
            .filter(|id| pair.a.readiness(**id) & poll::OUT != 0);
        ready.count()
    };
    // Those for which there is no room are not refused: they ask again.
    assert_eq!(there(&mut pair), 3);
    assert_eq!(pair.b.readiness(server), poll::IN);
    for _ in 0..3 {
        pair.b.accept(server).unwrap();
    }
    assert_eq!(pair.b.accept(server).err(), Some(Errno::EAGAIN));
    pair.pass(5000 * MS);
    assert_eq!(there(&mut pair), 5);
    pair.b.accept(server).unwrap();
    pair.b.accept(server).unwrap();
}

#[test]
fn a_connection_survives_a_bad_wire() {
    // The wire holds two frames: most of what is sent at once is lost on the way out of the queue, and sent again.
    let (one, other) = Wire::between(Mac([2, 0, 0, 0, 0, 0xa]), Mac([2, 0, 0, 0, 0, 0xb]), 2);
    let mut pair = Pair::new();
    assert!(pair.a.attach(Box::new(one), fixed(A)).is_ok());
    assert!(pair.b.attach(Box::new(other), fixed(B)).is_ok());
    let (_, client, server) = pair.connected();
    let text = [7; 30_000];
    let (mut sent, mut seen) = (0, 0);
    while seen < text.len() {
        sent += pair.a.send(client, &text[sent..], None).unwrap_or(0);
        pair.pass(20 * MS);
        seen += read_all(&mut pair.b, server).len();
    }
    assert_eq!(seen, text.len());
}
