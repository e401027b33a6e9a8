//! `poweroff`: switches the machine off.
#![no_std]
#![no_main]

use programs::args::Args;
use programs::{eprintln, machine};

programs::program!(main);

fn main(_args: &Args) -> i32 {
    let error = machine::power_off();
    eprintln!("poweroff: {error}");
    1
}
