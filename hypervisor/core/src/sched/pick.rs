//! Who runs next: queueing who can run, charging who did, and ending slices.

use super::{
    policy::{Policy, Ran},
    share::Share,
};
use crate::{
    hypervisor::Hypervisor,
    platform::Platform,
    time::{self, NEVER},
};

/// Has the exit path pick anew.
pub fn request_pick<P: Platform>(hv: &mut Hypervisor, platform: &P) {
    hv.sched.wants_pick = true;
    platform.request_exit_work();
}

/// Charges the domain that runs for its time up to now, and gives its share; `None` where nobody runs.
#[inline(always)]
fn charge(hv: &mut Hypervisor, now_ns: u64, has_yielded: bool) -> Option<Share> {
    if hv.sched.is_idle {
        return None;
    }
    let run = &mut hv.running_mut().run;
    let ns = now_ns.saturating_sub(run.started_ns);
    run.started_ns = now_ns;
    run.cpu_time_ns = run.cpu_time_ns.saturating_add(ns);
    let mut share = run.share;
    hv.sched.policy.charge(
        &mut share,
        Ran {
            ns,
            has_yielded,
            now_ns,
        },
    );
    hv.running_mut().run.share = share;
    Some(share)
}

/// Brings the times that domains ran up to now, so that they can be told.
pub fn account<P: Platform>(hv: &mut Hypervisor, platform: &P) {
    let now = platform.now_ns();
    charge(hv, now, false);
}

/// The domain in `slot`, which does not run, can: queues it, and ends the slice of who runs, now or earlier than it
/// would.
pub(super) fn queue_woken<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize) {
    let now = platform.now_ns();
    let running = charge(hv, now, false);
    let first = hv.sched.queue.first().map(|(_, place)| place);
    let Some(mut share) = hv.domain_at(slot).map(|domain| domain.run.share) else {
        return;
    };
    let place = hv
        .sched
        .policy
        .place_woken(&mut share, running.as_ref(), first, now);
    if let Some(domain) = hv.domain_at(slot) {
        domain.run.share = share;
    }
    hv.sched.queue.set(slot, place);
    let Some(running) = running else {
        return request_pick(hv, platform);
    };
    let end = time::slice_end(hv);
    let sooner = hv.sched.policy.slice_end_beside_woken(&running, place, now, end);
    if sooner <= now {
        request_pick(hv, platform);
    } else if sooner != end {
        time::set_slice_end(hv, platform, sooner);
    }
}

/// Chooses who runs from now on, if anybody can, for how long, and charges who ran until now.
pub fn pick<P: Platform>(hv: &mut Hypervisor, platform: &P) -> Option<usize> {
    hv.sched.wants_pick = false;
    let has_yielded = core::mem::take(&mut hv.sched.has_yielded);
    let now = platform.now_ns();
    let old_end = time::slice_end(hv);
    let gives_way = has_yielded || old_end <= now;
    let current = hv.current;
    let ran = charge(hv, now, has_yielded).filter(|_| hv.running().run.is_runnable());
    let next = match ran {
        Some(share) => {
            let place = hv.sched.policy.place_after_run(&share, now, gives_way);
            let goes_on = hv.sched.queue.first().is_none_or(|(_, first)| place < first);
            if goes_on {
                Some(current)
            } else {
                hv.sched.queue.replace_first(current, place)
            }
        }
        None => hv.sched.queue.pop(),
    };
    hv.sched.is_idle = next.is_none();
    let Some(slot) = next else {
        time::set_slice_end(hv, platform, NEVER);
        return None;
    };
    let domain = hv.domain_at(slot).expect("who is queued exists");
    domain.run.started_ns = now;
    let share = domain.run.share;
    let first = hv.sched.queue.first().map(|(_, place)| place);
    let goes_on_until = (ran.is_some() && slot == current && !gives_way).then_some(old_end);
    let end = hv.sched.policy.slice_end(&share, first, now, goes_on_until);
    time::set_slice_end(hv, platform, end);
    Some(slot)
}
