//! The page that a domain shares with the hypervisor: events and time.
//!
//! The hypervisor owns the page, the guest maps it where it likes
//! ([`StartInfo`](crate::start_info::StartInfo) has its machine address) and may write all of it. Pending
//! and mask bits are changed by both sides at once: reach them by atomic operations at the [`offset`]s,
//! never through a reference to [`SharedInfo`], which is for building the page and for snapshots.
//!
//! # Events
//! To raise port p: set its pending bit; if it was clear and the port is not masked, set bit p/32 of the
//! selector; if that was clear, set `evtchn_upcall_pending`. The upcall comes when `evtchn_upcall_pending`
//! is not 0 and `evtchn_upcall_mask` is 0, and sets the mask. The guest clears the pending flag *before* it
//! takes the selector (exchange with 0) and looks at each word's pending bits that are not masked. An event
//! on a masked port leaves only the pending bit: who unmasks must look at it and raise the event anew.
//!
//! # Time
//! The writer increments `version1`, writes the record, then sets `version2` to the same value; the reader
//! takes `version2`, the record, `version1`, and starts again where the two differ.
//!
//! Source: Xen 2.0, `shared_info_t`; the machine-to-phys and phys-to-machine fields are xenlite's.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::addr::Mfn;
use crate::event_channel::MAX_PORTS;

/// Words of the pending and mask bitmaps, 32 ports each.
pub const EVENT_WORDS: usize = MAX_PORTS as usize / 32;

/// What the page holds; the rest of it is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SharedInfo {
    /// Events and upcalls of vCPU 0: an upcall is due.
    pub evtchn_upcall_pending: u8,
    /// Not 0: no upcalls now. 1 at start, at every upcall, and at traps that ask for it.
    pub evtchn_upcall_mask: u8,
    /// Zero.
    pub pad: u16,
    /// A bit per port: an event has arrived.
    pub evtchn_pending: [u32; EVENT_WORDS],
    /// A bit per word of `evtchn_pending` that is worth a look.
    pub evtchn_pending_sel: u32,
    /// A bit per port: do not raise it.
    pub evtchn_mask: [u32; EVENT_WORDS],
    /// Time.
    pub time: TimeRecord,
    /// Zero (Xen 2.0 declared `domain_time`, `wall_timeout`, `domain_timeout` here and never used them).
    pub reserved: [u64; 3],
    /// Machine-to-phys and phys-to-machine tables.
    pub arch: ArchSharedInfo,
}

layout!(
    SharedInfo, size 344,
    evtchn_upcall_pending @ 0, evtchn_upcall_mask @ 1, evtchn_pending @ 4, evtchn_pending_sel @ 132,
    evtchn_mask @ 136, time @ 264, reserved @ 304, arch @ 328,
);

/// System time at a TSC value, and the wall clock at that system time. Written by the hypervisor whenever the
/// domain is scheduled in and when its timer expires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TimeRecord {
    /// TSC ticks per second; refined while the machine runs.
    pub cpu_freq: u64,
    /// Incremented before a change of the record.
    pub version1: u32,
    /// Made equal to `version1` after the change.
    pub version2: u32,
    /// The TSC when `system_time` was taken.
    pub tsc_timestamp: u64,
    /// ns since the hypervisor's boot.
    pub system_time: u64,
    /// Wall clock at `system_time`: seconds since 1970.
    pub wc_sec: u32,
    /// The wall clock's microseconds.
    pub wc_usec: u32,
}

layout!(
    TimeRecord, size 40,
    cpu_freq @ 0, version1 @ 8, version2 @ 12, tsc_timestamp @ 16, system_time @ 24, wc_sec @ 32,
    wc_usec @ 36,
);

/// Nanoseconds in a second.
const NS_PER_SEC: u64 = 1_000_000_000;

impl TimeRecord {
    /// System time in ns when the TSC reads `tsc`. A TSC before the record's counts as the record's, and a
    /// frequency of 0 as time standing still; the result saturates.
    #[must_use]
    pub fn system_time_at(&self, tsc: u64) -> u64 {
        let ticks = tsc.saturating_sub(self.tsc_timestamp);
        let Some(seconds) = ticks.checked_div(self.cpu_freq) else {
            return self.system_time;
        };
        let rest = ticks % self.cpu_freq;
        // A rest below 18.4 G ticks (any real frequency) keeps full precision in 64 bits.
        let rest_ns = match rest.checked_mul(NS_PER_SEC) {
            Some(scaled) => scaled / self.cpu_freq,
            None => rest / (self.cpu_freq / NS_PER_SEC),
        };
        self.system_time
            .saturating_add(seconds.saturating_mul(NS_PER_SEC))
            .saturating_add(rest_ns)
    }
}

/// Where the two translation tables are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ArchSharedInfo {
    /// *Out*: first machine frame of the machine-to-phys table, for privileged domains (to map it, under
    /// [`DomId::XEN`](crate::domain::DomId::XEN)); 0 for others.
    pub m2p_start: Mfn,
    /// *Out*: length of the machine-to-phys table in frames of 1024 entries, for all domains: the read-only
    /// window at [`HV_START`](crate::addr::HV_START) holds exactly these.
    pub m2p_frames: u32,
    /// *In*: root of the guest's phys-to-machine list, for tools: a frame of up to 1024 frame numbers, each
    /// of a frame of up to 1024 frame numbers, each of a frame of 1024 `u32` entries. 0 if the guest keeps
    /// none.
    pub p2m_list_list: Mfn,
    /// *In*: how many entries of the list count: one more than the highest pseudo-physical frame.
    pub max_pfn: u32,
}

layout!(ArchSharedInfo, size 16, m2p_start @ 0, m2p_frames @ 4, p2m_list_list @ 8, max_pfn @ 12);

/// Byte offsets in the page, for atomic access.
pub mod offset {
    use core::mem::offset_of;

    use super::{ArchSharedInfo, SharedInfo, TimeRecord};

    /// `u8`: an upcall is due.
    pub const EVTCHN_UPCALL_PENDING: usize = offset_of!(SharedInfo, evtchn_upcall_pending);
    /// `u8`: upcalls are masked.
    pub const EVTCHN_UPCALL_MASK: usize = offset_of!(SharedInfo, evtchn_upcall_mask);
    /// `[u32; 32]`: pending bits.
    pub const EVTCHN_PENDING: usize = offset_of!(SharedInfo, evtchn_pending);
    /// `u32`: selector.
    pub const EVTCHN_PENDING_SEL: usize = offset_of!(SharedInfo, evtchn_pending_sel);
    /// `[u32; 32]`: mask bits.
    pub const EVTCHN_MASK: usize = offset_of!(SharedInfo, evtchn_mask);
    /// [`TimeRecord`].
    pub const TIME: usize = offset_of!(SharedInfo, time);
    /// `u32`: the record's first version.
    pub const TIME_VERSION1: usize = TIME + offset_of!(TimeRecord, version1);
    /// `u32`: the record's second version.
    pub const TIME_VERSION2: usize = TIME + offset_of!(TimeRecord, version2);
    /// [`ArchSharedInfo`].
    pub const ARCH: usize = offset_of!(SharedInfo, arch);
    /// First frame of the machine-to-phys table.
    pub const M2P_START: usize = ARCH + offset_of!(ArchSharedInfo, m2p_start);
    /// How many frames it has.
    pub const M2P_FRAMES: usize = ARCH + offset_of!(ArchSharedInfo, m2p_frames);
    /// `u32`: root of the guest's phys-to-machine list.
    pub const P2M_LIST_LIST: usize = ARCH + offset_of!(ArchSharedInfo, p2m_list_list);
    /// `u32`: how many entries that list has.
    pub const MAX_PFN: usize = ARCH + offset_of!(ArchSharedInfo, max_pfn);
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: TimeRecord = TimeRecord {
        cpu_freq: 2_400_000_000,
        version1: 1,
        version2: 1,
        tsc_timestamp: 1_000,
        system_time: 5,
        wc_sec: 0,
        wc_usec: 0,
    };

    #[test]
    fn time_advances_with_the_tsc() {
        assert_eq!(RECORD.system_time_at(1_000), 5);
        assert_eq!(RECORD.system_time_at(1_000 + 24), 15);
        assert_eq!(
            RECORD.system_time_at(1_000 + 2_400_000_000 * 86_400),
            5 + 86_400 * NS_PER_SEC
        );
    }

    #[test]
    fn time_never_runs_back_or_divides_by_zero() {
        assert_eq!(RECORD.system_time_at(0), 5);
        assert_eq!(
            TimeRecord {
                cpu_freq: 0,
                ..RECORD
            }
            .system_time_at(u64::MAX),
            5
        );
        assert_eq!(
            TimeRecord {
                cpu_freq: 1,
                ..RECORD
            }
            .system_time_at(u64::MAX),
            u64::MAX
        );
        let fast = TimeRecord {
            cpu_freq: 40_000_000_000,
            ..RECORD
        };
        assert_eq!(fast.system_time_at(1_000 + 39_000_000_000), 5 + 975_000_000);
    }
}
