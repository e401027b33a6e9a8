//! Call 18: the machine's console, for privileged domains.
//!
//! Source: Xen 2.0 interface: do_console_io.

use super::{Args, CallResult};
use crate::{
    context::Context,
    error::HvError,
    guest_mem::GuestSlice,
    outcome::Outcome,
    platform::{Fault, Platform},
};
use guest_abi::{
    addr::GuestVirt,
    console::{ConsoleCmd, MAX_WRITE},
};

/// Bytes copied at a time; also the most that one read gives.
const CHUNK: u32 = 256;

/// Call 18, `console_io(command, count, buffer)`. Answers how many bytes were taken or given.
///
/// # Errors
/// [`HvError::Denied`] for an unprivileged caller; [`HvError::Fault`] where not even the first bytes can be copied;
/// [`HvError::NotImplemented`] for an unknown command.
pub fn console_io<P: Platform>(cx: &mut Context<'_, P>, [command, count, buffer, ..]: Args) -> CallResult {
    if !cx.current_domain().is_privileged {
        return Err(HvError::Denied);
    }
    let done = match ConsoleCmd::new(command) {
        ConsoleCmd::WRITE => write(cx.platform, buffer, count.min(MAX_WRITE))?,
        ConsoleCmd::READ => read(cx.platform, buffer, count.min(CHUNK))?,
        _ => return Err(HvError::NotImplemented),
    };
    Ok(Outcome::Return(done))
}

/// Writes what can be read of the buffer.
fn write<P: Platform>(platform: &P, buffer: u32, count: u32) -> Result<u32, Fault> {
    let text = GuestSlice::<u8>::new(buffer, count)?;
    let mut chunk = [0; CHUNK as usize];
    let mut done = 0;
    while done < count {
        let len = (count - done).min(CHUNK);
        let bytes = &mut chunk[..len as usize];
        if platform
            .read_bytes(GuestVirt::new(text.addr_of(done)), bytes)
            .is_err()
        {
            return if done == 0 { Err(Fault) } else { Ok(done) };
        }
        platform.write_console(bytes);
        done += len;
    }
    Ok(done)
}

/// Reads input into the buffer, which is first seen to be writable so that no input is lost.
fn read<P: Platform>(platform: &P, buffer: u32, count: u32) -> Result<u32, Fault> {
    let room = GuestSlice::<u8>::new(buffer, count)?;
    let at = GuestVirt::new(room.addr_of(0));
    let mut chunk = [0; CHUNK as usize];
    let bytes = &mut chunk[..count as usize];
    platform.read_bytes(at, bytes)?;
    platform.write_bytes(at, bytes)?;
    let given = platform.read_console(bytes).min(bytes.len());
    platform.write_bytes(at, &bytes[..given])?;
    Ok(given as u32)
}
