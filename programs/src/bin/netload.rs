//! `netload flood ADDRESS [BYTES]`: sends datagrams to a machine as fast as they can be sent, until it is killed;
//! `netload single ADDRESS COUNT`: pings it so often, each time when the answer to the one before has come.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

use net_tools::echo;
use programs::args::{self, Args};
use programs::errno::{Errno, Result};
use programs::socket::Socket;
use programs::{eprintln, println, sys};

programs::program!(main);

/// Where nobody listens: the discard service's.
const PORT: u16 = 9;
/// Bytes of a datagram: the most that fit into one packet.
const SIZE: usize = 1472;
/// Datagrams before it says that it has begun.
const BEGUN: u32 = 1000;
/// Bytes of data in a ping.
const PING: usize = 56;
/// How long an answer may take.
const PATIENCE_MS: i32 = 10_000;

fn main(args: &Args) -> i32 {
    let words: Vec<&[u8]> = args.rest().collect();
    let address = |word: &[u8]| core::str::from_utf8(word).ok()?.parse::<Ipv4Addr>().ok();
    let result = match words[..] {
        [b"flood", to] => address(to).map(|to| flood(to, SIZE)),
        [b"flood", to, size] => address(to)
            .zip(args::number(size).filter(|size| (1..=SIZE as u32).contains(size)))
            .map(|(to, size)| flood(to, size as usize)),
        [b"single", to, count] => address(to)
            .zip(args::number(count))
            .map(|(to, count)| single(to, count)),
        _ => None,
    };
    match result {
        Some(Ok(())) => 0,
        Some(Err(error)) => {
            eprintln!("netload: {error}");
            1
        }
        None => {
            eprintln!("usage: netload flood ADDRESS [BYTES], or netload single ADDRESS COUNT");
            2
        }
    }
}

fn flood(to: Ipv4Addr, size: usize) -> Result<()> {
    let socket = Socket::datagram()?;
    let bytes = alloc::vec![0x55; size];
    let mut sent = 0_u32;
    loop {
        match socket.send_to(&bytes, SocketAddrV4::new(to, PORT)) {
            Ok(()) => {
                sent = sent.saturating_add(1);
                if sent == BEGUN {
                    println!("netload: {BEGUN} datagrams sent to {to}");
                }
            }
            // It has no room at the moment, or nobody listens there, as a message has told.
            Err(Errno::EAGAIN | Errno::ECONNREFUSED | Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}

fn single(to: Ipv4Addr, count: u32) -> Result<()> {
    let socket = Socket::icmp()?;
    let identifier = sys::getpid() as u16;
    let mut answers = 0;
    for sequence in 0..count {
        let message = echo::request(identifier, sequence as u16, PING);
        socket.send_to(&message, SocketAddrV4::new(to, 0))?;
        while socket.wait(PATIENCE_MS)? {
            let mut buffer = [0; 1600];
            let (len, _) = socket.receive_from(&mut buffer)?;
            let reply = echo::reply(&buffer[..len], identifier);
            if reply.is_some_and(|reply| reply.sequence == sequence as u16) {
                answers += 1;
                break;
            }
        }
    }
    println!("netload: {answers} answers to {count} pings");
    if answers == count {
        Ok(())
    } else {
        Err(Errno::ETIMEDOUT)
    }
}
