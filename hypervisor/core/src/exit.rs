//! The slow half of the way back to a guest.
//!
//! Most calls and traps go straight back. When something was asked for in between (a pick, a due timer, an upcall),
//! the exit path calls [`before_guest`], which leaves nothing undone: afterwards the registers are
//! those of the domain that runs next, with its event frame already on its stack.
//!
//! Source: Xen 2.0 interface, 1.1 ("on exit") and 2.9.

use crate::{
    bounce::deliver_event,
    context::Context,
    crash,
    platform::Platform,
    sched::{self, MachineEnd},
    shared_info::SharedInfo,
    switch, time,
};

/// What the exit path does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum BeforeGuest {
    /// Load the registers.
    Go,
    /// Nobody can run: wait for an interrupt with nothing held, then ask again.
    Idle,
    /// The machine is to end.
    End(MachineEnd),
}

/// Does what is due before a guest runs, where that is at most one upcall, as it mostly is: straight-line code. Says
/// whether it could; if not, [`before_guest`] does it all.
#[inline(always)]
pub fn before_guest_quickly<P: Platform>(cx: &mut Context<'_, P>) -> bool {
    let is_more = cx.hv.time.has_fired | cx.hv.sched.wants_pick | cx.hv.sched.is_idle;
    !is_more && (!upcall_is_due(cx) || deliver_event(cx).is_ok())
}

#[inline(always)]
fn upcall_is_due<P: Platform>(cx: &Context<'_, P>) -> bool {
    SharedInfo::of(cx.platform, cx.current_domain()).upcall_is_due()
}

/// Does all that is due before a guest runs.
#[inline(always)]
pub fn before_guest<P: Platform>(cx: &mut Context<'_, P>) -> BeforeGuest {
    loop {
        if cx.hv.time.has_fired {
            time::run_timers(cx.hv, cx.platform);
        }
        if cx.hv.sched.wants_pick || cx.hv.sched.is_idle {
            match pick(cx) {
                // Look again: the one that was picked may have died of its own segments.
                BeforeGuest::Go => continue,
                other => return other,
            }
        }
        if !upcall_is_due(cx) {
            return BeforeGuest::Go;
        }
        match deliver_event(cx) {
            Ok(()) => return BeforeGuest::Go,
            Err(reason) => crash::current_domain(cx, reason),
        }
    }
}

/// Chooses who runs and makes the registers his.
#[inline(always)]
fn pick<P: Platform>(cx: &mut Context<'_, P>) -> BeforeGuest {
    if let Some(end) = cx.hv.sched.end {
        return BeforeGuest::End(end);
    }
    let (current, was_idle) = (cx.hv.current, cx.hv.sched.is_idle);
    let now = cx.platform.timestamp();
    let Some(next) = sched::pick(cx.hv, cx.platform, now.ns) else {
        time::rest(cx.hv, cx.platform);
        return BeforeGuest::Idle;
    };
    if next != current {
        switch::switch_to(cx, next);
    }
    if next != current || was_idle {
        time::announce_running(cx.hv, cx.platform, now);
    }
    BeforeGuest::Go
}

#[cfg(test)]
mod tests;
