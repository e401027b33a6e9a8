//! `ps`: all processes, from `/proc`.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;

use programs::args::Args;
use programs::eprintln;
use programs::io::{self, Text};
use programs::procfs::{self, Process, TICK_MS};

programs::program!(main);

fn main(_args: &Args) -> i32 {
    let processes = match procfs::all() {
        Ok(processes) => processes,
        Err(error) => {
            eprintln!("ps: /proc: {error}");
            return 1;
        }
    };
    let mut text = String::from("  PID  PPID STATE      TIME    SIZE COMMAND\n");
    for process in &processes {
        text += &line(process);
    }
    io::out(text.as_bytes());
    0
}

fn line(process: &Process) -> String {
    let time_ms = (process.user_ticks + process.system_ticks) * TICK_MS;
    let (minutes, seconds, hundredths) = (time_ms / 60_000, time_ms / 1000 % 60, time_ms / 10 % 100);
    let command = match process.command.join(&b' ') {
        arguments if arguments.is_empty() => format!("[{}]", Text(&process.name)),
        arguments => format!("{}", Text(&arguments)),
    };
    format!(
        "{:5} {:5} {:5} {minutes:3}:{seconds:02}.{hundredths:02} {:6}K {command}\n",
        process.pid,
        process.parent,
        process.state as char,
        process.size_bytes / 1024,
    )
}
