//! `echo [-n] WORD…`: prints its arguments.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;

use programs::args::Args;
use programs::io;

programs::program!(main);

fn main(args: &Args) -> i32 {
    let mut words: Vec<&[u8]> = args.rest().collect();
    let newline = words.first() != Some(&&b"-n"[..]);
    if !newline {
        words.remove(0);
    }
    let mut line = words.join(&b' ');
    if newline {
        line.push(b'\n');
    }
    io::out(&line);
    0
}
