//! `sync`: waits until all that was written to any disk is on it.
#![no_std]
#![no_main]

use programs::args::Args;
use programs::sys;

programs::program!(main);

fn main(_: &Args) -> i32 {
    sys::sync();
    0
}
