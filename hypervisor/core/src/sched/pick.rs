//! Who runs next: queueing who can run, charging who did, and ending slices.

use super::{
    RunState,
    policy::{ChosenPolicy, Policy, Ran},
};
use crate::{
    hypervisor::{Hypervisor, MAX_DOMAINS},
    platform::Platform,
    time::{self, NEVER},
};

/// Has the exit path pick anew.
#[inline(always)]
pub fn request_pick<P: Platform>(hv: &mut Hypervisor, platform: &P) {
    hv.sched.wants_pick = true;
    platform.request_exit_work();
}

/// Charges a domain that has run for its time up to now.
#[inline(always)]
fn charge(run: &mut RunState, policy: &mut ChosenPolicy, now_ns: u64, has_yielded: bool) {
    let ns = now_ns.saturating_sub(run.started_ns);
    run.started_ns = now_ns;
    run.cpu_time_ns = run.cpu_time_ns.saturating_add(ns);
    let ran = Ran {
        ns,
        has_yielded,
        now_ns,
    };
    policy.charge(&mut run.share, ran);
}

/// Brings the times that domains ran up to now, so that they can be told.
pub fn account<P: Platform>(hv: &mut Hypervisor, platform: &P) {
    let (now, current) = (platform.now_ns(), hv.current);
    let Hypervisor { domains, sched, .. } = hv;
    if !sched.is_idle
        && let Some(domain) = domains[current % MAX_DOMAINS].as_deref_mut()
    {
        charge(&mut domain.run, &mut sched.policy, now, false);
    }
}

/// The domain in `slot`, which does not run, can: queues it, and ends the slice of who runs, now or earlier than it
/// would.
pub(super) fn queue_woken<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize) {
    let (now, end) = (platform.now_ns(), time::slice_end(hv));
    let (current, slot) = (hv.current % MAX_DOMAINS, slot % MAX_DOMAINS);
    let Hypervisor { domains, sched, .. } = &mut *hv;
    let (running, woken) = if sched.is_idle {
        (None, &mut domains[slot])
    } else if let Ok([running, woken]) = domains.get_disjoint_mut([current, slot]) {
        (running.as_deref_mut(), woken)
    } else {
        return;
    };
    let Some(woken) = woken else { return };
    let running = running.map(|domain| {
        charge(&mut domain.run, &mut sched.policy, now, false);
        &domain.run.share
    });
    let first = sched.queue.first().map(|(_, place)| place);
    let place = sched
        .policy
        .place_woken(&mut woken.run.share, running, first, now);
    sched.queue.set(slot, place);
    let Some(running) = running else {
        return request_pick(hv, platform);
    };
    let sooner = sched.policy.slice_end_beside_woken(running, place, now, end);
    if sooner <= now {
        request_pick(hv, platform);
    } else if sooner != end {
        time::set_slice_end(hv, platform, sooner);
    }
}

/// Chooses who runs from `now` on, if anybody can, for how long, and charges who ran until then.
pub fn pick<P: Platform>(hv: &mut Hypervisor, platform: &P, now: u64) -> Option<usize> {
    let old_end = time::slice_end(hv);
    let current = hv.current;
    let Hypervisor { domains, sched, .. } = &mut *hv;
    sched.wants_pick = false;
    let has_yielded = core::mem::take(&mut sched.has_yielded);
    let gives_way = has_yielded || old_end <= now;
    // The place of who ran, if he could go on.
    let mut place = None;
    if !sched.is_idle
        && let Some(domain) = domains[current % MAX_DOMAINS].as_deref_mut()
    {
        charge(&mut domain.run, &mut sched.policy, now, has_yielded);
        if domain.run.is_runnable() {
            place = Some(sched.policy.place_after_run(&domain.run.share, now, gives_way));
        }
    }
    let next = match (place, sched.queue.first()) {
        (None, _) => sched.queue.pop(),
        (Some(place), Some((_, first))) if first <= place => sched.queue.replace_first(current, place),
        (Some(_), _) => Some(current),
    };
    sched.is_idle = next.is_none();
    let mut end = NEVER;
    if let Some(slot) = next {
        let domain = domains[slot % MAX_DOMAINS].as_deref_mut();
        let run = &mut domain.expect("who is queued exists").run;
        run.started_ns = now;
        let first = sched.queue.first().map(|(_, place)| place);
        let goes_on_until = (place.is_some() && slot == current && !gives_way).then_some(old_end);
        end = sched.policy.slice_end(&run.share, first, now, goes_on_until);
    }
    time::set_slice_end(hv, platform, end);
    next
}
