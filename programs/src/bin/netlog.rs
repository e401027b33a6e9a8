//! `netlog serve`: answers transfers, at port 7007; `netlog get ADDRESS [BYTES]`: makes one transfer after the other for ever, and says after each what
//! has come.
//!
//! A transfer is a connection. Whoever makes it sends its number and how many bytes; then both send that many at the same time, each
//! those that belong to the number, and judge each byte that comes. Nobody believes in a transfer of which a byte is missing, damaged, or too much.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

use programs::args::{self, Args};
use programs::errno::{Errno, Result};
use programs::file::read_some;
use programs::io::Text;
use programs::socket::Socket;
use programs::{eprintln, println, process};

programs::program!(main);

const PORT: u16 = 7007;
/// Bytes of a transfer where nothing else is said.
const BYTES: u32 = 100_000;
/// Most bytes of a transfer.
const MOST: u32 = 16 << 20;
/// Bytes that are sent before as many are taken: both ends' buffers hold so many.
const CHUNK: u32 = 4096;
const BACKLOG: u32 = 8;

fn main(args: &Args) -> i32 {
    let words: Vec<&[u8]> = args.rest().collect();
    let result = match words[..] {
        [b"serve"] => serve(),
        [b"get", address] => get(address, BYTES),
        [b"get", address, bytes] => match args::number(bytes).filter(|bytes| *bytes <= MOST) {
            Some(bytes) => get(address, bytes),
            None => return usage(),
        },
        _ => return usage(),
    };
    match result {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("netlog: {}: {error}", Text(words[0]));
            1
        }
    }
}

fn usage() -> i32 {
    eprintln!("usage: netlog serve | netlog get ADDRESS [BYTES]");
    2
}

/// The byte at a place of a transfer, in one direction.
fn byte(number: u32, is_back: bool, at: u32) -> u8 {
    let word = (at ^ number.wrapping_mul(0x85EB_CA6B) ^ u32::from(is_back)).wrapping_mul(0x9E37_79B1);
    (word >> 24) as u8
}

fn receive(socket: &Socket, buffer: &mut [u8]) -> Result<()> {
    let mut done = 0;
    while done < buffer.len() {
        match read_some(socket.descriptor(), &mut buffer[done..])? {
            0 => return Err(Errno::EPIPE),
            count => done += count,
        }
    }
    Ok(())
}

/// Both directions of a transfer: sends and judges; gives the checksum (FNV-1a) of what has come.
fn exchange(socket: &Socket, number: u32, bytes: u32, is_server: bool) -> Result<u32> {
    let (mut sum, mut buffer) = (0x811C_9DC5_u32, Vec::new());
    let mut at = 0;
    while at < bytes {
        let places = at..bytes.min(at + CHUNK);
        buffer.clear();
        buffer.extend(places.clone().map(|at| byte(number, is_server, at)));
        socket.send_all(&buffer)?;
        receive(socket, &mut buffer)?;
        for (place, found) in places.clone().zip(&buffer) {
            if *found != byte(number, !is_server, place) {
                eprintln!("netlog: transfer {number}: byte {place} is damaged");
                return Err(Errno::EIO);
            }
            sum = (sum ^ u32::from(*found)).wrapping_mul(0x0100_0193);
        }
        at = places.end;
    }
    Ok(sum)
}

fn get(address: &[u8], bytes: u32) -> Result<()> {
    let text = core::str::from_utf8(address).map_err(|_| Errno::EINVAL)?;
    let address: Ipv4Addr = text.parse().map_err(|_| Errno::EINVAL)?;
    for number in 1.. {
        let sum = transfer(SocketAddrV4::new(address, PORT), number, bytes);
        match sum {
            Ok(sum) => println!("netlog: transfer {number}: {bytes} bytes, sum {sum:08x}"),
            Err(error) => {
                eprintln!("netlog: transfer {number} failed");
                return Err(error);
            }
        }
    }
    Ok(())
}

fn transfer(there: SocketAddrV4, number: u32, bytes: u32) -> Result<u32> {
    let socket = Socket::connect(there)?;
    let head = [number.to_le_bytes(), bytes.to_le_bytes()].concat();
    socket.send_all(&head)?;
    let sum = exchange(&socket, number, bytes, false)?;
    // And nothing behind it.
    match read_some(socket.descriptor(), &mut [0])? {
        0 => Ok(sum),
        _ => Err(Errno::EIO),
    }
}

fn serve() -> Result<()> {
    let server = Socket::listen(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT), BACKLOG)?;
    println!("netlog: at port {PORT}");
    loop {
        let (socket, _) = server.accept()?;
        process::spawn(|| match answer(&socket) {
            Ok(()) => 0,
            Err(error) => {
                eprintln!("netlog: serve: {error}");
                1
            }
        })?;
        // Those that have ended.
        while matches!(process::poll_any(), Ok(Some(_))) {}
    }
}

fn answer(socket: &Socket) -> Result<()> {
    let mut head = [0; 8];
    receive(socket, &mut head)?;
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if word(4) > MOST {
        return Err(Errno::EINVAL);
    }
    exchange(socket, word(0), word(4), true).map(drop)
}
