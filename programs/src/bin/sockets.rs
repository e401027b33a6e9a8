//! `sockets`: connections and datagrams of this machine with itself arrive whole, errors are Linux's, and what is shared out ends.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

use net_tools::echo;
use programs::abi::*;
use programs::args::Args;
use programs::check::Checks;
use programs::errno::{Errno, Result};
use programs::file::{pipe, read_to_end};
use programs::process::{self, Ended};
use programs::signal::SIGPIPE;
use programs::socket::Socket;
use programs::sys;

programs::program!(main);

/// Much more than a connection holds.
const TRANSFER: usize = 300_000;

fn main(_args: &Args) -> i32 {
    let mut checks = Checks::new("sockets");
    checks.equal("a long stream arrives in order and ends", transfer(), Ok(true));
    checks.equal(
        "an answer comes back after a goodbye",
        half_closed(),
        Ok(b"HELLO".to_vec()),
    );
    checks.equal("connections one after another", many(), Ok(60));
    checks.equal("what came is looked at, then read in full", peeked(), Ok((3, 10)));
    checks.equal(
        "datagrams keep their bounds and senders",
        datagrams(),
        Ok((5, 3, true)),
    );
    checks.equal("this machine answers an echo request", ping(), Ok(true));
    checks.equal(
        "a socket that must not wait says so",
        no_waiting(),
        Ok([Errno::EAGAIN, Errno::EINPROGRESS]),
    );
    checks.equal(
        "who writes to nobody dies of SIGPIPE",
        to_nobody(),
        Ok(Ended::Killed(SIGPIPE)),
    );
    checks.equal(
        "poll tells of a connection that waits",
        polled(),
        Ok((false, true)),
    );
    refusals(&mut checks);
    checks.equal(
        "a process has so many sockets and no more",
        limit(),
        Ok((64, Errno::EMFILE)),
    );
    checks.equal(
        "and all end with it",
        process::run(|| i32::from(limit().is_err())),
        Ok(Ended::Exited(0)),
    );
    checks.equal("after which there are some", limit(), Ok((64, Errno::EMFILE)));
    checks.finish()
}

fn here(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
}

/// A socket that waits for connections, and where.
fn server() -> Result<(Socket, SocketAddrV4)> {
    let server = Socket::listen(here(0), 4)?;
    let at = server.local()?;
    Ok((server, at))
}

/// Both ends of a connection.
fn pair() -> Result<(Socket, Socket)> {
    let (server, at) = server()?;
    let client = Socket::connect(at)?;
    let (accepted, from) = server.accept()?;
    if from != client.local()? {
        return Err(Errno::EINVAL);
    }
    Ok((client, accepted))
}

fn transfer() -> Result<bool> {
    let (server, at) = server()?;
    let child = process::spawn(|| {
        let bytes: Vec<u8> = (0..TRANSFER).map(|n| (n * 7 % 251) as u8).collect();
        i32::from(
            Socket::connect(at)
                .and_then(|client| client.send_all(&bytes))
                .is_err(),
        )
    })?;
    let (connection, _) = server.accept()?;
    let bytes = read_to_end(connection.descriptor())?;
    let (_, ended) = process::wait_for(child)?;
    let is_right = bytes
        .iter()
        .enumerate()
        .all(|(n, byte)| *byte == (n * 7 % 251) as u8);
    Ok(is_right && bytes.len() == TRANSFER && ended == Ended::Exited(0))
}

fn half_closed() -> Result<Vec<u8>> {
    let (client, server) = pair()?;
    client.send_all(b"hello")?;
    sys::shutdown(client.descriptor(), 1)?;
    let text = read_to_end(server.descriptor())?;
    server.send_all(&text.to_ascii_uppercase())?;
    drop(server);
    read_to_end(client.descriptor())
}

fn many() -> Result<usize> {
    let (server, at) = server()?;
    let mut count = 0;
    for _ in 0..60 {
        let client = Socket::connect(at)?;
        let (accepted, _) = server.accept()?;
        accepted.send_all(b"x")?;
        drop(accepted);
        count += read_to_end(client.descriptor())?.len();
    }
    Ok(count)
}

fn peeked() -> Result<(usize, usize)> {
    let (client, server) = pair()?;
    client.send_all(b"abc")?;
    let mut buffer = [0; 10];
    let (seen, _) = sys::recvfrom(server.descriptor(), &mut buffer, MSG_PEEK)?;
    let child = process::spawn(|| i32::from(client.send_all(b"defghij").is_err()))?;
    let (all, _) = sys::recvfrom(server.descriptor(), &mut buffer, MSG_WAITALL)?;
    process::wait_for(child)?;
    Ok((seen, if &buffer == b"abcdefghij" { all } else { 0 }))
}

fn datagrams() -> Result<(usize, usize, bool)> {
    let (one, other) = (Socket::datagram()?, Socket::datagram()?);
    other.bind(here(0))?;
    let to = other.local()?;
    one.bind(here(0))?;
    one.send_to(b"first", to)?;
    one.send_to(b"other", to)?;
    let mut buffer = [0; 3];
    let mut long = [0; 100];
    let (len, from) = other.receive_from(&mut long)?;
    // Of the second only what fits.
    let (cut, _) = other.receive_from(&mut buffer)?;
    Ok((len, cut, from == one.local()? && &buffer == b"oth"))
}

fn ping() -> Result<bool> {
    let socket = Socket::icmp()?;
    socket.send_to(&echo::request(4711, 1, 40), here(0))?;
    let mut buffer = [0; 200];
    while socket.wait(5000)? {
        let (len, _) = socket.receive_from(&mut buffer)?;
        if echo::reply(&buffer[..len], 4711).is_some_and(|reply| reply.sequence == 1 && reply.len == 48) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn no_waiting() -> Result<[Errno; 2]> {
    let (server, at) = server()?;
    let flags = sys::fcntl(server.descriptor(), F_GETFL, 0)?;
    sys::fcntl(server.descriptor(), F_SETFL, flags | O_NONBLOCK)?;
    let accepted = sys::accept(server.descriptor()).err().unwrap_or(Errno(0));
    let fd = sys::socket(AF_INET.into(), SOCK_STREAM | SOCK_NONBLOCK, 0)?;
    let connected = sys::connect(fd, &at.into()).err().unwrap_or(Errno(0));
    sys::close(fd)?;
    Ok([accepted, connected])
}

fn to_nobody() -> Result<Ended> {
    let (client, server) = pair()?;
    process::run(move || {
        drop(server);
        // The first write is answered by a reset, of which the next one is told once; then there is the signal.
        for _ in 0..10 {
            let _ = sys::write(client.descriptor(), b"x");
        }
        1
    })
}

fn polled() -> Result<(bool, bool)> {
    let (server, at) = server()?;
    let before = server.wait(0)?;
    let client = Socket::connect(at)?;
    let after = server.wait(5000)?;
    drop(client);
    Ok((before, after))
}

/// Makes sockets until there are no more: how many, and what is said then.
fn limit() -> Result<(usize, Errno)> {
    let mut all = Vec::new();
    loop {
        match Socket::datagram() {
            Ok(socket) => all.push(socket),
            Err(error) => return Ok((all.len(), error)),
        }
    }
}

fn refusals(checks: &mut Checks) {
    let inet = AF_INET.into();
    checks.equal(
        "no such family",
        sys::socket(10, SOCK_STREAM, 0),
        Err(Errno::EAFNOSUPPORT),
    );
    checks.equal(
        "no such protocol",
        sys::socket(inet, SOCK_STREAM, 17),
        Err(Errno::EPROTONOSUPPORT),
    );
    let nobody = Socket::connect(here(1)).map(drop);
    checks.equal("nobody listens", nobody, Err(Errno::ECONNREFUSED));
    let far = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 9), 1);
    checks.equal(
        "no way there",
        Socket::connect(far).map(drop),
        Err(Errno::ENETUNREACH),
    );
    let taken = server().and_then(|(_server, at)| Socket::listen(at, 1).map(drop));
    checks.equal("the port is taken", taken, Err(Errno::EADDRINUSE));
    let foreign = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 0);
    let bound = Socket::datagram().and_then(|socket| socket.bind(foreign));
    checks.equal("not our address", bound, Err(Errno::EADDRNOTAVAIL));
    let no_socket = pipe().and_then(|(end, _other)| sys::listen(end.descriptor(), 1));
    checks.equal("a pipe is no socket", no_socket, Err(Errno::ENOTSOCK));
    let accepted = Socket::datagram().and_then(|socket| sys::accept(socket.descriptor()).map(drop));
    checks.equal("datagrams have no connections", accepted, Err(Errno::EOPNOTSUPP));
    let long = Socket::datagram().and_then(|socket| socket.send_to(&vec![0; 1473], here(9)));
    checks.equal("longer than a packet", long, Err(Errno::EMSGSIZE));
    let option =
        Socket::datagram().and_then(|socket| sys::setsockopt(socket.descriptor(), SOL_SOCKET, 99, 1));
    checks.equal("no such option", option, Err(Errno::ENOPROTOOPT));
    let kind =
        Socket::datagram().and_then(|socket| sys::getsockopt(socket.descriptor(), SOL_SOCKET, SO_TYPE));
    checks.equal("the kind of a socket", kind, Ok(SOCK_DGRAM));
    let seek = Socket::datagram().map(|socket| sys::lseek(socket.descriptor(), 0, 1));
    checks.equal("a socket has no position", seek, Ok(Err(Errno::ESPIPE)));
}
