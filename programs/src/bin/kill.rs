//! `kill [-SIGNAL] PROCESS…`, `kill -l`: sends a signal, SIGTERM if none is named.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;

use programs::args::{self, Args};
use programs::io::Text;
use programs::signal::{self, SIGTERM};
use programs::{eprintln, println, sys};

programs::program!(main);

fn main(args: &Args) -> i32 {
    let mut targets: Vec<&[u8]> = args.rest().collect();
    let mut number = SIGTERM;
    if let Some([b'-', name @ ..]) = targets.first().copied() {
        targets.remove(0);
        if name == b"l" {
            for (number, name) in signal::ALL {
                println!("{number:2} {name}");
            }
            return 0;
        }
        number = match signal::number(name) {
            Some(number) => number,
            None => {
                eprintln!("kill: {}: no such signal (kill -l lists them)", Text(name));
                return 2;
            }
        };
    }
    if targets.is_empty() {
        eprintln!("usage: kill [-SIGNAL] PROCESS... | kill -l");
        return 2;
    }
    let mut status = 0;
    for target in targets {
        status |= match process_number(target).map(|pid| sys::kill(pid, number)) {
            Some(Ok(())) => 0,
            Some(Err(error)) => {
                eprintln!("kill: {}: {error}", Text(target));
                1
            }
            None => {
                eprintln!("kill: {}: not a process number", Text(target));
                2
            }
        };
    }
    status
}

/// A number; a negative one is a process group.
fn process_number(text: &[u8]) -> Option<i32> {
    match text.strip_prefix(b"-") {
        Some(group) => args::number(group)
            .and_then(|number| i32::try_from(number).ok())
            .map(|number| -number),
        None => args::number(text).and_then(|number| i32::try_from(number).ok()),
    }
}
