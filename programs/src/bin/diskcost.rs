//! `diskcost [-n BATCHES] DISK LOAD…`: what requests of a disk cost, without the cache and without system calls. A LOAD is `read:SIZE:DEPTH` or
//! `write:SIZE:DEPTH`: requests of SIZE bytes, DEPTH of them at a time, each some way behind the one before. **Writing destroys what is on the disk.**
//!
//! Each load is done twice, and the second time counts. Lines `diskcost: LOAD TICKS RUNS` come when all of them are done: the ticks of the time-stamp counter that
//! all batches together took, and how often this domain was put on the processor meanwhile. Nothing is printed in between.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;

use programs::abi::{O_RDONLY, O_RDWR};
use programs::args::Args;
use programs::errno::Result;
use programs::file::File;
use programs::io::Text;
use programs::{clock, eprintln, println, sys};

programs::program!(main);

/// The ioctl of a disk's file.
const LOAD: u32 = 0xC024_5801;
/// From one request to the next, in requests.
const STEP: u64 = 2;
/// Until whatever the start of this program set in motion is at rest.
const REST_NS: u64 = 500_000_000;

/// The argument of the ioctl.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Argument {
    is_write: u32,
    size: u32,
    depth: u32,
    batches: u32,
    zero: u32,
    /// The first byte; the kernel's answer stands here.
    first: [u32; 2],
    step: [u32; 2],
}

fn main(args: &Args) -> i32 {
    let mut words: Vec<&[u8]> = args.rest().collect();
    let mut batches = 16;
    if let [b"-n", count, ..] = words[..] {
        let Some(count) = number(count) else {
            return usage();
        };
        batches = count;
        words.drain(..2);
    }
    let [disk, ref loads @ ..] = words[..] else {
        return usage();
    };
    let mut plans = Vec::new();
    for load in loads {
        let Some(argument) = plan(load, batches) else {
            return usage();
        };
        plans.push((*load, argument));
    }
    if let Err(error) = run(disk, &plans) {
        eprintln!("diskcost: {}: {error}", Text(disk));
        return 1;
    }
    0
}

fn usage() -> i32 {
    eprintln!("usage: diskcost [-n BATCHES] DISK read:SIZE:DEPTH|write:SIZE:DEPTH...");
    2
}

fn number(text: &[u8]) -> Option<u32> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

fn plan(load: &[u8], batches: u32) -> Option<Argument> {
    let words: Vec<&[u8]> = load.split(|byte| *byte == b':').collect();
    let [kind, size, depth] = words[..] else {
        return None;
    };
    let is_write = match kind {
        b"read" => 0,
        b"write" => 1,
        _ => return None,
    };
    let size = number(size)?;
    let step = u64::from(size) * STEP;
    Some(Argument {
        is_write,
        size,
        depth: number(depth)?,
        batches,
        step: [step as u32, (step >> 32) as u32],
        ..Argument::default()
    })
}

fn run(disk: &[u8], plans: &[(&[u8], Argument)]) -> Result<()> {
    let writes = plans.iter().any(|(_, plan)| plan.is_write != 0);
    let file = File::open_with(disk, if writes { O_RDWR } else { O_RDONLY })?;
    clock::sleep_ns(REST_NS);
    let mut results = Vec::with_capacity(plans.len());
    for (name, plan) in plans {
        once(&file, Argument { batches: 1, ..*plan })?;
        results.push((*name, once(&file, *plan)?));
    }
    for (name, [ticks, runs]) in results {
        println!("diskcost: {} {ticks} {runs}", Text(name));
    }
    Ok(())
}

/// Does a load; gives its ticks, and how often the domain was put on the processor.
fn once(file: &File, mut plan: Argument) -> Result<[u64; 2]> {
    // SAFETY: the argument is the call's.
    unsafe { sys::ioctl(file.descriptor(), LOAD, &mut plan)? };
    Ok([plan.first, plan.step].map(|[low, high]| u64::from(low) | u64::from(high) << 32))
}
