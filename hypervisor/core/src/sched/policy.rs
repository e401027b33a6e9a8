//! What a scheduling policy decides, and the choice of one.
//!
//! The scheduler queues by [`Place`] who can run and does not; the one with the smallest place is next. A policy says
//! what place a domain gets and how long it may run. It sees one domain's [`Share`] at a time and never the queue,
//! so what it does costs the same with any number of domains.

use super::{bvt::Bvt, round_robin::RoundRobin, share::Share};
use crate::slot_heap::HeapKey;

/// Whose turn it is: the smallest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub u128);

impl HeapKey for Place {
    const NONE: Self = Self(0);
}

impl Place {
    /// Before all others.
    pub const FIRST: Self = Self(1);
}

/// How a domain ran.
#[derive(Clone, Copy, Debug)]
pub struct Ran {
    /// For how long.
    pub ns: u64,
    /// It gave the rest of its slice up.
    pub has_yielded: bool,
    /// It is now.
    pub now_ns: u64,
}

/// A scheduling policy.
pub trait Policy {
    /// Charges a domain for having run.
    fn charge(&mut self, share: &mut Share, ran: Ran);
    /// The place of a domain that ran until now and could go on; `gives_way`: its slice is over, or given up.
    fn place_after_run(&mut self, share: &Share, now_ns: u64, gives_way: bool) -> Place;
    /// The place of a domain that can run from now on, beside the one that runs, if one does, charged up to now.
    fn place_woken(
        &mut self,
        share: &mut Share,
        running: Option<&Share>,
        first: Option<Place>,
        now_ns: u64,
    ) -> Place;
    /// When the slice of a domain that begins to run is over, or of one that goes on, with its present end. `first` is
    /// the first behind it; without one it may run on ([`crate::time::NEVER`]).
    fn slice_end(
        &mut self,
        share: &Share,
        first: Option<Place>,
        now_ns: u64,
        goes_on_until: Option<u64>,
    ) -> u64;
    /// When the slice of the one that runs is over now that somebody woke; not later than `now_ns`: at once.
    fn slice_end_beside_woken(&self, running: &Share, woken: Place, now_ns: u64, end_ns: u64) -> u64;
}

/// The policy that was chosen at boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChosenPolicy {
    /// Borrowed virtual time.
    Bvt(Bvt),
    /// Round robin.
    RoundRobin(RoundRobin),
}

impl ChosenPolicy {
    /// The policies' names, the first one that of the default.
    pub const NAMES: [&'static str; 2] = ["bvt", "rrobin"];

    /// The policy called `name`, if there is one.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "bvt" => Some(Self::Bvt(Bvt::new())),
            "rrobin" => Some(Self::RoundRobin(RoundRobin::new())),
            _ => None,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Bvt(_) => Self::NAMES[0],
            Self::RoundRobin(_) => Self::NAMES[1],
        }
    }
}

macro_rules! each {
    ($self:ident, $policy:ident => $what:expr) => {
        match $self {
            ChosenPolicy::Bvt($policy) => $what,
            ChosenPolicy::RoundRobin($policy) => $what,
        }
    };
}

impl Policy for ChosenPolicy {
    #[inline(always)]
    fn charge(&mut self, share: &mut Share, ran: Ran) {
        each!(self, policy => policy.charge(share, ran));
    }

    #[inline(always)]
    fn place_after_run(&mut self, share: &Share, now_ns: u64, gives_way: bool) -> Place {
        each!(self, policy => policy.place_after_run(share, now_ns, gives_way))
    }

    #[inline(always)]
    fn place_woken(
        &mut self,
        share: &mut Share,
        running: Option<&Share>,
        first: Option<Place>,
        now_ns: u64,
    ) -> Place {
        each!(self, policy => policy.place_woken(share, running, first, now_ns))
    }

    #[inline(always)]
    fn slice_end(
        &mut self,
        share: &Share,
        first: Option<Place>,
        now_ns: u64,
        goes_on_until: Option<u64>,
    ) -> u64 {
        each!(self, policy => policy.slice_end(share, first, now_ns, goes_on_until))
    }

    #[inline(always)]
    fn slice_end_beside_woken(&self, running: &Share, woken: Place, now_ns: u64, end_ns: u64) -> u64 {
        each!(self, policy => policy.slice_end_beside_woken(running, woken, now_ns, end_ns))
    }
}
