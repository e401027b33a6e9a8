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
        // The answer does not say which of the two is not there.
        let is_missing = |path: &&&[u8]| sys::stat(path).is_err();
        let about = words
            .first()
            .filter(is_missing)
            .or(words.last().filter(is_missing));
        let about = about.or(words.first()).copied().unwrap_or(b"/proc/mounts");
        eprintln!("mount: {}: {error}", Text(about));
        return 1;
    }
    0
}
