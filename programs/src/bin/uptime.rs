//! `uptime`: how long the system has run, from `/proc/uptime`. With arguments, in Domain0: `xl uptime`, which tells about domains.
#![no_std]
#![no_main]

use programs::args::Args;
use programs::{clock, eprintln, println, process, procfs};

programs::program!(main);

fn main(args: &Args) -> i32 {
    if args.len() > 1 {
        return process::become_xl("uptime", args);
    }
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
