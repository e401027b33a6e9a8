//! What `/proc` says: processes and memory.

use alloc::format;
use alloc::vec::Vec;

use crate::errno::{Errno, Result};
use crate::{args, dir, file};

/// Length of a tick, the unit of processor times in `/proc/N/stat`.
pub const TICK_MS: u64 = 10;

/// One process, from `/proc/N/stat`.
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// The program's short name.
    pub name: Vec<u8>,
    /// `R` running, `S` sleeping, `Z` ended and not yet waited for.
    pub state: u8,
    /// Its parent's number.
    pub parent: i32,
    /// Time in user mode, in ticks.
    pub user_ticks: u64,
    /// Time in the kernel, in ticks.
    pub system_ticks: u64,
    /// Size of its address space in bytes.
    pub size_bytes: u64,
    /// Its arguments; empty when it has ended.
    pub command: Vec<Vec<u8>>,
}

impl Process {
    /// The process with number `pid`.
    ///
    /// # Errors
    /// ENOENT when it is gone, EINVAL when the file makes no sense.
    pub fn read(pid: i32) -> Result<Process> {
        let stat = file::read_file(format!("/proc/{pid}/stat").as_bytes())?;
        let command = file::read_file(format!("/proc/{pid}/cmdline").as_bytes()).unwrap_or_default();
        let command = command
            .split(|&byte| byte == 0)
            .map(<[u8]>::to_vec)
            .collect::<Vec<_>>();
        parse(&stat, command).ok_or(Errno::EINVAL)
    }
}

/// The name stands in parentheses and may hold any byte, so it ends at the last one.
fn parse(stat: &[u8], mut command: Vec<Vec<u8>>) -> Option<Process> {
    let open = stat.iter().position(|&byte| byte == b'(')?;
    let close = stat.iter().rposition(|&byte| byte == b')')?;
    let pid = args::number(stat.get(..open)?.trim_ascii())?;
    let fields: Vec<&[u8]> = stat
        .get(close + 1..)?
        .split(u8::is_ascii_whitespace)
        .filter(|field| !field.is_empty())
        .collect();
    // The first field here is number 3 of the manual's list.
    let number =
        |manual: usize| -> Option<u64> { core::str::from_utf8(fields.get(manual - 3)?).ok()?.parse().ok() };
    if command.last().is_some_and(Vec::is_empty) {
        command.pop();
    }
    Some(Process {
        pid: i32::try_from(pid).ok()?,
        name: stat.get(open + 1..close)?.to_vec(),
        state: *fields.first()?.first()?,
        parent: i32::try_from(number(4)?).ok()?,
        user_ticks: number(14)?,
        system_ticks: number(15)?,
        size_bytes: number(23)?,
        command,
    })
}

/// All processes, by number.
///
/// # Errors
/// When `/proc` cannot be read. Processes that end meanwhile are left out.
pub fn all() -> Result<Vec<Process>> {
    let mut pids: Vec<i32> = dir::names(b"/proc")?
        .iter()
        .filter_map(|name| i32::try_from(args::number(name)?).ok())
        .collect();
    pids.sort_unstable();
    Ok(pids
        .into_iter()
        .filter_map(|pid| Process::read(pid).ok())
        .collect())
}

/// A line of `/proc/meminfo` in kB, `MemFree` say.
///
/// # Errors
/// ENOENT when there is no such line.
pub fn memory_kb(name: &[u8]) -> Result<u64> {
    let meminfo = file::read_file(b"/proc/meminfo")?;
    for line in meminfo.split(|&byte| byte == b'\n') {
        if let Some(rest) = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(b":")) {
            let digits = rest
                .trim_ascii()
                .split(|&byte| byte == b' ')
                .next()
                .unwrap_or_default();
            return args::number(digits).map(u64::from).ok_or(Errno::EINVAL);
        }
    }
    Err(Errno::ENOENT)
}

/// Hundredths of seconds since boot, from `/proc/uptime`.
///
/// # Errors
/// What the kernel answers.
pub fn uptime_centiseconds() -> Result<u64> {
    let uptime = file::read_file(b"/proc/uptime")?;
    let first = uptime.split(|&byte| byte == b' ').next().unwrap_or_default();
    crate::clock::parse_seconds(first.trim_ascii())
        .map(|ns| ns / 10_000_000)
        .ok_or(Errno::EINVAL)
}
