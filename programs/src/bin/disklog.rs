//! `disklog write DISK`: writes records with checksums to a disk, pass after pass for ever, and says how many passes are on it;
//! `disklog check DISK`: tells which passes are there, and fails where a record is damaged or older than the others allow.
//!
//! Record n lies in page 2n, so that neighbours are requests of their own; each pass writes all of them, waits for fsync, has the kernel forget what it holds of
//! the disk, and reads the records back: a write that was acknowledged and is not there ends it. What is behind the records was
//! put there by somebody else, page n holding the number n; a few of these pages are read and judged in each pass.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec;
use alloc::vec::Vec;

use programs::abi::O_RDWR;
use programs::args::Args;
use programs::errno::{Errno, Result};
use programs::file::{File, read_some};
use programs::io::Text;
use programs::{eprintln, println, sys};

programs::program!(main);

const PAGE: usize = 4096;
/// How many records.
const RECORDS: u32 = 48;
/// The first page of those that are read only, and how many are read in a pass.
const OTHERS: u32 = 1024;
const READ: u32 = 8;
/// Passes from one line on the screen to the next.
const TOLD: u32 = 8;
/// ioctl of a disk: write what the kernel holds of it, and forget that.
const BLKFLSBUF: u32 = 0x1261;
/// lseek: from the beginning, from the end.
const SEEK_SET: u32 = 0;
const SEEK_END: u32 = 2;

fn main(args: &Args) -> i32 {
    let words: Vec<&[u8]> = args.rest().collect();
    let result = match words[..] {
        [b"write", disk] => File::open_with(disk, O_RDWR).and_then(|file| write(file.descriptor())),
        [b"check", disk] => File::open(disk).and_then(|file| check(file.descriptor())),
        _ => {
            eprintln!("usage: disklog write|check DISK");
            return 2;
        }
    };
    if let Err(error) = result {
        eprintln!("disklog: {}: {error}", Text(words[1]));
        return 1;
    }
    0
}

/// A record: its number, the pass, and a checksum of both, over all of the page.
fn record(number: u32, pass: u32) -> [u32; 3] {
    let sum = number.wrapping_mul(0x9E37_79B1) ^ pass.wrapping_mul(0x85EB_CA6B).rotate_left(13);
    [number, pass, sum]
}

/// Whether a page holds it.
fn is_record(page: &[u32], record: [u32; 3]) -> bool {
    page.iter().eq(record.iter().cycle().take(page.len()))
}

fn go_to(fd: i32, page: u32) -> Result<()> {
    let at = i32::try_from(u64::from(page) * PAGE as u64).map_err(|_| Errno::EFBIG)?;
    sys::lseek(fd, at, SEEK_SET).map(drop)
}

fn read_page(fd: i32, page: u32) -> Result<Vec<u32>> {
    go_to(fd, page)?;
    let mut bytes = vec![0; PAGE];
    let mut done = 0;
    while done < PAGE {
        match read_some(fd, &mut bytes[done..])? {
            0 => return Err(Errno::EIO),
            count => done += count,
        }
    }
    let words = bytes.chunks_exact(4);
    Ok(words
        .map(|word| u32::from_le_bytes(word.try_into().unwrap_or_default()))
        .collect())
}

fn write(fd: i32) -> Result<()> {
    let pages = sys::lseek(fd, 0, SEEK_END)? / PAGE as u32;
    let others = pages.saturating_sub(OTHERS).max(1);
    let mut next = 0;
    for pass in 1.. {
        for number in 0..RECORDS {
            let words = record(number, pass);
            let bytes: Vec<u8> = words
                .iter()
                .cycle()
                .take(PAGE / 4)
                .flat_map(|word| word.to_le_bytes())
                .collect();
            go_to(fd, 2 * number)?;
            let mut done = 0;
            while done < PAGE {
                done += sys::write(fd, &bytes[done..])?;
            }
        }
        for _ in 0..READ {
            let page = OTHERS + next % others;
            next += 1;
            if read_page(fd, page)?.iter().any(|word| *word != page) {
                eprintln!("disklog: page {page} holds something else");
                return Err(Errno::EIO);
            }
        }
        sys::fsync(fd)?;
        // SAFETY: the request does not look at its argument.
        unsafe { sys::ioctl(fd, BLKFLSBUF, &mut 0_u32) }?;
        for number in 0..RECORDS {
            if !is_record(&read_page(fd, 2 * number)?, record(number, pass)) {
                eprintln!("disklog: record {number} of pass {pass} is not on the disk");
                return Err(Errno::EIO);
            }
        }
        if pass % TOLD == 1 {
            println!("disklog: {pass} passes are on the disk");
        }
    }
    Ok(())
}

fn check(fd: i32) -> Result<()> {
    let (mut least, mut most) = (u32::MAX, 0);
    for number in 0..RECORDS {
        let words = read_page(fd, 2 * number)?;
        let pass = words[1];
        if !is_record(&words, record(number, pass)) {
            eprintln!("disklog: record {number} is damaged");
            return Err(Errno::EIO);
        }
        (least, most) = (least.min(pass), most.max(pass));
    }
    println!("disklog: passes {least} to {most}");
    if most - least > 1 {
        eprintln!("disklog: a record is older than that");
        return Err(Errno::EIO);
    }
    Ok(())
}
