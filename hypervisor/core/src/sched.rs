//! Which domain runs.
//!
//! A domain can run while nothing holds it back: no reason in [`Held`] and no internal pause. Those that can and do
//! not run just now are queued by whose turn it is; who runs is not queued. Domains that wait for something cost
//! nothing. Whose turn it is and for how long says the [`policy`]: [borrowed virtual time](bvt) or [round
//! robin](round_robin). A slice ends by the one-shot timer ([`crate::time`]).
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

pub mod bvt;
pub mod control;
mod pick;
pub mod policy;
pub mod round_robin;
pub mod share;

pub use pick::{account, pick, request_pick};

use self::{
    bvt::Bvt,
    policy::{ChosenPolicy, Place},
    share::Share,
};
use crate::{
    event::{self, Virq},
    hypervisor::Hypervisor,
    platform::Platform,
    shared_info::SharedInfo,
    slot_heap::SlotHeap,
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
    /// System time when it last began to run, or was last charged.
    pub started_ns: u64,
    /// What the policy keeps of it.
    pub share: Share,
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
            share: Share::new(),
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
    /// Who can run and does not, by whose turn it is.
    queue: SlotHeap<Place>,
    /// Says whose turn it is.
    pub policy: ChosenPolicy,
    /// Who runs gave the rest of its slice up.
    has_yielded: bool,
    /// The exit path is to pick anew.
    pub wants_pick: bool,
    /// Nobody runs.
    pub is_idle: bool,
    /// The machine is to end.
    pub end: Option<MachineEnd>,
}

impl Scheduler {
    /// Nobody can run.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            queue: SlotHeap::new(),
            policy: ChosenPolicy::Bvt(Bvt::new()),
            has_yielded: false,
            wants_pick: false,
            is_idle: true,
            end: None,
        }
    }

    /// Whether nobody but who runs can run.
    #[inline(always)]
    #[must_use]
    pub const fn is_alone(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether the domain in `slot` waits for its turn.
    #[must_use]
    pub const fn is_queued(&self, slot: usize) -> bool {
        self.queue.contains(slot)
    }

    /// How many wait for their turn.
    #[must_use]
    pub const fn queued_count(&self) -> usize {
        self.queue.len()
    }

    /// The slots that wait for their turn, in no order, with their places.
    pub fn queued(&self) -> impl Iterator<Item = (usize, Place)> + '_ {
        self.queue.iter()
    }

    /// The domain in `slot` runs from now on: the first one ever, without a pick.
    pub fn begin(&mut self, slot: usize) {
        self.queue.remove(slot);
        self.is_idle = false;
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
    let can_run = domain.run.is_runnable();
    let runs = slot == hv.current && !hv.sched.is_idle;
    if runs {
        if !can_run {
            request_pick(hv, platform);
        }
    } else if can_run != hv.sched.is_queued(slot) {
        if can_run {
            pick::queue_woken(hv, platform, slot);
        } else {
            hv.sched.queue.remove(slot);
        }
    }
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
    if !hv.sched.is_alone() {
        hv.sched.has_yielded = true;
        request_pick(hv, platform);
    }
}

/// The current domain unmasks events and waits for one; not if one is already pending.
#[inline(always)]
pub fn block<P: Platform>(hv: &mut Hypervisor, platform: &P) {
    let Some(domain) = hv.running_if_any() else { return };
    let shared = SharedInfo::of(platform, domain);
    shared.unmask_upcalls();
    if !shared.upcall_is_pending() {
        domain.run.held.insert(Held::BLOCKED);
        request_pick(hv, platform);
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
