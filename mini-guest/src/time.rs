//! Time: the record in shared-info carried on with the TSC, and the one-shot timer.

use core::arch::x86::_rdtsc;

use guest_abi::domctl::{Dom0Op, SetTime};
use guest_abi::errno::Errno;

use crate::{hypercall, shared};

/// Nanoseconds in a second.
pub const NS_PER_SEC: u64 = 1_000_000_000;

/// The time-stamp counter.
#[must_use]
pub fn tsc() -> u64 {
    // SAFETY: every processor that runs this kernel has the instruction, and CR4.TSD is off.
    unsafe { _rdtsc() }
}

/// Nanoseconds since the hypervisor's boot.
#[must_use]
pub fn now_ns() -> u64 {
    shared::time_record().system_time_at(tsc())
}

/// The wall clock: seconds since 1970, and the nanoseconds beyond them.
#[must_use]
pub fn wall_clock() -> (u64, u32) {
    let record = shared::time_record();
    let since = record.system_time_at(tsc()).saturating_sub(record.system_time);
    let ns = u64::from(record.wc_usec) * 1000 + since;
    (
        u64::from(record.wc_sec) + ns / NS_PER_SEC,
        (ns % NS_PER_SEC) as u32,
    )
}

/// Sets the wall clock of the machine, for all domains.
///
/// # Errors
/// −EPERM: this is not the domain that may; −EINVAL.
pub fn set_wall_clock(seconds: u32, micros: u32) -> Result<(), Errno> {
    let mut op = Dom0Op::new(&SetTime {
        secs: seconds,
        usecs: micros,
        system_time: now_ns(),
    });
    // SAFETY: the block is ours and whole, and there is no address in it.
    unsafe { hypercall::dom0_op(&mut op) }.map(drop)
}

/// Asks for the timer event at `deadline` (ns since boot), or for none.
///
/// # Errors
/// None is known.
pub fn set_timer(deadline: Option<u64>) -> Result<(), Errno> {
    // 0 would cancel.
    hypercall::set_timer(deadline.map_or(0, |ns| ns.max(1)))
}
