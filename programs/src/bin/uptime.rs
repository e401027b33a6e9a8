//! `uptime`: how long the system has run, from `/proc/uptime`.
#![no_std]
#![no_main]

use programs::args::Args;
use programs::{clock, eprintln, println, procfs};

programs::program!(main);

fn main(_args: &Args) -> i32 {
    let up = match procfs::uptime_centiseconds() {
        Ok(up) => up,
        Err(error) => {
            eprintln!("uptime: /proc/uptime: {error}");
            return 1;
        }
    };
    let (seconds, hundredths) = (up / 100, up % 100);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let now = clock::wall_seconds() % 86_400;
    println!(
        "{:02}:{:02}:{:02} up {days} days {hours:02}:{minutes:02}:{:02}.{hundredths:02}",
        now / 3600,
        now / 60 % 60,
        now % 60,
        seconds % 60,
    );
    0
}
