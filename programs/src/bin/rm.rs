//! `rm FILE…`: removes files.
#![no_std]
#![no_main]

use programs::args::Args;
use programs::io::Text;
use programs::{eprintln, sys};

programs::program!(main);

fn main(args: &Args) -> i32 {
    if args.len() < 2 {
        eprintln!("usage: rm FILE...");
        return 2;
    }
    let mut status = 0;
    for path in args.rest() {
        if let Err(error) = sys::unlink(path) {
            eprintln!("rm: {}: {error}", Text(path));
            status = 1;
        }
    }
    status
}
