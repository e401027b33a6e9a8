//! `reboot`: starts the machine again. With arguments, in Domain0: `xl reboot`, which asks domains to do so.
#![no_std]
#![no_main]

use programs::args::Args;
use programs::{eprintln, machine, process};

programs::program!(main);

fn main(args: &Args) -> i32 {
    if args.len() > 1 {
        return process::become_xl("reboot", args);
    }
    let error = machine::restart();
    eprintln!("reboot: {error}");
    1
}
