//! Making processes, replacing them, and waiting for their end.

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::fmt;

use crate::abi::WNOHANG;
use crate::args::Args;
use crate::errno::{Errno, Result};
use crate::{eprintln, io, signal, sys};

/// Ends this process.
pub fn exit(status: i32) -> ! {
    sys::exit(status)
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// By `exit`, with this status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

impl Ended {
    /// Takes the kernel's status word apart.
    pub fn from_word(word: u32) -> Ended {
        match (word & 0x7F).cast_signed() {
            0 => Ended::Exited((word >> 8 & 0xFF).cast_signed()),
            signal => Ended::Killed(signal),
        }
    }

    /// What a shell calls the status: 128 + signal for a killed process.
    pub fn status(self) -> i32 {
        match self {
            Ended::Exited(status) => status,
            Ended::Killed(signal) => 128 + signal,
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Ended::Exited(status) => write!(f, "exited with {status}"),
            Ended::Killed(number) => write!(f, "killed by {}", signal::name(number)),
        }
    }
}

/// Runs `body` in a child process; the child ends with the status that it returns.
///
/// # Errors
/// EAGAIN or ENOMEM when there can be no child.
pub fn spawn(body: impl FnOnce() -> i32) -> Result<i32> {
    match sys::fork()? {
        0 => {
            let status = body();
            exit(if status == 0 && io::output_failed() {
                1
            } else {
                status
            })
        }
        child => Ok(child),
    }
}

/// Waits for one child, or with −1 for any; interruptions are retried.
///
/// # Errors
/// ECHILD when there is no such child.
pub fn wait_for(pid: i32) -> Result<(i32, Ended)> {
    loop {
        match sys::wait4(pid, 0) {
            Ok((who, word)) => return Ok((who, Ended::from_word(word))),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// A child that has already ended, if there is one.
///
/// # Errors
/// ECHILD when there are no children.
pub fn poll_any() -> Result<Option<(i32, Ended)>> {
    let (who, word) = sys::wait4(-1, WNOHANG)?;
    Ok((who != 0).then(|| (who, Ended::from_word(word))))
}

/// Runs `body` in a child and waits for it.
///
/// # Errors
/// When there can be no child.
pub fn run(body: impl FnOnce() -> i32) -> Result<Ended> {
    let child = spawn(body)?;
    wait_for(child).map(|(_, ended)| ended)
}

/// Strings for `execve`; those with a zero byte inside are cut there.
pub fn c_strings<'a>(strings: impl Iterator<Item = &'a [u8]>) -> Vec<CString> {
    strings
        .map(|text| {
            let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
            CString::new(&text[..end]).unwrap_or_default()
        })
        .collect()
}

/// Replaces this process by the program at `path`, or says why not and gives the shell's status for that.
pub fn execute(path: &[u8], arguments: &[CString], environment: &[CString]) -> i32 {
    let error = sys::execve(path, arguments, environment);
    eprintln!("{}: {error}", io::Text(path));
    if error == Errno::ENOENT { 127 } else { 126 }
}

/// Becomes `xl COMMAND` with this program's arguments: for programs whose name is also a command about domains.
pub fn become_xl(command: &'static str, args: &Args) -> i32 {
    let words = [&b"xl"[..], command.as_bytes()].into_iter().chain(args.rest());
    let environment: Vec<&[u8]> = args.environment().collect();
    execute(b"/bin/xl", &c_strings(words), &c_strings(environment.into_iter()))
}
