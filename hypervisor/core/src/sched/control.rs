//! What Domain0 sets and reads: the policy's own parameter, and a domain's.

use super::{
    bvt::{Bvt, MCU_NS},
    pick::{account, request_pick},
    policy::{ChosenPolicy, Policy},
    round_robin::RoundRobin,
    share::BvtParams,
};
use crate::{error::HvError, hypervisor::Hypervisor, platform::Platform};

/// Bounds of the context-switch allowance and of the round robin's slice: below the one, nobody would get
/// anything done, above the other everybody would wait for ever.
const SLICE_BOUNDS_NS: core::ops::RangeInclusive<u64> = MCU_NS..=1_000_000_000;

/// The policy's own parameter: context-switch allowance or slice.
#[must_use]
pub const fn slice_ns(policy: &ChosenPolicy) -> u64 {
    match policy {
        ChosenPolicy::Bvt(Bvt { allowance_ns: ns, .. })
        | ChosenPolicy::RoundRobin(RoundRobin { slice_ns: ns, .. }) => *ns,
    }
}

/// Sets the policy's own parameter, from the next slice on.
///
/// # Errors
/// [`HvError::Invalid`] below 100 µs or above a second.
pub fn set_slice_ns(policy: &mut ChosenPolicy, ns: u64) -> Result<(), HvError> {
    if !SLICE_BOUNDS_NS.contains(&ns) {
        return Err(HvError::Invalid);
    }
    match policy {
        ChosenPolicy::Bvt(bvt) => bvt.allowance_ns = ns,
        ChosenPolicy::RoundRobin(round_robin) => round_robin.slice_ns = ns,
    }
    Ok(())
}

/// Gives the domain in `slot` other parameters, from now on: what it has used already is charged by the old ones.
///
/// # Errors
/// [`HvError::Invalid`] for a weight of 0, or where the policy has no parameters of domains;
/// [`HvError::NoSuchDomain`].
pub fn set_params<P: Platform>(
    hv: &mut Hypervisor,
    platform: &P,
    slot: usize,
    params: BvtParams,
) -> Result<(), HvError> {
    if params.mcu_advance == 0 || !matches!(hv.sched.policy, ChosenPolicy::Bvt(_)) {
        return Err(HvError::Invalid);
    }
    account(hv, platform);
    let domain = hv.domain_at(slot).ok_or(HvError::NoSuchDomain)?;
    domain.run.share.set_params(params);
    let share = domain.run.share;
    if hv.sched.is_queued(slot) {
        let place = hv.sched.policy.place_after_run(&share, platform.now_ns(), false);
        hv.sched.queue.set(slot, place);
    }
    // Who is first, and how long who runs may, can have changed.
    request_pick(hv, platform);
    Ok(())
}
