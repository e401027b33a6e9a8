//! How a test guest says how its test went: a reason of `sched_op(shutdown)`.
//!
//! A hypervisor booted with `exit-on-shutdown` prints the verdict when Domain0 shuts down with one of these
//! reasons and ends the emulator with a status that says the same; otherwise they are reasons like any other.
//! Whether they are honoured is a [feature bit](crate::version::Features::EXIT_ON_SHUTDOWN). The guest prints
//! what it found through `console_io` first, one line a finding.

use crate::sched::ShutdownReason;

/// How a test went. (A fifth outcome, the crash, is seen by the runner, not said by the guest.)
///
/// The values are the guest's own choice of a reason; what arrives goes through [`Verdict::from_reason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// Everything was as it should be.
    Success = 0x10,
    /// The test cannot run here, for a reason it has printed.
    Skip = 0x11,
    /// The test itself is wrong or met what it did not expect.
    Error = 0x12,
    /// The hypervisor did what it must not do.
    Failure = 0x13,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 4] = [Self::Success, Self::Skip, Self::Error, Self::Failure];

    /// The shutdown reason that says it.
    #[must_use]
    pub const fn reason(self) -> ShutdownReason {
        ShutdownReason::new(self as u8)
    }

    /// The verdict that a shutdown reason says, if any.
    #[must_use]
    pub fn from_reason(reason: ShutdownReason) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.reason() == reason)
    }

    /// The word for it in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Skip => "skip",
            Self::Error => "error",
            Self::Failure => "failure",
        }
    }
}

impl core::fmt::Display for Verdict {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_survive_the_reason_and_shadow_none_of_xens() {
        for verdict in Verdict::ALL {
            assert_eq!(Verdict::from_reason(verdict.reason()), Some(verdict));
            assert_eq!(verdict.reason().name(), None);
        }
        for raw in (0..0x10).chain(0x14..=0xFF) {
            assert_eq!(Verdict::from_reason(ShutdownReason::new(raw)), None);
        }
    }
}
