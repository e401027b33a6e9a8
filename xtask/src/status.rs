//! How a machine ends, and the exit status that the launcher makes of it.
//!
//! The hypervisor ends a machine by writing a code to QEMU's `isa-debug-exit` device at port 0xF4 (QEMU then exits with
//! `code << 1 | 1`). Right before that it prints the line `xenlite: exit 0xNN` as its last one, for emulators and machines
//! without the device: under Bochs the launcher reads the code there. The table, kept in step with the hypervisor:
//!
//! | code | meaning | launcher's status for `run` |
//! |---|---|---|
//! | 0x10 | orderly poweroff | 0 |
//! | 0x11 | Domain0 crashed | 1 |
//! | 0x12 | a test guest's verdict: success | 0 |
//! | 0x13 | verdict: failure (the hypervisor's fault) | 1 |
//! | 0x14 | verdict: skip | 0 |
//! | 0x15 | verdict: error (the test's fault) | 1 |
//! | 0x16 | orderly reboot | the machine is started again; 0 with the hypervisor argument `noreboot` |
//! | 0x20 | the hypervisor panicked | 3 |
//!
//! Any other end (a reset that nobody asked for, an emulator that died, no verdict at all) is status 3; arguments that make
//! no sense and machines that could not be started are status 2; `--timeout` is 124, as for timeout(1).

use std::fmt;

/// Status of an orderly end.
pub const OK: i32 = 0;
/// Status when Domain0 crashed or a verdict was not success.
pub const FAILED: i32 = 1;
/// Status when the arguments are wrong or the machine could not be started.
pub const BAD_ARGUMENTS: i32 = 2;
/// Status when the hypervisor panicked or the machine ended without a verdict.
pub const NO_VERDICT: i32 = 3;
/// Status when the time limit was reached.
pub const TIMEOUT: i32 = 124;

/// I/O port of the `isa-debug-exit` device.
pub const EXIT_PORT: u16 = 0xf4;

/// What the last line before the exit begins with (a log prefix may stand before it).
const ANNOUNCEMENT: &str = "xenlite: exit 0x";

/// How the hypervisor ended the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Domain0 asked for poweroff.
    PowerOff,
    /// Domain0 crashed.
    Dom0Crashed,
    /// A test guest reported success.
    Success,
    /// A test guest found a fault of the hypervisor.
    Failure,
    /// A test guest cannot run on this machine.
    Skip,
    /// A test guest is at fault itself.
    Error,
    /// Domain0 asked for a reboot.
    Reboot,
    /// The hypervisor panicked.
    Panic,
}

impl Verdict {
    /// All of them, with the exit device's codes.
    const CODES: [(u8, Self); 8] = [
        (0x10, Self::PowerOff),
        (0x11, Self::Dom0Crashed),
        (0x12, Self::Success),
        (0x13, Self::Failure),
        (0x14, Self::Skip),
        (0x15, Self::Error),
        (0x16, Self::Reboot),
        (0x20, Self::Panic),
    ];

    /// The verdict that the exit device's `code` stands for.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::CODES.iter().find(|(c, _)| *c == code).map(|(_, v)| *v)
    }

    /// The verdict in QEMU's exit status.
    pub fn from_qemu(status: i32) -> Option<Self> {
        let status = u8::try_from(status).ok()?;
        if status & 1 == 0 {
            None
        } else {
            Self::from_code(status >> 1)
        }
    }

    /// The verdict that a line of the log announces.
    pub fn from_line(line: &str) -> Option<Self> {
        let (_, rest) = line.split_once(ANNOUNCEMENT)?;
        Self::from_code(u8::from_str_radix(rest.get(..2)?, 16).ok()?)
    }

    /// The launcher's exit status.
    pub fn status(self) -> i32 {
        match self {
            Self::PowerOff | Self::Success | Self::Skip | Self::Reboot => OK,
            Self::Dom0Crashed | Self::Failure | Self::Error => FAILED,
            Self::Panic => NO_VERDICT,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PowerOff => "orderly poweroff",
            Self::Dom0Crashed => "Domain0 crashed",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Skip => "skip",
            Self::Error => "error",
            Self::Reboot => "orderly reboot",
            Self::Panic => "the hypervisor panicked",
        })
    }
}

/// How a run of the machine ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The hypervisor said how.
    Verdict(Verdict),
    /// The machine was reset, or powered off by somebody else.
    Reset,
    /// The time limit was reached.
    TimedOut,
    /// The user left the console, or closed what reads it.
    Left,
    /// The emulator refused its arguments; its own words.
    NotStarted(String),
    /// The emulator ended in another way.
    Died(String),
}

impl Ending {
    /// The launcher's exit status.
    pub fn status(&self) -> i32 {
        match self {
            Self::Verdict(verdict) => verdict.status(),
            Self::Reset | Self::Left | Self::Died(_) => NO_VERDICT,
            Self::TimedOut => TIMEOUT,
            Self::NotStarted(_) => BAD_ARGUMENTS,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verdict(verdict) => verdict.fmt(f),
            Self::Reset => f.write_str("the machine was reset or switched off without a verdict"),
            Self::TimedOut => f.write_str("the time limit was reached"),
            Self::Left => f.write_str("the console was left; the machine was stopped"),
            Self::NotStarted(why) => write!(f, "the emulator did not start: {why}"),
            Self::Died(how) => write!(f, "the emulator ended without a verdict: {how}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_exit_device() {
        for (code, verdict) in Verdict::CODES {
            assert_eq!(Verdict::from_qemu(i32::from(code) << 1 | 1), Some(verdict));
            assert_eq!(
                Verdict::from_line(&format!("(XEN) xenlite: exit {code:#04x}")),
                Some(verdict)
            );
        }
    }

    #[test]
    fn other_exit_statuses_are_no_verdict() {
        // 0: reset under -no-reboot; 1: QEMU refused its arguments; 127 and 255: codes that nobody has.
        for status in [0, 1, 2, 32, 127, 255, 256, -1] {
            assert_eq!(Verdict::from_qemu(status), None, "status {status}");
        }
        for line in [
            "",
            "xenlite: exit 0x",
            "xenlite: exit 0xg0",
            "exit 0x10",
            "xenlite: exit 0x77",
            "xenlite: exit 0x1",
        ] {
            assert_eq!(Verdict::from_line(line), None, "{line}");
        }
    }

    #[test]
    fn a_panic_and_a_missing_verdict_share_a_status_and_a_timeout_has_its_own() {
        assert_eq!(Ending::Verdict(Verdict::Panic).status(), 3);
        assert_eq!(Ending::Reset.status(), 3);
        assert_eq!(Ending::Verdict(Verdict::Dom0Crashed).status(), 1);
        assert_eq!(Ending::TimedOut.status(), 124);
        assert_eq!(Ending::NotStarted(String::new()).status(), 2);
    }
}
