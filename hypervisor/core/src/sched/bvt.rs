//! Borrowed virtual time: the processor is shared by weight, and who needs it soon may borrow from its own future.
//!
//! Each domain has an *actual* virtual time (AVT) that advances while it runs, the faster the smaller its weight
//! is; its *effective* one (EVT) is the same but for a domain that warps, for which it is earlier. The smallest EVT
//! runs. As warping does not slow AVT down, what a domain gets earlier it gets less of later: shares follow the
//! weights with or without it.
//!
//! * AVT advances by `mcu_advance` per MCU (100 µs), counted to the nanosecond. Who yields is charged an MCU at
//!   least: else the processor would come straight back to him as long as his EVT is the smallest.
//! * The scheduler's virtual time (SVT) never exceeds the smallest AVT of those that can run. Who wakes, or is new,
//!   begins at SVT at the earliest, so that having slept is no claim.
//! * Who wakes with an EVT not greater than that of who runs preempts him. Else the slice of who runs ends when he has
//!   fallen behind the woken one by the context-switch allowance.
//! * A slice is what the domain is ahead of the next one, and the context-switch allowance; alone, a domain runs on.
//! * Who ran warped for `warp_limit` without waiting for an event in between is not warped for `unwarp`. Its EVT
//!   then changes when it next passes through the scheduler, as everybody's does.
//!
//! Where Xen 2.0 differs: it rounded every run up to whole MCUs, forgot in a slice's length that an MCU is 100 µs,
//! and measured one uninterrupted run against the warp limit.
//!
//! Virtual time is kept in ns · `mcu_advance`, 128 bits wide: it does not overflow in the 584 years that system time
//! lasts, and there is nothing to rebase. Its lowest 30 bits are 0; in a place they say who comes first among equals.
//!
//! Source: Xen 2.0 interface, BVT; Duda and Cheriton, "Borrowed-Virtual-Time (BVT) scheduling", SOSP 1999.

use super::{
    policy::{Place, Policy, Ran},
    share::Share,
};
use crate::time::NEVER;

/// The accounting unit, in ns: what `mcu_advance` and warp values are given per.
pub const MCU_NS: u64 = 100_000;
/// Context-switch allowance unless another is set.
pub const DEFAULT_ALLOWANCE_NS: u64 = 5_000_000;

/// Bits of a place below the effective virtual time: the order among equals.
const ORDER: u128 = (1 << Share::FRACTION_BITS) - 1;
/// Set for who ran until now: a woken domain comes before it.
const RAN: u32 = 1 << (Share::FRACTION_BITS - 1);

/// The policy's own state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bvt {
    /// The scheduler's virtual time.
    svt: u128,
    /// How many places were given out, modulo what fits: only for the order among equals.
    given: u32,
    /// Context-switch allowance.
    pub allowance_ns: u64,
}

impl Bvt {
    /// At the beginning of virtual time.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            svt: Share::BEGINNING,
            given: 0,
            allowance_ns: DEFAULT_ALLOWANCE_NS,
        }
    }

    /// A place at `evt`, behind those that have one there already.
    fn place(&mut self, evt: u128, ran: u32) -> Place {
        self.given = self.given.wrapping_add(1) % RAN;
        Place(evt | u128::from(ran | self.given))
    }

    /// Moves SVT on: who runs is at `avt`, the queue begins with `first`. Its EVT is nobody's AVT there, but
    /// not more than anybody's.
    fn advance(&mut self, avt: u128, first: Option<Place>) {
        let least = first.map_or(avt, |first| avt.min(evt_of(first)));
        self.svt = self.svt.max(least);
    }
}

impl Default for Bvt {
    fn default() -> Self {
        Self::new()
    }
}

const fn evt_of(place: Place) -> u128 {
    place.0 & !ORDER
}

const fn is_warped(share: &Share, now_ns: u64) -> bool {
    share.params.may_warp && share.unwarped_until_ns <= now_ns
}

#[inline(always)]
fn evt(share: &Share, now_ns: u64) -> u128 {
    if share.params.may_warp {
        evt_of_warper(share, now_ns)
    } else {
        share.avt
    }
}

/// Out of line, as all about warping: else it is computed for those, too, that may not.
#[cold]
#[inline(never)]
fn evt_of_warper(share: &Share, now_ns: u64) -> u128 {
    if !is_warped(share, now_ns) {
        return share.avt;
    }
    let warp = u128::from(share.params.warp_value) * u128::from(MCU_NS);
    share.avt.saturating_sub(warp << Share::FRACTION_BITS)
}

/// Counts the time that a domain ran warped.
#[cold]
#[inline(never)]
fn charge_warper(share: &mut Share, ran: Ran) {
    if !is_warped(share, ran.now_ns) || share.params.warp_limit_ns == 0 {
        return;
    }
    share.warped_ns = share.warped_ns.saturating_add(ran.ns);
    if share.warped_ns >= share.params.warp_limit_ns {
        share.warped_ns = 0;
        share.unwarped_until_ns = match share.params.unwarp_ns {
            0 => NEVER,
            unwarp_ns => ran.now_ns.saturating_add(unwarp_ns),
        };
    }
}

/// A slice of `slice_ns`, but not beyond the limit of one that runs warped.
#[cold]
#[inline(never)]
fn limit_warper(share: &Share, now_ns: u64, slice_ns: u64) -> u64 {
    if is_warped(share, now_ns) && share.params.warp_limit_ns != 0 {
        slice_ns.min(share.params.warp_limit_ns.saturating_sub(share.warped_ns))
    } else {
        slice_ns
    }
}

/// How long a domain runs until its virtual time has advanced from `from` to `to`.
fn ns_between(share: &Share, from: u128, to: u128) -> u64 {
    let ahead = to.saturating_sub(from) >> Share::FRACTION_BITS;
    let ahead = u64::try_from(ahead).unwrap_or(u64::MAX);
    ahead / u64::from(share.params.mcu_advance.max(1))
}

impl Policy for Bvt {
    #[inline(always)]
    fn charge(&mut self, share: &mut Share, ran: Ran) {
        let charged = if ran.has_yielded {
            ran.ns.max(MCU_NS)
        } else {
            ran.ns
        };
        let per_ns = u64::from(share.params.mcu_advance) << Share::FRACTION_BITS;
        let advance = u128::from(charged) * u128::from(per_ns);
        share.avt = share.avt.saturating_add(advance);
        if share.params.may_warp {
            charge_warper(share, ran);
        }
    }

    fn place_after_run(&mut self, share: &Share, now_ns: u64, _gives_way: bool) -> Place {
        self.place(evt(share, now_ns), RAN)
    }

    fn place_woken(
        &mut self,
        share: &mut Share,
        running: Option<&Share>,
        first: Option<Place>,
        now_ns: u64,
    ) -> Place {
        if let Some(running) = running {
            self.advance(running.avt, first);
        }
        share.avt = share.avt.max(self.svt);
        share.warped_ns = 0;
        self.place(evt(share, now_ns), 0)
    }

    fn slice_end(
        &mut self,
        share: &Share,
        first: Option<Place>,
        now_ns: u64,
        _goes_on_until: Option<u64>,
    ) -> u64 {
        self.advance(share.avt, first);
        let Some(first) = first else { return NEVER };
        let mut slice_ns =
            ns_between(share, evt(share, now_ns), evt_of(first)).saturating_add(self.allowance_ns);
        if share.params.may_warp {
            slice_ns = limit_warper(share, now_ns, slice_ns);
        }
        now_ns.saturating_add(slice_ns)
    }

    fn slice_end_beside_woken(&self, running: &Share, woken: Place, now_ns: u64, end_ns: u64) -> u64 {
        let (ours, theirs) = (evt(running, now_ns), evt_of(woken));
        if theirs <= ours {
            return now_ns;
        }
        let slice_ns = ns_between(running, ours, theirs).saturating_add(self.allowance_ns);
        end_ns.min(now_ns.saturating_add(slice_ns))
    }
}
