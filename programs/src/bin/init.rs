//! `init [PROGRAM [ARGUMENT…]]`: process 1. Opens the console, runs `/etc/rc` if it is there, then the login shell (or
//! PROGRAM in its place), reaps whatever ends, and switches the machine off when the shell has left.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::ffi::CString;
use alloc::vec::Vec;

use programs::abi::{AT_EMPTY_PATH, O_RDWR};
use programs::args::Args;
use programs::errno::Errno;
use programs::io::{STDERR, STDIN, STDOUT, Text};
use programs::process::{self, Ended};
use programs::signal::{self, Action, SIGINT, SIGQUIT, SIGTERM};
use programs::{eprintln, machine, sys, terminal};

programs::program!(main);

const ENVIRONMENT: [&[u8]; 4] = [
    b"PATH=/bin:/sbin:/usr/bin:/usr/sbin",
    b"HOME=/",
    b"TERM=vt100",
    b"USER=root",
];

/// A shell that keeps crashing is started this often.
const ATTEMPTS: u32 = 3;

fn main(args: &Args) -> i32 {
    open_console();
    // Ctrl-C is for the foreground program, never for process 1.
    for signal in [SIGINT, SIGQUIT, SIGTERM] {
        let _ = signal::simple(signal, Action::Ignore);
    }
    if sys::stat(b"/etc/rc").is_ok() {
        let _ = supervise(&[b"sh", b"/etc/rc"], b"/bin/sh");
    }
    let given: Vec<&[u8]> = args.rest().collect();
    if let Some(&path) = given.first() {
        let ended = supervise(&given, path);
        eprintln!("init: {} {ended}", Text(path));
    } else {
        login();
    }
    let error = machine::power_off();
    eprintln!("init: power off: {error}");
    1
}

/// Descriptors 0, 1 and 2 are the console, also when the kernel opened nothing.
fn open_console() {
    for wanted in [STDIN, STDOUT, STDERR] {
        if sys::statx(wanted, b"", AT_EMPTY_PATH).err() == Some(Errno::EBADF)
            && let Ok(opened) = sys::open(b"/dev/console", O_RDWR, 0)
            && opened != wanted
        {
            let _ = sys::dup2(opened, wanted);
            let _ = sys::close(opened);
        }
    }
}

fn login() {
    for _ in 0..ATTEMPTS {
        match supervise(&[b"-sh"], b"/bin/sh") {
            Ended::Exited(_) => return,
            Ended::Killed(number) => eprintln!("init: the shell was killed by {}", signal::name(number)),
        }
    }
    eprintln!("init: the shell was killed {ATTEMPTS} times, giving up");
}

/// Runs a program in its own session on the console and reaps every child until that one has ended.
fn supervise(arguments: &[&[u8]], path: &[u8]) -> Ended {
    let arguments = process::c_strings(arguments.iter().copied());
    let environment: Vec<CString> = process::c_strings(ENVIRONMENT.into_iter());
    let child = process::spawn(|| {
        for signal in [SIGINT, SIGQUIT, SIGTERM] {
            let _ = signal::simple(signal, Action::Default);
        }
        // Without sessions or a controlling terminal the shell does without job control.
        let _ = sys::setsid();
        let _ = terminal::take_control(STDIN);
        process::execute(path, &arguments, &environment)
    });
    let child = match child {
        Ok(child) => child,
        Err(error) => {
            eprintln!("init: no process for {}: {error}", Text(path));
            return Ended::Exited(126);
        }
    };
    loop {
        match process::wait_for(-1) {
            Ok((who, ended)) if who == child => return ended,
            Ok(_) => {}
            Err(error) => {
                eprintln!("init: wait: {error}");
                return Ended::Exited(1);
            }
        }
    }
}
