//! `mount [-r] DISK DIRECTORY`: mounts the FAT volume on a disk (`/dev/vda1`), `-r` read-only; without arguments: what is mounted.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;

use programs::abi::MS_RDONLY;
use programs::args::Args;
use programs::io::Text;
use programs::{eprintln, file, io, sys};

programs::program!(main);

fn main(args: &Args) -> i32 {
    let mut words: Vec<&[u8]> = args.rest().collect();
    let mut flags = 0;
    if words.first() == Some(&&b"-r"[..]) {
        words.remove(0);
        flags = MS_RDONLY;
    }
    let result = match words[..] {
        [] if flags == 0 => file::read_file(b"/proc/mounts").map(|text| io::out(&text)),
        [disk, directory] => sys::mount(disk, directory, flags),
        _ => {
            eprintln!("usage: mount [-r] DISK DIRECTORY");
            return 2;
        }
    };
    if let Err(error) = result {
        eprintln!(
            "mount: {}: {error}",
            Text(words.first().unwrap_or(&&b"/proc/mounts"[..]))
        );
        return 1;
    }
    0
}
