//! `netcost [-w] [-n BATCHES] INTERFACE ADDRESS SIZE:DEPTH…`: what packets cost, without the stack and without system calls. ADDRESS is the Ethernet address of whoever
//! sends packets of SIZE bytes back, DEPTH of them at a time; `-w` waits until one does. `netcost -m INTERFACE` is such a mirror, until it is killed. Meanwhile nobody
//! else has the interface.
//!
//! Each load is done twice, and the second time counts. Lines `netcost: SIZE:DEPTH TICKS RUNS` come when all of them are done: the ticks of the time-stamp counter
//! that all batches together took, and how often this domain was put on the processor meanwhile. Nothing is printed in between.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;

use programs::args::{self, Args};
use programs::errno::{Errno, Result};
use programs::io::Text;
use programs::socket::Socket;
use programs::{clock, eprintln, println, sys};

programs::program!(main);

/// The ioctl of a socket.
const LOAD: u32 = 0xC024_5802;
/// Until whatever the start of this program set in motion is at rest.
const REST_NS: u64 = 500_000_000;
/// How long the first packet waits for the mirror, and how often it is sent.
const PATIENCE_MS: u32 = 200;
const ATTEMPTS: u32 = 300;

/// The argument of the ioctl.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Argument {
    /// The name; the kernel's answer stands here.
    name: [u8; 16],
    to: [u8; 6],
    size: u16,
    depth: u32,
    batches: u32,
    patience_ms: u32,
}

fn main(args: &Args) -> i32 {
    let mut words: Vec<&[u8]> = args.rest().collect();
    let waits = words.first() == Some(&&b"-w"[..]);
    if waits {
        words.remove(0);
    }
    let mut batches = 16;
    if let [b"-n", count, ..] = words[..] {
        let Some(count) = args::number(count) else {
            return usage();
        };
        batches = count;
        words.drain(..2);
    }
    let result = match words[..] {
        [b"-m", interface] => named(interface).map(mirror),
        [interface, to, ref loads @ ..] => {
            let plans = named(interface).zip(address(to)).and_then(|(name, to)| {
                let base = Argument { to, batches, ..name };
                loads
                    .iter()
                    .map(|load| Some((*load, plan(load, base)?)))
                    .collect()
            });
            plans.map(|plans: Vec<_>| run(waits, &plans))
        }
        _ => None,
    };
    match result {
        Some(Ok(())) => 0,
        Some(Err(error)) => {
            eprintln!("netcost: {error}");
            1
        }
        None => usage(),
    }
}

fn usage() -> i32 {
    eprintln!("usage: netcost [-w] [-n BATCHES] INTERFACE ADDRESS SIZE:DEPTH..., or netcost -m INTERFACE");
    2
}

fn named(interface: &[u8]) -> Option<Argument> {
    let mut argument = Argument::default();
    // A zero ends it.
    argument.name[..15]
        .get_mut(..interface.len())?
        .copy_from_slice(interface);
    Some(argument)
}

fn address(text: &[u8]) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = core::str::from_utf8(text).ok()?.split(':');
    for byte in &mut bytes {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

fn plan(load: &[u8], base: Argument) -> Option<Argument> {
    let mut words = load.split(|byte| *byte == b':');
    let (size, depth) = (words.next()?, words.next()?);
    if words.next().is_some() {
        return None;
    }
    Some(Argument {
        size: u16::try_from(args::number(size)?).ok()?,
        depth: args::number(depth)?,
        ..base
    })
}

fn mirror(argument: Argument) -> Result<()> {
    let socket = Socket::datagram()?;
    loop {
        match once(&socket, argument) {
            // It comes soon.
            Err(Errno::ENODEV) => clock::sleep_ns(u64::from(PATIENCE_MS) * 1_000_000),
            other => return other.map(drop),
        }
    }
}

fn run(waits: bool, plans: &[(&[u8], Argument)]) -> Result<()> {
    let socket = Socket::datagram()?;
    if let Some((_, first)) = plans.first().filter(|_| waits) {
        wait(&socket, *first)?;
    }
    clock::sleep_ns(REST_NS);
    let mut results = Vec::with_capacity(plans.len());
    for (name, plan) in plans {
        once(&socket, Argument { batches: 1, ..*plan })?;
        results.push((*name, once(&socket, *plan)?));
    }
    for (name, [ticks, runs]) in results {
        println!("netcost: {} {ticks} {runs}", Text(name));
    }
    Ok(())
}

/// Waits until there is the interface, and a packet comes back.
fn wait(socket: &Socket, plan: Argument) -> Result<()> {
    let hello = Argument {
        size: 1,
        depth: 1,
        batches: 1,
        patience_ms: PATIENCE_MS,
        ..plan
    };
    for _ in 0..ATTEMPTS {
        match once(socket, hello) {
            Err(Errno::ETIMEDOUT) => {}
            Err(Errno::ENODEV) => clock::sleep_ns(u64::from(PATIENCE_MS) * 1_000_000),
            other => return other.map(drop),
        }
    }
    Err(Errno::ETIMEDOUT)
}

/// Does a load; gives its ticks, and how often the domain was put on the processor.
fn once(socket: &Socket, mut plan: Argument) -> Result<[u64; 2]> {
    // SAFETY: the argument is the call's.
    unsafe { sys::ioctl(socket.descriptor(), LOAD, &mut plan)? };
    let (ticks, runs) = plan.name.split_at(8);
    let number = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    Ok([number(ticks), number(runs)])
}
