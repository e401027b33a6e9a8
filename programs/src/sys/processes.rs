//! Calls about processes and signals.

use alloc::ffi::CString;
use alloc::vec::Vec;

use super::{address, address_mut, c_string, call};
use crate::abi::{SigAction, nr};
use crate::errno::{Errno, Result};

/// Ends the process.
pub fn exit(status: i32) -> ! {
    let _ = call(nr::EXIT, &[status.cast_unsigned()]);
    unreachable!("exit came back")
}

/// Makes a copy of this process: the child's number here, 0 there.
///
/// # Errors
/// EAGAIN or ENOMEM.
pub fn fork() -> Result<i32> {
    call(nr::FORK, &[]).map(u32::cast_signed)
}

/// Replaces this process by a program; comes back only with an error.
pub fn execve(path: &[u8], arguments: &[CString], environment: &[CString]) -> Errno {
    let path = match c_string(path) {
        Ok(path) => path,
        Err(error) => return error,
    };
    let pointers = |strings: &[CString]| -> Vec<u32> {
        strings
            .iter()
            .map(|string| address(string.as_bytes_with_nul()))
            .chain([0])
            .collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    let args = [
        address(path.as_bytes_with_nul()),
        address(&arguments[..]),
        address(&environment[..]),
    ];
    call(nr::EXECVE, &args).err().unwrap_or(Errno::ENOSYS)
}

/// Waits for a child: (its number or 0, its status word).
///
/// # Errors
/// ECHILD, EINTR.
pub fn wait4(pid: i32, options: u32) -> Result<(i32, u32)> {
    let mut status = 0_u32;
    let who = call(
        nr::WAIT4,
        &[pid.cast_unsigned(), address_mut(&mut status), options],
    )?;
    Ok((who.cast_signed(), status))
}

/// This process's number.
pub fn getpid() -> i32 {
    call(nr::GETPID, &[]).map_or(0, u32::cast_signed)
}

/// The parent's number.
pub fn getppid() -> i32 {
    call(nr::GETPPID, &[]).map_or(0, u32::cast_signed)
}

/// Moves a process to a process group.
///
/// # Errors
/// What the kernel answers.
pub fn setpgid(pid: i32, group: i32) -> Result<()> {
    call(nr::SETPGID, &[pid.cast_unsigned(), group.cast_unsigned()]).map(drop)
}

/// Begins a new session.
///
/// # Errors
/// EPERM for the leader of a process group.
pub fn setsid() -> Result<()> {
    call(nr::SETSID, &[]).map(drop)
}

/// Lets others run.
pub fn sched_yield() {
    let _ = call(nr::SCHED_YIELD, &[]);
}

/// Sends a signal.
///
/// # Errors
/// ESRCH, EINVAL.
pub fn kill(pid: i32, signal: i32) -> Result<()> {
    call(nr::KILL, &[pid.cast_unsigned(), signal.cast_unsigned()]).map(drop)
}

/// Changes the set of blocked signals (`how`: 0 block, 1 unblock, 2 set); gives the old set.
///
/// # Errors
/// EINVAL.
pub fn rt_sigprocmask(how: u32, set: u64) -> Result<u64> {
    let mut old = 0_u64;
    call(
        nr::RT_SIGPROCMASK,
        &[how, address(&set), address_mut(&mut old), 8],
    )?;
    Ok(old)
}

/// Sleeps with another set of blocked signals until a handler has run.
pub fn rt_sigsuspend(set: u64) -> Errno {
    call(nr::RT_SIGSUSPEND, &[address(&set), 8])
        .err()
        .unwrap_or(Errno::EINTR)
}

/// Sets what a signal does; gives what it did.
///
/// # Errors
/// EINVAL.
///
/// # Safety
/// A handler must be a function that may interrupt this program anywhere, and its restorer must fit it.
pub unsafe fn rt_sigaction(signal: i32, action: Option<&SigAction>) -> Result<SigAction> {
    let mut old = SigAction::default();
    let new = action.map_or(0, address);
    call(
        nr::RT_SIGACTION,
        &[signal.cast_unsigned(), new, address_mut(&mut old), 8],
    )?;
    Ok(old)
}
