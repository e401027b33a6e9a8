//! `wc [-l] [-w] [-c] [FILE…]`: counts lines, words and bytes of files, or of standard input.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;

use programs::args::Args;
use programs::errno::Result;
use programs::file::{File, read_some};
use programs::io::{STDIN, Text};
use programs::{eprintln, print, println};

programs::program!(main);

#[derive(Clone, Copy, Default)]
struct Counts {
    lines: u64,
    words: u64,
    bytes: u64,
}

fn main(args: &Args) -> i32 {
    let mut wanted = Vec::new();
    let mut paths = Vec::new();
    for argument in args.rest() {
        match argument {
            b"-l" | b"-w" | b"-c" => wanted.push(argument[1]),
            [b'-', _, ..] => {
                eprintln!("usage: wc [-l] [-w] [-c] [FILE...]");
                return 2;
            }
            path => paths.push(path),
        }
    }
    if wanted.is_empty() {
        wanted.extend_from_slice(b"lwc");
    }
    if paths.is_empty() {
        return match count(STDIN) {
            Ok(counts) => show(counts, &wanted, b""),
            Err(error) => {
                eprintln!("wc: {error}");
                1
            }
        };
    }
    let mut total = Counts::default();
    let mut status = 0;
    for path in &paths {
        match File::open(path).and_then(|file| count(file.descriptor())) {
            Ok(counts) => {
                show(counts, &wanted, path);
                total.lines += counts.lines;
                total.words += counts.words;
                total.bytes += counts.bytes;
            }
            Err(error) => {
                eprintln!("wc: {}: {error}", Text(path));
                status = 1;
            }
        }
    }
    if paths.len() > 1 {
        show(total, &wanted, b"total");
    }
    status
}

fn count(fd: i32) -> Result<Counts> {
    let mut buffer = [0; 4096];
    let mut counts = Counts::default();
    let mut in_word = false;
    loop {
        let filled = read_some(fd, &mut buffer)?;
        if filled == 0 {
            return Ok(counts);
        }
        counts.bytes += filled as u64;
        for byte in &buffer[..filled] {
            counts.lines += u64::from(*byte == b'\n');
            let blank = byte.is_ascii_whitespace();
            counts.words += u64::from(!blank && !in_word);
            in_word = !blank;
        }
    }
}

fn show(counts: Counts, wanted: &[u8], name: &[u8]) -> i32 {
    for (letter, number) in [(b'l', counts.lines), (b'w', counts.words), (b'c', counts.bytes)] {
        if wanted == [letter] {
            print!("{number}");
        } else if wanted.contains(&letter) {
            print!("{number:8}");
        }
    }
    println!("{}{}", if name.is_empty() { "" } else { " " }, Text(name));
    0
}
