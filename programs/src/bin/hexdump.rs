//! `hexdump [FILE…]`: offsets, bytes in hexadecimal, and what of them is text, as `hexdump -C` prints it.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::String;
use core::fmt::Write;

use programs::args::Args;
use programs::errno::Result;
use programs::file::{File, read_some};
use programs::io::{self, STDIN, Text};
use programs::{eprintln, println};

programs::program!(main);

const ROW: usize = 16;

fn main(args: &Args) -> i32 {
    let mut offset = 0;
    let mut status = 0;
    let mut dumped = false;
    // -C is what the program of other systems needs for this form.
    for path in args.rest().filter(|&argument| argument != b"-C") {
        dumped = true;
        let result = File::open(path).and_then(|file| dump(file.descriptor(), &mut offset));
        if let Err(error) = result {
            eprintln!("hexdump: {}: {error}", Text(path));
            status = 1;
        }
    }
    if !dumped && let Err(error) = dump(STDIN, &mut offset) {
        eprintln!("hexdump: {error}");
        status = 1;
    }
    println!("{offset:08x}");
    status
}

fn dump(fd: i32, offset: &mut usize) -> Result<()> {
    let mut row = [0; ROW];
    loop {
        let mut filled = 0;
        while filled < ROW {
            let count = read_some(fd, &mut row[filled..])?;
            if count == 0 {
                break;
            }
            filled += count;
        }
        if filled == 0 || io::output_failed() {
            return Ok(());
        }
        io::out(line(*offset, &row[..filled]).as_bytes());
        *offset += filled;
    }
}

fn line(offset: usize, row: &[u8]) -> String {
    let mut text = String::new();
    let _ = write!(text, "{offset:08x} ");
    for index in 0..ROW {
        if index % 8 == 0 {
            text.push(' ');
        }
        let _ = match row.get(index) {
            Some(byte) => write!(text, "{byte:02x} "),
            None => write!(text, "   "),
        };
    }
    text.push_str(" |");
    text.extend(row.iter().map(|&byte| {
        if matches!(byte, b' '..=b'~') {
            byte as char
        } else {
            '.'
        }
    }));
    text.push_str("|\n");
    text
}
