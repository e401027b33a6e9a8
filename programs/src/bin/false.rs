//! `false`: fails.
#![no_std]
#![no_main]

use programs::args::Args;

programs::program!(main);

fn main(_args: &Args) -> i32 {
    1
}
