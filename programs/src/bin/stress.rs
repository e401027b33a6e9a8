//! `stress [ROUNDS]`: processes in numbers: one after the other, many at once, in generations, orphans, zombies, new
//! programs; on the mini-guest until there is no room for more, and then everything must come back.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::vec::Vec;

use programs::args::{self, Args};
use programs::check::Checks;
use programs::errno::{Errno, Result};
use programs::file::{self, pipe};
use programs::process::{self, Ended};
use programs::procfs::{self, Process};
use programs::{clock, eprintln, machine, sys};

programs::program!(main);

/// Processes at the same time.
const CROWD: i32 = 40;
/// Beyond this many processes, `until_refused` gives up looking for a limit.
const MOST: usize = 4000;

fn main(args: &Args) -> i32 {
    // Started again by itself, to be a new program.
    if let (Some(b"exit"), Some(status)) = (args.get(1), args.get(2).and_then(args::number)) {
        return status.cast_signed();
    }
    let rounds = match args.get(1) {
        None => 200,
        Some(text) => match args::number(text) {
            Some(rounds) => rounds,
            None => {
                eprintln!("usage: stress [ROUNDS]");
                return 2;
            }
        },
    };
    let mut checks = Checks::new("stress");
    checks.equal(
        format_args!("{rounds} processes one after the other"),
        one_by_one(rounds),
        Ok(0),
    );
    checks.equal(
        format_args!("{CROWD} processes at once, each with its status"),
        crowd(),
        Ok(true),
    );
    checks.equal(
        "20 generations",
        process::run(|| generation(20)),
        Ok(Ended::Exited(20)),
    );
    checks.equal(
        format_args!("{} new programs", rounds / 4),
        programs_by_exec(rounds / 4),
        Ok(0),
    );
    checks.equal("a process that is not waited for is a zombie", zombie(), Ok(b'Z'));
    checks.equal("an orphan gets another parent", orphan(), Ok(true));
    checks.equal(
        "nobody is left to wait for",
        process::poll_any().map(drop),
        Err(Errno::ECHILD),
    );
    if machine::is_xenlite() {
        until_refused(&mut checks);
        memory_until_refused(&mut checks);
        // The kernel's own heap has grown to what so many processes need, and keeps it. From here on nothing stays
        // away.
        let before = procfs::memory_kb(b"MemFree");
        until_refused(&mut checks);
        memory_until_refused(&mut checks);
        let after = procfs::memory_kb(b"MemFree");
        let lost = before.and_then(|before| after.map(|after| before.saturating_sub(after)));
        checks.that(
            format_args!("memory has come back, {lost:?} kB less"),
            lost.is_ok_and(|lost| lost <= 128),
        );
    } else {
        checks.skip("processes and memory without end", "this machine has other uses");
    }
    checks.finish()
}

/// How many statuses were wrong.
fn one_by_one(rounds: u32) -> Result<u32> {
    let mut wrong = 0;
    for round in 0..rounds {
        let status = (round % 256).cast_signed();
        wrong += u32::from(process::run(|| status)? != Ended::Exited(status));
    }
    Ok(wrong)
}

fn crowd() -> Result<bool> {
    let mut pids = Vec::new();
    for number in 0..CROWD {
        pids.push(process::spawn(|| {
            clock::sleep_ms((number * 7 % 20).cast_unsigned());
            number
        })?);
    }
    let mut right = true;
    for _ in 0..CROWD {
        let (pid, ended) = process::wait_for(-1)?;
        let number = pids.iter().position(|&started| started == pid);
        right &= number.is_some_and(|number| ended == Ended::Exited(number as i32));
        if let Some(number) = number {
            pids[number] = 0;
        }
    }
    Ok(right && pids.iter().all(|&pid| pid == 0))
}

/// Each generation adds one to its child's status.
fn generation(left: i32) -> i32 {
    if left == 0 {
        return 0;
    }
    match process::run(|| generation(left - 1)) {
        Ok(Ended::Exited(status)) => status + 1,
        _ => 99,
    }
}

fn programs_by_exec(rounds: u32) -> Result<u32> {
    let mut wrong = 0;
    for round in 0..rounds {
        let status = (round % 100).cast_signed();
        let ended = process::run(|| {
            let number = format!("{status}");
            let arguments = process::c_strings([&b"stress"[..], b"exit", number.as_bytes()].into_iter());
            process::execute(b"/proc/self/exe", &arguments, &[])
        })?;
        wrong += u32::from(ended != Ended::Exited(status));
    }
    Ok(wrong)
}

fn zombie() -> Result<u8> {
    let child = process::spawn(|| 0)?;
    let mut state = 0;
    for _ in 0..100 {
        clock::sleep_ms(5);
        state = Process::read(child)?.state;
        if state == b'Z' {
            break;
        }
    }
    process::wait_for(child)?;
    Ok(state)
}

fn orphan() -> Result<bool> {
    let (read_end, write_end) = pipe()?;
    let ended = process::run(|| {
        let parent = sys::getpid();
        let started = process::spawn(|| {
            // Until the parent is gone; whoever takes its place is not it.
            for _ in 0..200 {
                if sys::getppid() != parent {
                    let _ = sys::write(write_end.descriptor(), b"!");
                    return 0;
                }
                clock::sleep_ms(5);
            }
            1
        });
        i32::from(started.is_err())
    })?;
    drop(write_end);
    Ok(ended == Ended::Exited(0) && file::read_to_end(read_end.descriptor())? == b"!")
}

/// Starts processes until the kernel refuses, then lets them all go.
fn until_refused(checks: &mut Checks) {
    let Ok((read_end, write_end)) = pipe() else { return };
    let mut started = 0;
    let mut refusal = None;
    while started < MOST {
        let read_end = &read_end;
        let write_end = write_end.descriptor();
        match process::spawn(|| {
            // The end of input comes when the parent closes its end, and with it those of all children.
            let _ = sys::close(write_end);
            let _ = file::read_some(read_end.descriptor(), &mut [0]);
            0
        }) {
            Ok(_) => started += 1,
            Err(error) => {
                refusal = Some(error);
                break;
            }
        }
    }
    drop(write_end);
    let mut right = 0;
    while let Ok((_, ended)) = process::wait_for(-1) {
        right += usize::from(ended == Ended::Exited(0));
    }
    checks.equal(
        format_args!("{started} processes wait at once, {refusal:?} ends it, and all leave"),
        right,
        started,
    );
    let polite = matches!(refusal, None | Some(Errno::EAGAIN | Errno::ENOMEM));
    checks.that("the refusal was EAGAIN or ENOMEM", polite);
}

/// One process takes memory until the kernel refuses it or ends the process; the others live on.
fn memory_until_refused(checks: &mut Checks) {
    const PIECE: usize = 1 << 20;
    let ended = process::run(|| {
        loop {
            let Ok(piece) = sys::map_anonymous(PIECE) else {
                return 0;
            };
            for page in (0..PIECE).step_by(4096) {
                // SAFETY: the kernel has just given us these pages.
                unsafe { piece.wrapping_add(page).write_volatile(1) };
            }
        }
    });
    let survived = matches!(ended, Ok(Ended::Exited(0) | Ended::Killed(_)));
    checks.that(format_args!("a process takes all memory: {ended:?}"), survived);
}
