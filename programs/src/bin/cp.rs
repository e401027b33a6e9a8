//! `cp FROM TO`: copies a file's bytes; a file that exists is replaced, a disk overwritten from its beginning.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec;
use alloc::vec::Vec;

use programs::abi::{O_CREAT, O_TRUNC, O_WRONLY};
use programs::args::Args;
use programs::eprintln;
use programs::errno::Result;
use programs::file::{File, read_some};
use programs::io::{self, Text};

programs::program!(main);

/// Bytes that are moved at a time.
const CHUNK: usize = 64 * 1024;

fn main(args: &Args) -> i32 {
    let words: Vec<&[u8]> = args.rest().collect();
    let [from, to] = words[..] else {
        eprintln!("usage: cp FROM TO");
        return 2;
    };
    match copy(from, to) {
        Ok(()) => 0,
        Err((path, error)) => {
            eprintln!("cp: {}: {error}", Text(path));
            1
        }
    }
}

fn copy<'a>(from: &'a [u8], to: &'a [u8]) -> core::result::Result<(), (&'a [u8], programs::errno::Errno)> {
    let source = File::open(from).map_err(|error| (from, error))?;
    let target = File::open_with(to, O_WRONLY | O_CREAT | O_TRUNC).map_err(|error| (to, error))?;
    let mut buffer = vec![0; CHUNK];
    loop {
        let count: Result<usize> = read_some(source.descriptor(), &mut buffer);
        let count = count.map_err(|error| (from, error))?;
        if count == 0 {
            return Ok(());
        }
        io::write_all(target.descriptor(), &buffer[..count]).map_err(|error| (to, error))?;
    }
}
