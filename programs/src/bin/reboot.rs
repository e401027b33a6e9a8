//! `reboot`: starts the machine again.
#![no_std]
#![no_main]

use programs::args::Args;
use programs::{eprintln, machine};

programs::program!(main);

fn main(_args: &Args) -> i32 {
    let error = machine::restart();
    eprintln!("reboot: {error}");
    1
}
