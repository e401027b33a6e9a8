//! `mv FROM TO`: gives a file another name on the same file system.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;

use programs::args::Args;
use programs::io::Text;
use programs::{eprintln, sys};

programs::program!(main);

fn main(args: &Args) -> i32 {
    let words: Vec<&[u8]> = args.rest().collect();
    let [from, to] = words[..] else {
        eprintln!("usage: mv FROM TO");
        return 2;
    };
    match sys::rename(from, to) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("mv: {}: {error}", Text(from));
            1
        }
    }
}
