//! `xl COMMAND …`: creating and managing domains, in Domain0. Links to it in `/bin` are named after the commands, so that
//! `list` is `xl list`.
//!
//! | module | what it is |
//! |---|---|
//! | [`host`] | Domain0's devices behind the traits of `xen-tools` |
//! | [`state`] | names and settings of running domains, as files |
//! | [`keys`] | what the store says of domains |
//! | [`split`] | devices that Domain0 serves to domains, of any kind |
//! | [`block`] | disks of domains |
//! | [`network`] | network interfaces of domains |
//! | [`pci`] | who has which PCI function |
//! | [`domains`] | all domains with what is known of them; finding one by name or number |
//! | [`create`], [`life`], [`requests`] | making domains, ending them, asking them to do something |
//! | [`listing`], [`info`], [`top`], [`sched`], [`dmesg`] | what there is to see |
//! | [`console`] | a domain's console on this terminal |
//! | [`daemon`] | domains of the configuration at boot, and what happens to those that end |
//! | [`help`] | the commands in a table |
#![no_std]
#![no_main]

extern crate alloc;

mod block;
mod console;
mod create;
mod daemon;
mod dmesg;
mod domains;
mod help;
mod host;
mod info;
mod keys;
mod life;
mod listing;
mod network;
mod pci;
mod requests;
mod sched;
mod split;
mod state;
mod top;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use programs::args::Args;
use programs::{eprintln, print};

programs::program!(main);

/// What a command comes to; the message is one line for a person.
type Outcome = Result<(), String>;

fn main(args: &Args) -> i32 {
    let mut words: Vec<&str> = Vec::new();
    for word in args.rest() {
        match core::str::from_utf8(word) {
            Ok(word) => words.push(word),
            Err(_) => {
                eprintln!("xl: an argument is not text");
                return 2;
            }
        }
    }
    let (label, name, words) = match args.program() {
        "xl" => match words.split_first() {
            Some((&name, rest)) => (format!("xl {name}"), name, rest),
            None => {
                print!("{}", help::overview());
                return 2;
            }
        },
        name => (name.into(), name, &words[..]),
    };
    if matches!(name, "help" | "--help" | "-h") {
        return help::show(words);
    }
    let Some(command) = help::find(name) else {
        eprintln!("xl: there is no command `{name}`; `xl help` lists them");
        return 2;
    };
    let asks_for_help = |word: &&str| matches!(*word, "--help" | "-h");
    if words.iter().take_while(|word| **word != "--").any(asks_for_help) {
        print!("{}", command.usage());
        return 0;
    }
    match (command.run)(words) {
        Ok(()) => 0,
        Err(message) => {
            eprintln!("{label}: {message}");
            1
        }
    }
}

/// A message about one domain of several; the last one is the command's own.
fn eprintln_command(message: &str) {
    eprintln!("xl: {message}");
}
