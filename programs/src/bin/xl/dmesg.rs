//! `dmesg`: the hypervisor's log.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use guest_abi::domctl::READCONSOLE_CLEAR;
use programs::io;
use xen_tools::errno::Result;

use crate::Outcome;
use crate::host::{Host, errno};

/// More than any hypervisor of ours keeps.
const MOST: usize = 256 << 10;

/// `dmesg [--clear]`.
pub fn dmesg(words: &[&str]) -> Outcome {
    let clear = match words {
        [] => false,
        ["-c" | "--clear"] => true,
        [other, ..] => return Err(alloc::format!("what is `{other}`? There is only --clear")),
    };
    let log = read(&Host::open()?, clear).map_err(|error| error.to_string())?;
    io::out(&log);
    if log.last().is_some_and(|byte| *byte != b'\n') {
        io::out(b"\n");
    }
    Ok(())
}

/// The log's text.
///
/// # Errors
/// What the hypervisor answers.
pub fn read(host: &Host, clear: bool) -> Result<Vec<u8>> {
    let mut buffer = vec![0; MOST];
    let flags = if clear { READCONSOLE_CLEAR } else { 0 };
    let count = host.privcmd.read_console(&mut buffer, flags).map_err(errno)?;
    buffer.truncate(count);
    Ok(buffer)
}
