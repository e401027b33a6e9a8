//! `sleep SECONDS`: waits; fractions are allowed.
#![no_std]
#![no_main]

use programs::args::Args;
use programs::{clock, eprintln};

programs::program!(main);

fn main(args: &Args) -> i32 {
    let duration = args
        .get(1)
        .and_then(clock::parse_seconds)
        .filter(|_| args.len() == 2);
    match duration {
        Some(duration_ns) => {
            clock::sleep_ns(duration_ns);
            0
        }
        None => {
            eprintln!("usage: sleep SECONDS");
            2
        }
    }
}
