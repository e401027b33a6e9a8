//! `uname [-a]`: the system's names.
#![no_std]
#![no_main]

use programs::args::Args;
use programs::io::Text;
use programs::machine::field;
use programs::{eprintln, println, sys};

programs::program!(main);

fn main(args: &Args) -> i32 {
    let names = match sys::uname() {
        Ok(names) => names,
        Err(error) => {
            eprintln!("uname: {error}");
            return 1;
        }
    };
    match (args.len(), args.get(1)) {
        (1, _) => println!("{}", Text(field(&names, 0))),
        (2, Some(b"-a")) => {
            let [system, host, release, version, machine] =
                [0, 1, 2, 3, 4].map(|index| Text(field(&names, index)));
            println!("{system} {host} {release} {version} {machine}");
        }
        _ => {
            eprintln!("usage: uname [-a]");
            return 2;
        }
    }
    0
}
