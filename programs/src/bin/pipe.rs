//! `pipe`: bytes arrive in order and whole, readers and writers wait for each other, and both ends know when the other
//! one is gone.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec;
use alloc::vec::Vec;

use programs::abi::{F_SETFL, O_NONBLOCK};
use programs::args::Args;
use programs::check::Checks;
use programs::errno::{Errno, Result};
use programs::file::{self, File, pipe};
use programs::io::write_all;
use programs::process::{self, Ended};
use programs::signal::{self, Action, SIGPIPE};
use programs::{clock, sys};

programs::program!(main);

/// Much more than any pipe holds.
const TRANSFER: usize = 1 << 20;

fn main(_args: &Args) -> i32 {
    let mut checks = Checks::new("pipe");
    checks.equal("a megabyte arrives in order", transfer(), Ok(true));
    checks.equal("a reader waits for its writer", waiting_reader(), Ok(true));
    checks.equal(
        "a reader gets the end when the last writer closes",
        end_of_input(),
        Ok(0),
    );
    checks.equal(
        "a writer without reader gets EPIPE",
        without_reader(Action::Ignore),
        Ok(Ended::Exited(32)),
    );
    let killed = Ok(Ended::Killed(SIGPIPE));
    checks.equal(
        "and dies of SIGPIPE if it does not care",
        without_reader(Action::Default),
        killed,
    );
    checks.equal("lines of four writers stay whole", atomic_lines(), Ok(400));
    checks.equal(
        "an empty pipe that must not wait says EAGAIN",
        no_waiting(),
        Ok(Err(Errno::EAGAIN)),
    );
    checks.equal(
        "the wrong ends are refused",
        wrong_ends(),
        Ok((Err(Errno::EBADF), Err(Errno::EBADF))),
    );
    let seek = pipe().map(|(read_end, _write_end)| sys::lseek(read_end.descriptor(), 0, 1));
    checks.equal("a pipe has no position", seek, Ok(Err(Errno::ESPIPE)));
    checks.finish()
}

fn pattern(index: usize) -> u8 {
    (index ^ index >> 8 ^ index >> 16) as u8
}

fn transfer() -> Result<bool> {
    let (read_end, write_end) = pipe()?;
    let writer = process::spawn(|| {
        let bytes: Vec<u8> = (0..TRANSFER).map(pattern).collect();
        // Pieces of many sizes, so that they end everywhere in the pipe.
        let mut sent = 0;
        let mut size = 1;
        while sent < TRANSFER {
            let end = (sent + size).min(TRANSFER);
            if write_all(write_end.descriptor(), &bytes[sent..end]).is_err() {
                return 1;
            }
            sent = end;
            size = size * 7 % 9973 + 1;
        }
        0
    })?;
    drop(write_end);
    let received = file::read_to_end(read_end.descriptor())?;
    let (_, ended) = process::wait_for(writer)?;
    let right = received
        .iter()
        .enumerate()
        .all(|(index, &byte)| byte == pattern(index));
    Ok(right && received.len() == TRANSFER && ended == Ended::Exited(0))
}

fn waiting_reader() -> Result<bool> {
    let (read_end, write_end) = pipe()?;
    let writer = process::spawn(|| {
        clock::sleep_ms(50);
        i32::from(write_all(write_end.descriptor(), b"late").is_err())
    })?;
    let start = clock::monotonic_ns();
    let mut buffer = [0; 16];
    let count = file::read_some(read_end.descriptor(), &mut buffer)?;
    let waited_ms = (clock::monotonic_ns() - start) / 1_000_000;
    process::wait_for(writer)?;
    Ok(&buffer[..count] == b"late" && waited_ms >= 20)
}

fn end_of_input() -> Result<usize> {
    let (read_end, write_end) = pipe()?;
    let second = process::spawn(|| {
        clock::sleep_ms(20);
        0
    })?;
    // The child still has the write end: the end comes only with its exit.
    drop(write_end);
    let count = file::read_some(read_end.descriptor(), &mut [0; 4])?;
    process::wait_for(second)?;
    Ok(count)
}

/// The child's status is the error that it got.
fn without_reader(action: Action) -> Result<Ended> {
    let (read_end, write_end) = pipe()?;
    drop(read_end);
    process::run(|| {
        if signal::simple(SIGPIPE, action).is_err() {
            return 1;
        }
        sys::write(write_end.descriptor(), b"x").map_or_else(|error| error.0, |_| 0)
    })
}

/// Writes of up to 4096 bytes are never mixed up; counts the lines that are whole.
fn atomic_lines() -> Result<usize> {
    const WRITERS: u8 = 4;
    const LINES: usize = 100;
    let (read_end, write_end) = pipe()?;
    let writer = |letter: u8, file: &File| -> i32 {
        let mut line = vec![letter; 511];
        line.push(b'\n');
        i32::from((0..LINES).any(|_| sys::write(file.descriptor(), &line) != Ok(line.len())))
    };
    for number in 0..WRITERS {
        process::spawn(|| writer(b'a' + number, &write_end))?;
    }
    drop(write_end);
    let received = file::read_to_end(read_end.descriptor())?;
    for _ in 0..WRITERS {
        process::wait_for(-1)?;
    }
    let whole = |line: &&[u8]| line.len() == 511 && line.iter().all(|&byte| byte == line[0]);
    Ok(received.split(|&byte| byte == b'\n').filter(whole).count())
}

fn no_waiting() -> Result<Result<usize>> {
    let (read_end, _write_end) = pipe()?;
    sys::fcntl(read_end.descriptor(), F_SETFL, O_NONBLOCK)?;
    Ok(sys::read(read_end.descriptor(), &mut [0; 4]))
}

fn wrong_ends() -> Result<(Result<usize>, Result<usize>)> {
    let (read_end, write_end) = pipe()?;
    Ok((
        sys::write(read_end.descriptor(), b"x"),
        sys::read(write_end.descriptor(), &mut [0; 4]),
    ))
}
