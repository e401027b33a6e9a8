//! Which domain runs.
//!
//! A domain can run while nothing holds it back: no reason in [`Held`] and no internal pause. Which ones can is also
//! kept as one bit per slot, so a pick is a few instructions. The policy is round robin by slot: the next
//! runnable one after the current. (Shares and slices are a later policy's business; its place is
//! [`Scheduler::pick`].)
//!
//! ```text
//!            sched_op(block), nothing pending          event (step 5 of setting a port pending)
//!  runnable ─────────────────────────────────► blocked ─────────────────────────────────► runnable
//!     │  ▲ pause count 0, unpaused by its controller
//!     ▼  │
//!  paused            shut down, crashed: for good
//! ```
//!
//! Nothing here sleeps or switches by itself: [`Scheduler::wants_pick`] asks the exit path to ([`crate::exit`]).
//!
//! Source: Xen 2.0 interface, scheduling and domain states.

use crate::{
    event::{self, Virq},
    hypervisor::{Hypervisor, MAX_DOMAINS},
    platform::Platform,
    shared_info::SharedInfo,
};
use bitflags::bitflags;

bitflags! {
    /// Why a domain does not run.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Held: u8 {
        /// Waits for an event.
        const BLOCKED = 1 << 0;
        /// Paused by its controller; so every domain begins.
        const PAUSED = 1 << 1;
        /// It shut itself down.
        const SHUTDOWN = 1 << 2;
        /// It crashed, by its own word or by ours.
        const CRASHED = 1 << 3;
        /// It is being destroyed.
        const DYING = 1 << 4;
    }
}

/// The scheduler's part of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunState {
    /// What holds it back.
    pub held: Held,
    /// Internal pauses not yet taken back.
    pub pause_count: u32,
    /// The reason it gave for its shutdown.
    pub shutdown_reason: u8,
    /// How long it ran, in ns.
    pub cpu_time_ns: u64,
    /// System time when it last began to run.
    pub started_ns: u64,
}

impl RunState {
    /// A domain just created.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            held: Held::PAUSED,
            pause_count: 0,
            shutdown_reason: 0,
            cpu_time_ns: 0,
            started_ns: 0,
        }
    }

    /// Whether it can run.
    #[must_use]
    pub const fn is_runnable(&self) -> bool {
        self.held.is_empty() && self.pause_count == 0
    }
}

impl Default for RunState {
    fn default() -> Self {
        Self::new()
    }
}

/// How the machine ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineEnd {
    /// Domain0 shut down with this reason: 0 is power-off, any other a reboot.
    Shutdown(u8),
    /// Domain0 crashed.
    Dom0Crashed,
}

/// The scheduler's own state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduler {
    /// A bit per slot whose domain can run.
    runnable: u64,
    /// The exit path is to pick anew.
    pub wants_pick: bool,
    /// Nobody ran when the present pick began.
    pub is_idle: bool,
    /// The machine is to end.
    pub end: Option<MachineEnd>,
}

const _: () = assert!(MAX_DOMAINS == 64, "a slot is a bit of the mask");

impl Scheduler {
    /// Nobody can run.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            runnable: 0,
            wants_pick: false,
            is_idle: false,
            end: None,
        }
    }

    /// The slot to run next after `current`: the nearest runnable one behind it, itself last.
    #[must_use]
    pub const fn pick(&self, current: usize) -> Option<usize> {
        if self.runnable == 0 {
            return None;
        }
        let first = (current + 1) % MAX_DOMAINS;
        let turned = self.runnable.rotate_right(first as u32);
        Some((first + turned.trailing_zeros() as usize) % MAX_DOMAINS)
    }

    /// Whether only the domain in `slot` can run.
    #[inline(always)]
    #[must_use]
    pub const fn is_alone(&self, slot: usize) -> bool {
        self.runnable == 1 << (slot % MAX_DOMAINS)
    }

    /// Whether the domain in `slot` can run.
    #[must_use]
    pub const fn is_runnable(&self, slot: usize) -> bool {
        self.runnable >> (slot % MAX_DOMAINS) & 1 != 0
    }

    fn set_runnable(&mut self, slot: usize, on: bool) {
        let bit = 1 << (slot % MAX_DOMAINS);
        if on {
            self.runnable |= bit
        } else {
            self.runnable &= !bit
        }
    }
}

impl Default for Scheduler {
    fn default() -> Self {
        Self::new()
    }
}

/// Changes what holds the domain in `slot`, and asks for a pick where that lets it run or stops it.
/// No domain there: nothing happens.
pub fn change<P: Platform>(
    hv: &mut Hypervisor,
    platform: &P,
    slot: usize,
    change: impl FnOnce(&mut RunState),
) {
    let Some(domain) = hv.domain_at(slot) else { return };
    change(&mut domain.run);
    let now = domain.run.is_runnable();
    if now != hv.sched.is_runnable(slot) {
        hv.sched.set_runnable(slot, now);
        request_pick(hv, platform);
    }
}

/// Has the exit path pick anew.
pub fn request_pick<P: Platform>(hv: &mut Hypervisor, platform: &P) {
    hv.sched.wants_pick = true;
    platform.request_exit_work();
}

/// An event reached the domain in `slot`, which is blocked: it waits no longer.
#[cold]
#[inline(never)]
pub fn wake<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize) {
    change(hv, platform, slot, |run| run.held.remove(Held::BLOCKED));
}

/// The current domain lets others run, if there are any.
#[inline(always)]
pub fn yield_to_others<P: Platform>(hv: &mut Hypervisor, platform: &P) {
    if !hv.sched.is_alone(hv.current) {
        request_pick(hv, platform);
    }
}

/// The current domain unmasks events and waits for one; not if one is already pending.
pub fn block<P: Platform>(hv: &mut Hypervisor, platform: &P) {
    let slot = hv.current;
    let Some(domain) = hv.domain_at(slot) else { return };
    let shared = SharedInfo::of(platform, domain);
    shared.unmask_upcalls();
    if !shared.upcall_is_pending() {
        change(hv, platform, slot, |run| run.held.insert(Held::BLOCKED));
    }
}

/// The domain in `slot` stops for good, by its own wish (`reason`) or because it is beyond repair (`None`). Of
/// Domain0 that ends the machine; of another, Domain0 is told.
pub fn stop<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize, reason: Option<u8>) {
    const CRASH: u8 = guest_abi::sched::ShutdownReason::CRASH.raw();
    let held = if matches!(reason, None | Some(CRASH)) {
        Held::CRASHED
    } else {
        Held::SHUTDOWN
    };
    change(hv, platform, slot, |run| {
        run.held.insert(held);
        run.shutdown_reason = reason.unwrap_or(CRASH);
    });
    let is_dom0 = hv.domain_at(slot).is_some_and(|domain| domain.id.0 == 0);
    if is_dom0 {
        hv.sched.end = Some(reason.map_or(MachineEnd::Dom0Crashed, MachineEnd::Shutdown));
        request_pick(hv, platform);
    } else {
        event::send_to_dom0(hv, platform, Virq::DomainException);
    }
}

#[cfg(test)]
mod tests;
