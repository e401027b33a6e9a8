//! `free`: memory, from `/proc/meminfo`.
#![no_std]
#![no_main]

use programs::args::Args;
use programs::errno::Result;
use programs::{eprintln, println, procfs};

programs::program!(main);

fn main(_args: &Args) -> i32 {
    match show() {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("free: /proc/meminfo: {error}");
            1
        }
    }
}

fn show() -> Result<()> {
    let total = procfs::memory_kb(b"MemTotal")?;
    let free = procfs::memory_kb(b"MemFree")?;
    println!("              total        used        free");
    println!(
        "Mem:   {total:9} kB {:8} kB {free:8} kB",
        total.saturating_sub(free)
    );
    Ok(())
}
