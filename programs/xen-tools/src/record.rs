//! What the tools remember of a domain that they made, and what is to be done when it ends.
//!
//! A record is a file of JSON. It outlives the program that made the domain; the hypervisor knows nothing of it.

use alloc::string::String;

use guest_abi::domctl::DomainFlags;
use guest_abi::sched::ShutdownReason;
use serde::{Deserialize, Serialize};

use crate::settings::{Action, Settings};

/// A domain that ends this soon after its start is not started again for long.
pub const QUICK_NS: u64 = 1_000_000_000;
/// How often in a row a domain may end that soon.
pub const QUICK_ENDS: u32 = 5;

/// A domain that the tools made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its number.
    pub id: u16,
    /// What it was to be.
    pub settings: Settings,
    /// The frame of its console ring.
    pub console_mfn: u32,
    /// The console's port at the domain.
    pub console_port: u32,
    /// When it was made, on Domain0's clock since boot.
    pub started_ns: u64,
    /// How often in a row it ended soon after its start.
    pub quick_ends: u32,
}

impl Record {
    /// Reads a file's content.
    ///
    /// # Errors
    /// It is no record; the message is for a person.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| alloc::format!("no record of a domain: {error}"))
    }

    /// The file's content.
    pub fn to_json(&self) -> String {
        // Strings and numbers alone: nothing that JSON cannot hold.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// What is to be done with it in the state `flags` at `now_ns`; nothing while it lives.
    pub fn verdict(&self, flags: DomainFlags, now_ns: u64) -> Option<Verdict> {
        let end = End::of(flags)?;
        let action = match end {
            End::PowerOff => self.settings.on_poweroff,
            End::Reboot => self.settings.on_reboot,
            End::Crash => self.settings.on_crash,
            // Whoever asked for it looks after it.
            End::Suspend => Action::Preserve,
        };
        let is_quick = now_ns.saturating_sub(self.started_ns) < QUICK_NS;
        let quick_ends = if is_quick { self.quick_ends + 1 } else { 0 };
        let gives_up = action == Action::Restart && quick_ends >= QUICK_ENDS;
        Some(Verdict {
            end,
            action: if gives_up { Action::Preserve } else { action },
            quick_ends,
            gives_up,
        })
    }
}

/// How a domain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Orderly.
    PowerOff,
    /// To be started again.
    Reboot,
    /// Killed, or its kernel gave up.
    Crash,
    /// To be saved.
    Suspend,
}

impl End {
    /// How the domain in this state ended, if it did.
    pub fn of(flags: DomainFlags) -> Option<Self> {
        if flags.contains(DomainFlags::DYING) {
            None
        } else if flags.contains(DomainFlags::CRASHED) {
            Some(Self::Crash)
        } else if flags.contains(DomainFlags::SHUTDOWN) {
            Some(match flags.reason() {
                ShutdownReason::REBOOT => Self::Reboot,
                ShutdownReason::SUSPEND => Self::Suspend,
                ShutdownReason::CRASH => Self::Crash,
                _ => Self::PowerOff,
            })
        } else {
            None
        }
    }

    /// The word that listings use.
    pub const fn word(self) -> &'static str {
        match self {
            Self::PowerOff => "poweroff",
            Self::Reboot => "reboot",
            Self::Crash => "crash",
            Self::Suspend => "suspend",
        }
    }
}

/// What to do with a domain that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How it ended.
    pub end: End,
    /// What to do.
    pub action: Action,
    /// How often in a row it ended soon after its start, this time included.
    pub quick_ends: u32,
    /// It would be started again, had it not ended so soon so often.
    pub gives_up: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            id: 3,
            settings: Settings {
                on_crash: Action::Restart,
                ..Settings::new("web", "k")
            },
            console_mfn: 5,
            console_port: 6,
            started_ns: 100 * QUICK_NS,
            quick_ends: 0,
        }
    }

    const LATER: u64 = 102 * QUICK_NS;

    #[test]
    fn a_record_survives_its_file() {
        let record = record();
        assert_eq!(Record::parse(record.to_json().as_bytes()), Ok(record));
        for bytes in [&b""[..], b"{}", b"\xff", b"[1]"] {
            assert!(Record::parse(bytes).unwrap_err().starts_with("no record"));
        }
    }

    #[test]
    fn each_end_has_its_setting() {
        let record = record();
        let shut = |reason| DomainFlags::SHUTDOWN.with(0, reason);
        let action = |flags| record.verdict(flags, LATER).map(|verdict| verdict.action);
        assert_eq!(action(shut(ShutdownReason::POWEROFF)), Some(Action::Destroy));
        assert_eq!(action(shut(ShutdownReason::REBOOT)), Some(Action::Restart));
        assert_eq!(action(shut(ShutdownReason::SUSPEND)), Some(Action::Preserve));
        assert_eq!(action(shut(ShutdownReason::CRASH)), Some(Action::Restart));
        assert_eq!(action(DomainFlags::CRASHED), Some(Action::Restart));
        for alive in [
            DomainFlags::empty(),
            DomainFlags::PAUSED | DomainFlags::BLOCKED,
            DomainFlags::RUNNING,
        ] {
            assert_eq!(action(alive), None);
        }
        assert_eq!(
            action(DomainFlags::DYING | DomainFlags::CRASHED),
            None,
            "somebody destroys it already"
        );
    }

    #[test]
    fn what_ends_at_once_again_and_again_is_kept() {
        let mut record = record();
        for round in 1..=QUICK_ENDS {
            let verdict = record
                .verdict(DomainFlags::CRASHED, record.started_ns + QUICK_NS - 1)
                .unwrap();
            assert_eq!(verdict.quick_ends, round);
            assert_eq!(verdict.gives_up, round == QUICK_ENDS);
            assert_eq!(verdict.action == Action::Preserve, round == QUICK_ENDS);
            record.quick_ends = verdict.quick_ends;
        }
        let verdict = record.verdict(DomainFlags::CRASHED, LATER).unwrap();
        assert_eq!((verdict.quick_ends, verdict.action), (0, Action::Restart));
    }
}
