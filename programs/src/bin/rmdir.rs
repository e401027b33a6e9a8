//! `rmdir DIRECTORY…`: removes empty directories.
#![no_std]
#![no_main]

use programs::args::Args;
use programs::io::Text;
use programs::{eprintln, sys};

programs::program!(main);

fn main(args: &Args) -> i32 {
    if args.len() < 2 {
        eprintln!("usage: rmdir DIRECTORY...");
        return 2;
    }
    let mut status = 0;
    for path in args.rest() {
        if let Err(error) = sys::rmdir(path) {
            eprintln!("rmdir: {}: {error}", Text(path));
            status = 1;
        }
    }
    status
}
