//! `ping [-c COUNT] [-s SIZE] ADDRESS`: asks a machine whether it is there, once a second, until it is interrupted.
#![no_std]
#![no_main]

extern crate alloc;

use core::net::{Ipv4Addr, SocketAddrV4};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use net_tools::echo::{self, Tally};
use programs::args::{self, Args};
use programs::errno::{Errno, Result};
use programs::signal::{self, Action, SIGINT};
use programs::socket::Socket;
use programs::{clock, eprintln, io, println, sys};

programs::program!(main);

/// Between two requests, and how long the last one is waited for.
const SECOND_NS: u64 = 1_000_000_000;
const LAST_NS: u64 = 3 * SECOND_NS;
/// Bytes of data, as everywhere.
const SIZE: usize = 56;
/// Most bytes of data that fit into one packet.
const MAX_SIZE: usize = 1472;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn interrupt(_: i32) {
    INTERRUPTED.store(true, Relaxed);
}

/// What is asked for.
struct Wanted {
    to: Ipv4Addr,
    count: Option<u32>,
    size: usize,
}

fn main(args: &Args) -> i32 {
    let Some(wanted) = wanted(args) else {
        eprintln!("usage: ping [-c COUNT] [-s SIZE] ADDRESS");
        return 2;
    };
    match ping(&wanted) {
        Ok(tally) => {
            report(&wanted, &tally);
            i32::from(tally.received == 0 || io::output_failed())
        }
        Err(error) => {
            eprintln!("ping: {}: {error}", wanted.to);
            1
        }
    }
}

fn wanted(args: &Args) -> Option<Wanted> {
    let (mut to, mut count, mut size) = (None, None, SIZE);
    let mut words = args.rest();
    while let Some(word) = words.next() {
        match word {
            b"-c" => count = Some(args::number(words.next()?).filter(|count| *count > 0)?),
            b"-s" => {
                size = args::number(words.next()?)
                    .map(|size| size as usize)
                    .filter(|size| *size <= MAX_SIZE)?
            }
            word if to.is_none() => to = Some(core::str::from_utf8(word).ok()?.parse().ok()?),
            _ => return None,
        }
    }
    Some(Wanted { to: to?, count, size })
}

fn ping(wanted: &Wanted) -> Result<Tally> {
    let socket = Socket::icmp()?;
    signal::simple(SIGINT, Action::Handle(interrupt))?;
    let identifier = sys::getpid() as u16;
    println!("PING {}: {} data bytes", wanted.to, wanted.size);
    let mut tally = Tally::default();
    let begin = clock::monotonic_ns();
    let mut sent_at = alloc::vec![0_u64; 64];
    let mut last_seen = None;
    loop {
        let is_last = wanted.count == Some(tally.sent);
        if !is_last {
            let sequence = tally.sent as u16;
            let message = echo::request(identifier, sequence, wanted.size);
            sent_at[usize::from(sequence) % 64] = clock::monotonic_ns();
            match socket.send_to(&message, SocketAddrV4::new(wanted.to, 0)) {
                Ok(()) | Err(Errno::EAGAIN) => tally.sent += 1,
                Err(error) => return Err(error),
            }
        }
        let until = if is_last {
            clock::monotonic_ns() + LAST_NS
        } else {
            begin + u64::from(tally.sent) * SECOND_NS
        };
        loop {
            let left = until.saturating_sub(clock::monotonic_ns());
            let is_done = wanted.count == Some(tally.received);
            if INTERRUPTED.load(Relaxed) || is_done || left == 0 && is_last {
                return Ok(tally);
            }
            if left == 0 {
                break;
            }
            match socket.wait(left.div_ceil(1_000_000) as i32) {
                Ok(false) | Err(Errno::EINTR) => continue,
                Ok(true) => {}
                Err(error) => return Err(error),
            }
            let mut buffer = [0; 1600];
            let (len, _) = socket.receive_from(&mut buffer)?;
            let now = clock::monotonic_ns();
            let Some(reply) = echo::reply(&buffer[..len], identifier) else {
                continue;
            };
            let age = (tally.sent as u16).wrapping_sub(reply.sequence);
            // Of the last 64 requests, and not said twice.
            if age == 0
                || age > 64
                || last_seen
                    .is_some_and(|seen: u16| reply.sequence.wrapping_sub(seen).wrapping_sub(1) >= 0x8000)
            {
                println!("duplicate or late: icmp_seq={}", reply.sequence);
                continue;
            }
            last_seen = Some(reply.sequence);
            let micros = now.saturating_sub(sent_at[usize::from(reply.sequence) % 64]) / 1000;
            tally.came(micros);
            println!(
                "{} bytes from {}: icmp_seq={} ttl={} time={}.{:03} ms",
                reply.len,
                reply.from,
                reply.sequence,
                reply.hops,
                micros / 1000,
                micros % 1000
            );
        }
    }
}

fn report(wanted: &Wanted, tally: &Tally) {
    println!("--- {} ping statistics ---", wanted.to);
    println!(
        "{} packets transmitted, {} packets received, {}% packet loss",
        tally.sent,
        tally.received,
        tally.loss()
    );
    if tally.received > 0 {
        let ms = |micros: u64| (micros / 1000, micros % 1000);
        let ((a, b), (c, d), (e, f)) = (ms(tally.least), ms(tally.mean()), ms(tally.most));
        println!("round-trip min/avg/max = {a}.{b:03}/{c}.{d:03}/{e}.{f:03} ms");
    }
}
