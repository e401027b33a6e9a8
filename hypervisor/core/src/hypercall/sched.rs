//! Calls 6 and 15: giving up the processor, and asking for it back at a time.
//!
//! Source: Xen 2.0 interface: do_sched_op, do_set_timer_op.

use super::{Args, CallResult};
use crate::{context::Context, error::HvError, outcome::Outcome, platform::Platform, sched, time};
use guest_abi::{
    sched::{SchedCmd, unpack},
    timer,
};

/// Call 6, `sched_op(command and reason)`.
///
/// # Errors
/// [`HvError::Invalid`] for reserved bits; [`HvError::NotImplemented`] for an unknown command.
#[inline(always)]
pub fn sched_op<P: Platform>(_: &mut Context<'_, P>, [op, ..]: Args) -> CallResult {
    let (command, reason) = unpack(op).ok_or(HvError::Invalid)?;
    match command {
        SchedCmd::YIELD => Ok(Outcome::Yield),
        SchedCmd::BLOCK => Ok(Outcome::Block),
        SchedCmd::SHUTDOWN => Ok(Outcome::Shutdown(reason.raw())),
        _ => Err(HvError::NotImplemented),
    }
}

/// The short way of [`sched_op`]: to yield, and to wait.
#[inline(always)]
pub fn sched_op_quickly<P: Platform>(cx: &mut Context<'_, P>, [op, ..]: Args) -> Option<u32> {
    const YIELD: u32 = SchedCmd::YIELD.raw() as u32;
    const BLOCK: u32 = SchedCmd::BLOCK.raw() as u32;
    match op {
        YIELD => sched::yield_to_others(cx.hv, cx.platform),
        BLOCK => sched::block(cx.hv, cx.platform),
        _ => return None,
    }
    Some(0)
}

/// Call 15, `set_timer_op(high, low)`: VIRQ_TIMER at this system time; 0 cancels.
///
/// # Errors
/// None.
#[inline(always)]
pub fn set_timer_op<P: Platform>(cx: &mut Context<'_, P>, [high, low, ..]: Args) -> CallResult {
    time::set_timer(cx.hv, cx.platform, timer::unpack(high, low));
    Ok(Outcome::Return(0))
}
