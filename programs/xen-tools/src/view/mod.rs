//! Listings: `xl`'s columns for people, JSON for programs, from what the hypervisor says and the tools remember.

mod info;
mod list;
mod sched;
mod top;

use alloc::string::String;

use guest_abi::domctl::{DomainFlags, GetDomainInfo};
use serde::Serialize;

pub use self::info::{DomainInfo, MachineInfo, Registers, crash};
pub use self::list::{list, names, uptimes};
pub use self::sched::{Policy, SchedRow, sched};
pub use self::top::{Sample, TopRow, rows, screen};

use crate::record::{End, Record};
use crate::settings::DOMAIN0_NAME;
use crate::size::PAGE_KIB;

/// A domain in a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Domain {
    /// Its name; `None` where the tools did not make it.
    pub name: Option<String>,
    /// Its number.
    pub id: u16,
    /// Memory it has.
    pub memory_kib: u64,
    /// Memory it may have; `None` without a limit.
    pub max_memory_kib: Option<u64>,
    /// Its processors.
    pub vcpus: u32,
    /// Six letters or dashes: running, blocked, paused, shut down, crashed, dying.
    pub state: String,
    /// Why it shut down: `poweroff`, `reboot`, `crash`, `suspend`.
    pub shutdown_reason: Option<&'static str>,
    /// Processor time used, in ns.
    pub cpu_time_ns: u64,
    /// Time since its creation; `None` where nobody noted that.
    pub uptime_ns: Option<u64>,
}

impl Domain {
    /// A domain as the hypervisor sees it, with what the tools remember of it.
    pub fn new(info: &GetDomainInfo, record: Option<&Record>, now_ns: u64) -> Self {
        let is_domain0 = info.domain.raw() == 0;
        let name = match record {
            Some(record) => Some(record.settings.name.clone()),
            None => is_domain0.then(|| DOMAIN0_NAME.into()),
        };
        let started = if is_domain0 {
            Some(0)
        } else {
            record.map(|record| record.started_ns)
        };
        Self {
            name,
            id: info.domain.raw(),
            memory_kib: u64::from(info.tot_pages) * PAGE_KIB,
            max_memory_kib: (info.max_pages != u32::MAX).then(|| u64::from(info.max_pages) * PAGE_KIB),
            vcpus: 1,
            state: letters(info.flags),
            shutdown_reason: End::of(info.flags).map(End::word),
            cpu_time_ns: info.cpu_time,
            uptime_ns: started.map(|started| now_ns.saturating_sub(started)),
        }
    }

    /// The name, or what stands for it.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or("(null)")
    }
}

/// `xl`'s letters of a state.
fn letters(flags: DomainFlags) -> String {
    [
        (DomainFlags::RUNNING, 'r'),
        (DomainFlags::BLOCKED, 'b'),
        (DomainFlags::PAUSED, 'p'),
        (DomainFlags::SHUTDOWN, 's'),
        (DomainFlags::CRASHED, 'c'),
        (DomainFlags::DYING, 'd'),
    ]
    .into_iter()
    .map(|(flag, letter)| if flags.contains(flag) { letter } else { '-' })
    .collect()
}

/// A listing as JSON with a line end behind it.
pub fn json<T: Serialize + ?Sized>(value: &T) -> String {
    // Nothing listed here can fail to be JSON: no maps with odd keys, no numbers that are none.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

/// Tenths of seconds as `12.3`.
fn seconds(ns: u64) -> String {
    alloc::format!("{}.{}", ns / 1_000_000_000, ns / 100_000_000 % 10)
}

/// `part` of `whole` in tenths of percent, as `12.3`; nothing of nothing is 0.
fn percent(part: u64, whole: u64) -> String {
    let tenths = if whole == 0 {
        0
    } else {
        (u128::from(part) * 1000 + u128::from(whole) / 2) / u128::from(whole)
    };
    alloc::format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use guest_abi::domain::DomId;
    use guest_abi::sched::ShutdownReason;

    #[test]
    fn a_domain_is_what_hypervisor_and_record_say() {
        let info = GetDomainInfo {
            domain: DomId::new(7),
            flags: (DomainFlags::CRASHED | DomainFlags::PAUSED).with(0, ShutdownReason::CRASH),
            tot_pages: 2048,
            max_pages: 4096,
            cpu_time: 5,
            ..GetDomainInfo::default()
        };
        let stranger = Domain::new(&info, None, 9);
        assert_eq!((stranger.label(), stranger.uptime_ns), ("(null)", None));
        assert_eq!(stranger.state, "--p-c-");
        assert_eq!(stranger.shutdown_reason, Some("crash"));
        assert_eq!(
            (stranger.memory_kib, stranger.max_memory_kib),
            (8192, Some(16384))
        );
        let own = GetDomainInfo {
            max_pages: u32::MAX,
            flags: DomainFlags::RUNNING,
            ..GetDomainInfo::default()
        };
        let own = Domain::new(&own, None, 9);
        assert_eq!(
            (own.label(), own.uptime_ns, own.max_memory_kib),
            ("Domain-0", Some(9), None)
        );
        assert_eq!(own.state, "r-----");
    }

    #[test]
    fn fractions_are_rounded_to_tenths() {
        assert_eq!(seconds(12_340_000_000), "12.3");
        for (part, whole, text) in [
            (1, 3, "33.3"),
            (2, 3, "66.7"),
            (0, 0, "0.0"),
            (u64::MAX, u64::MAX, "100.0"),
        ] {
            assert_eq!(percent(part, whole), text);
        }
    }
}
