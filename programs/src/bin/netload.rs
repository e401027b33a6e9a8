//! `netload ADDRESS[:PORT] [SIZE]`: sends datagrams to a machine as fast as they can be sent, until it is killed.
#![no_std]
#![no_main]

extern crate alloc;

use core::net::{Ipv4Addr, SocketAddrV4};

use programs::args::{self, Args};
use programs::errno::{Errno, Result};
use programs::socket::Socket;
use programs::{eprintln, println};

programs::program!(main);

/// Where nobody listens: the discard service's.
const PORT: u16 = 9;
/// Bytes of a datagram: the most that fit into one packet.
const SIZE: usize = 1472;
/// Datagrams before it says that it has begun.
const BEGUN: u32 = 1000;

fn main(args: &Args) -> i32 {
    let Some((to, size)) = wanted(args) else {
        eprintln!("usage: netload ADDRESS[:PORT] [SIZE]");
        return 2;
    };
    match flood(to, size) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("netload: {to}: {error}");
            1
        }
    }
}

fn wanted(args: &Args) -> Option<(SocketAddrV4, usize)> {
    let mut words = args.rest();
    let to = core::str::from_utf8(words.next()?).ok()?;
    let to = to
        .parse()
        .or_else(|_| to.parse::<Ipv4Addr>().map(|to| SocketAddrV4::new(to, PORT)))
        .ok()?;
    let size = match words.next() {
        Some(size) => args::number(size)
            .map(|size| size as usize)
            .filter(|size| *size <= SIZE)?,
        None => SIZE,
    };
    words.next().is_none().then_some((to, size))
}

fn flood(to: SocketAddrV4, size: usize) -> Result<()> {
    let socket = Socket::datagram()?;
    let bytes = alloc::vec![0x55; size];
    let mut sent = 0_u32;
    loop {
        match socket.send_to(&bytes, to) {
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
