//! `diskload flood DISK PROCESSES`: so many processes read the disk again and again, each its own part, so that many requests are under way;
//! `diskload single DISK COUNT`: reads COUNT places of the disk, one after the other, and says so.
//!
//! What was read before must not be in memory any more when it is read again: the disk is larger than the kernel's cache, and neighbouring places are further
//! apart than the kernel reads ahead.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;

use programs::args::Args;
use programs::errno::{Errno, Result};
use programs::file::{File, read_some};
use programs::io::Text;
use programs::{eprintln, println, sys};

programs::program!(main);

const PAGE: usize = 4096;
/// Pages that the kernel reads together.
const AHEAD: u32 = 8;
/// Most processes.
const MOST: u32 = 64;
/// lseek: from the beginning, from the end.
const SEEK_SET: u32 = 0;
const SEEK_END: u32 = 2;

fn main(args: &Args) -> i32 {
    let words: Vec<&[u8]> = args.rest().collect();
    let number = |word: &[u8]| core::str::from_utf8(word).ok()?.parse::<u32>().ok();
    let (is_flood, disk, count) = match words[..] {
        [b"flood", disk, count] => (
            true,
            disk,
            number(count).filter(|count| (1..=MOST).contains(count)),
        ),
        [b"single", disk, count] => (false, disk, number(count)),
        _ => (false, &b""[..], None),
    };
    let Some(count) = count else {
        eprintln!("usage: diskload flood DISK PROCESSES, or diskload single DISK COUNT");
        return 2;
    };
    let result = if is_flood {
        flood(disk, count)
    } else {
        single(disk, count)
    };
    if let Err(error) = result {
        eprintln!("diskload: {}: {error}", Text(disk));
        return 1;
    }
    0
}

/// Opens a disk; gives how many runs of [`AHEAD`] pages it has.
fn open(disk: &[u8]) -> Result<(File, u32)> {
    let file = File::open(disk)?;
    let runs = sys::lseek(file.descriptor(), 0, SEEK_END)? / (AHEAD * PAGE as u32);
    if runs == 0 {
        Err(Errno::ENOSPC)
    } else {
        Ok((file, runs))
    }
}

/// Reads the first page of a run, and with it the kernel reads all of the run.
fn read_run(file: &File, run: u32) -> Result<()> {
    let at = i32::try_from(u64::from(run * AHEAD) * PAGE as u64).map_err(|_| Errno::EFBIG)?;
    sys::lseek(file.descriptor(), at, SEEK_SET)?;
    let mut bytes = [0; PAGE];
    match read_some(file.descriptor(), &mut bytes)? {
        0 => Err(Errno::EIO),
        _ => Ok(()),
    }
}

fn single(disk: &[u8], count: u32) -> Result<()> {
    let (file, runs) = open(disk)?;
    for number in 0..count {
        read_run(&file, number % runs)?;
    }
    println!("diskload: {count} places read");
    Ok(())
}

fn flood(disk: &[u8], processes: u32) -> Result<()> {
    let mut part = 0;
    while part + 1 < processes && sys::fork()? != 0 {
        part += 1;
    }
    // A file of its own: its position is nobody else's.
    let (file, runs) = open(disk)?;
    let len = (runs / processes).max(1);
    if part + 1 == processes {
        println!("diskload: {processes} processes");
    }
    for step in 0.. {
        read_run(&file, (part * len + step % len) % runs)?;
    }
    Ok(())
}
