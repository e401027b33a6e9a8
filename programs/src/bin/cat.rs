//! `cat [FILE…]`: prints files, or standard input (`-`).
#![no_std]
#![no_main]

use programs::args::Args;
use programs::eprintln;
use programs::errno::Result;
use programs::file::{File, read_some};
use programs::io::{self, Text};

programs::program!(main);

fn main(args: &Args) -> i32 {
    let mut status = 0;
    if args.len() < 2 {
        status = report(b"-", copy(io::STDIN));
    }
    for path in args.rest() {
        let result = match path {
            b"-" => copy(io::STDIN),
            _ => File::open(path).and_then(|file| copy(file.descriptor())),
        };
        status |= report(path, result);
        if io::output_failed() {
            break;
        }
    }
    status
}

fn copy(fd: i32) -> Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let count = read_some(fd, &mut buffer)?;
        if count == 0 || io::output_failed() {
            return Ok(());
        }
        io::out(&buffer[..count]);
    }
}

fn report(path: &[u8], result: Result<()>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("cat: {}: {error}", Text(path));
            1
        }
    }
}
