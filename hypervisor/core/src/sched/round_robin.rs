//! Round robin: everybody in turn, for a slice at most.
//!
//! Who wakes waits for its turn behind the others. (In Xen 2.0 it came first, so that two domains that wake each
//! other could keep all others from running.) Who runs alone runs on, and for one more slice once another waits.
//!
//! Source: Xen 2.0 interface, round-robin.

use super::{
    policy::{Place, Policy, Ran},
    share::Share,
};
use crate::time::NEVER;

/// Slice unless another is set.
pub const DEFAULT_SLICE_NS: u64 = 10_000_000;

/// The policy's own state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundRobin {
    /// The last turn given out.
    turn: u64,
    /// How long one may run while others wait.
    pub slice_ns: u64,
}

impl RoundRobin {
    /// No turns given out yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            turn: 0,
            slice_ns: DEFAULT_SLICE_NS,
        }
    }

    /// A turn behind all others. (They last for centuries.)
    fn last_turn(&mut self) -> Place {
        self.turn = self.turn.saturating_add(1);
        Place(Place::FIRST.0 + u128::from(self.turn))
    }
}

impl Default for RoundRobin {
    fn default() -> Self {
        Self::new()
    }
}

impl Policy for RoundRobin {
    fn charge(&mut self, _: &mut Share, _: Ran) {}

    fn place_after_run(&mut self, _: &Share, _: u64, gives_way: bool) -> Place {
        if gives_way { self.last_turn() } else { Place::FIRST }
    }

    fn place_woken(&mut self, _: &mut Share, _: Option<&Share>, _: Option<Place>, _: u64) -> Place {
        self.last_turn()
    }

    fn slice_end(&mut self, _: &Share, first: Option<Place>, now_ns: u64, goes_on_until: Option<u64>) -> u64 {
        match (first, goes_on_until) {
            (None, _) => NEVER,
            (Some(_), Some(end_ns)) if end_ns != NEVER => end_ns,
            _ => now_ns.saturating_add(self.slice_ns),
        }
    }

    fn slice_end_beside_woken(&self, _: &Share, _: Place, now_ns: u64, end_ns: u64) -> u64 {
        end_ns.min(now_ns.saturating_add(self.slice_ns))
    }
}
