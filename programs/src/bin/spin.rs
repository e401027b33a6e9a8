//! `spin SECONDS`: burns processor time that long and says how far it came, once a second.
//! `spin`: checks that processes which never ask the kernel for anything share the processor all the same.
#![no_std]
#![no_main]

use programs::args::Args;
use programs::check::Checks;
use programs::process::{self, Ended};
use programs::procfs::{Process, TICK_MS};
use programs::signal::SIGKILL;
use programs::{clock, eprintln, machine, println, sys};

programs::program!(main);

/// Rounds between two looks at the clock.
const ROUNDS: u64 = 100_000;

fn main(args: &Args) -> i32 {
    match args.get(1) {
        None => check_preemption(),
        Some(text) => match clock::parse_seconds(text).filter(|_| args.len() == 2) {
            Some(duration_ns) => burn(duration_ns),
            None => {
                eprintln!("usage: spin [SECONDS]");
                2
            }
        },
    }
}

fn work() {
    for round in 0..ROUNDS {
        core::hint::black_box(round);
    }
}

fn burn(duration_ns: u64) -> i32 {
    let pid = sys::getpid();
    let start = clock::monotonic_ns();
    let mut rounds = 0;
    let mut reported = 0;
    loop {
        work();
        rounds += ROUNDS;
        let elapsed = clock::monotonic_ns() - start;
        if elapsed >= duration_ns {
            break;
        }
        let second = elapsed / clock::SECOND_NS;
        if second > reported {
            reported = second;
            println!("spin {pid}: {second} s, {} million rounds", rounds / 1_000_000);
        }
    }
    println!("spin {pid}: done, {} million rounds", rounds / 1_000_000);
    0
}

const SPINNERS: usize = 2;
const WATCHED_MS: u32 = 500;

fn check_preemption() -> i32 {
    let mut checks = Checks::new("spin");
    let mut pids = [0; SPINNERS];
    for pid in &mut pids {
        match process::spawn(|| {
            loop {
                work();
            }
        }) {
            Ok(child) => *pid = child,
            Err(error) => checks.that(format_args!("a process: {error}"), false),
        }
    }
    let start = clock::monotonic_ns();
    clock::sleep_ms(WATCHED_MS);
    let slept_ms = (clock::monotonic_ns() - start) / 1_000_000;
    let watched = u64::from(WATCHED_MS);
    checks.that(
        format_args!("a sleeper of {watched} ms wakes while {SPINNERS} spin: after {slept_ms} ms"),
        (watched..watched * 4).contains(&slept_ms),
    );
    let mut used_ms = [0; SPINNERS];
    for (&pid, used_ms) in pids.iter().zip(&mut used_ms) {
        let ticks = Process::read(pid).map(|process| process.user_ticks);
        *used_ms = *ticks.as_ref().unwrap_or(&0) * TICK_MS;
        checks.that(
            format_args!("process {pid} has had {used_ms} ms of them"),
            *used_ms > 0,
        );
        let _ = sys::kill(pid, SIGKILL);
        let ended = process::wait_for(pid).map(|(_, ended)| ended);
        checks.equal(
            "it is killed in the middle of its loop",
            ended,
            Ok(Ended::Killed(SIGKILL)),
        );
    }
    if machine::is_xenlite() {
        let (least, most) = (used_ms.iter().min(), used_ms.iter().max());
        let fair = least.zip(most).is_some_and(|(least, most)| *most <= least * 3);
        checks.that("none has had more than three times as much as another", fair);
    } else {
        checks.skip("their shares", "others use this machine's processors too");
    }
    checks.finish()
}
