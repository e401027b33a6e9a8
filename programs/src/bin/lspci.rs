//! `lspci`: the PCI devices, from `/proc/pci`.
#![no_std]
#![no_main]

use programs::args::Args;
use programs::{eprintln, file, io};

programs::program!(main);

fn main(_: &Args) -> i32 {
    match file::read_file(b"/proc/pci") {
        Ok(text) => {
            io::out(&text);
            i32::from(io::output_failed())
        }
        Err(error) => {
            eprintln!("lspci: /proc/pci: {error}");
            1
        }
    }
}
