//! The machine as a whole: its names, its end.

use crate::abi::{REBOOT_POWER_OFF, REBOOT_RESTART, UtsName};
use crate::errno::Errno;
use crate::sys;

/// Switches the machine off; comes back only with an error.
pub fn power_off() -> Errno {
    sys::reboot(REBOOT_POWER_OFF)
}

/// Starts the machine again; comes back only with an error.
pub fn restart() -> Errno {
    sys::reboot(REBOOT_RESTART)
}

/// One of the six fields of `uname`: system, host, release, version, machine, domain.
pub fn field(names: &UtsName, index: usize) -> &[u8] {
    let field = &names.fields[index];
    &field[..field.iter().position(|&byte| byte == 0).unwrap_or(field.len())]
}

/// Whether this kernel is the mini-guest: its release says so. The test programs ask where a rule is xenlite's alone.
pub fn is_xenlite() -> bool {
    sys::uname().is_ok_and(|names| field(&names, 2).windows(7).any(|part| part == b"xenlite"))
}
