//! Calls about the system and its time.

use super::{address, address_mut, call};
use crate::abi::{CLOCK_REALTIME, REBOOT_MAGIC1, REBOOT_MAGIC2, Timespec, UtsName, nr};
use crate::errno::{Errno, Result};

/// Names of the system.
///
/// # Errors
/// What the kernel answers.
pub fn uname() -> Result<UtsName> {
    let mut names = UtsName { fields: [[0; 65]; 6] };
    call(nr::UNAME, &[address_mut(&mut names)])?;
    Ok(names)
}

/// Stops the machine; comes back only with an error.
pub fn reboot(command: u32) -> Errno {
    call(nr::REBOOT, &[REBOOT_MAGIC1, REBOOT_MAGIC2, command])
        .err()
        .unwrap_or(Errno::EINVAL)
}

/// Sleeps.
///
/// # Errors
/// EINTR with what is left, EINVAL.
pub fn nanosleep(time: Timespec) -> core::result::Result<(), (Errno, Timespec)> {
    let mut rest = Timespec::default();
    call(nr::NANOSLEEP, &[address(&time), address_mut(&mut rest)])
        .map(drop)
        .map_err(|error| (error, rest))
}

/// Sets the wall clock to so many seconds since 1970.
///
/// # Errors
/// EPERM: not in this domain; EINVAL: a time that cannot be.
pub fn clock_settime(seconds: i64) -> Result<()> {
    let time = [seconds, 0];
    call(nr::CLOCK_SETTIME64, &[CLOCK_REALTIME, address(&time)]).map(drop)
}

/// Reads a clock.
///
/// # Errors
/// EINVAL for an unknown clock.
pub fn clock_gettime(clock: u32) -> Result<Timespec> {
    let mut time = Timespec::default();
    call(nr::CLOCK_GETTIME, &[clock, address_mut(&mut time)])?;
    Ok(time)
}
