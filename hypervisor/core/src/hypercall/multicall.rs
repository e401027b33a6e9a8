//! Call 13: a batch of calls in one entry.
//!
//! Every entry is run, whatever became of those before. After each the result is written into the entry; then
//! pending work is looked for, and the batch goes on later where it stopped. An entry that pauses by itself keeps
//! its new arguments in the batch. One that yields or blocks is finished first (its result is 0): the scheduler
//! comes on the way out, and the batch goes on behind it afterwards. So no state of a batch lives anywhere but in the
//! caller's registers and memory.
//!
//! A batch inside a batch is refused, else a guest could nest them until the hypervisor's stack ends.
//!
//! Source: Xen 2.0 interface: do_multicall.

use super::{Args, CallResult, PackedCall, dispatch, finish};
use crate::{
    context::Context,
    error::HvError,
    guest_mem::{GuestPtr, GuestSlice},
    outcome::Outcome,
    platform::Platform,
};
use core::mem::offset_of;
use guest_abi::{
    hypercall::CallNumber,
    multicall::{MulticallEntry, RESULT_ARG},
};

/// Offset of an entry's arguments.
const ARGS: usize = offset_of!(MulticallEntry, args);
/// Offset of an entry's result.
const RESULT: usize = ARGS + RESULT_ARG * size_of::<u32>();

/// By number (modulo the table's size; what is beyond it means nothing): whether a call does a small bounded piece
/// of work. Pending work is looked for after a number of those, and after each of the others.
static SHORT: [bool; 32] = {
    let mut table = [false; 32];
    let mut rest: &[CallNumber] = &[
        CallNumber::STACK_SWITCH,
        CallNumber::SET_CALLBACKS,
        CallNumber::FPU_TASKSWITCH,
        CallNumber::SET_DEBUGREG,
        CallNumber::GET_DEBUGREG,
        CallNumber::UPDATE_DESCRIPTOR,
        CallNumber::UPDATE_VA_MAPPING,
        CallNumber::SET_TIMER_OP,
        CallNumber::XEN_VERSION,
    ];
    while let [number, others @ ..] = rest {
        table[number.raw() as usize] = true;
        rest = others;
    }
    table
};
/// Most short calls between two looks at pending work.
const SHORT_CALLS_PER_CHECK: u32 = 16;

/// Call 13, `multicall(entries, len)`.
///
/// # Errors
/// [`HvError::Fault`] where an entry cannot be read or its result not be written; entries before it were run.
pub fn multicall<P: Platform>(cx: &mut Context<'_, P>, [list, len, ..]: Args) -> CallResult {
    let mut entries = GuestSlice::<MulticallEntry>::new(list, len)?;
    while let Some((entry, others)) = entries.split_first() {
        // Number and arguments; the result and the word behind it are not the hypervisor's to read.
        let Ok(words) = entry.field::<[u64; 3]>(0).read(cx.platform) else {
            return fault();
        };
        let call = PackedCall(words);
        let number = call.number();
        let value = match dispatch::<P, true>(cx, call) {
            Ok(Outcome::Return(value)) => value,
            other => match rare(cx, entry, number, other)? {
                Rare::Finished(value) => value,
                Rare::Paused => return Ok(go_on_at(entries)),
                Rare::Reschedule => return Ok(go_on_at(others)),
                Rare::End(outcome) => return Ok(outcome),
            },
        };
        if entry.field(RESULT).write(cx.platform, &value).is_err() {
            return fault();
        }
        entries = others;
        // One number for both reasons to look: a long call just done, or a multiple of short ones.
        let calm = if SHORT[number as usize % SHORT.len()] {
            entries.len() % SHORT_CALLS_PER_CHECK
        } else {
            0
        };
        if calm == 0 && cx.platform.work_pending() {
            return Ok(go_on_at(entries));
        }
    }
    Ok(Outcome::Return(0))
}

/// The refusal of a batch that cannot be read or written; a function, so that the loop carries no error about.
#[cold]
#[inline(never)]
fn fault() -> CallResult {
    Err(HvError::Fault)
}

/// The outcome of a batch that is to go on with `entries`.
fn go_on_at(entries: GuestSlice<MulticallEntry>) -> Outcome {
    if entries.is_empty() {
        Outcome::Return(0)
    } else {
        Outcome::Again([entries.addr_of(0), entries.len(), 0, 0, 0])
    }
}

/// How an entry ended that did not simply return.
enum Rare {
    /// Refused: this is its result.
    Finished(u32),
    /// Its new arguments are in the batch; the batch pauses at it.
    Paused,
    /// It is done and its result is written; the batch pauses behind it.
    Reschedule,
    /// The domain does not come back.
    End(Outcome),
}

#[cold]
fn rare<P: Platform>(
    cx: &mut Context<'_, P>,
    entry: GuestPtr<MulticallEntry>,
    number: u32,
    result: CallResult,
) -> Result<Rare, HvError> {
    match result {
        Ok(Outcome::Again(args)) => {
            entry.field(ARGS).write(cx.platform, &args)?;
            Ok(Rare::Paused)
        }
        Ok(Outcome::Yield | Outcome::Block) => {
            entry.field(RESULT).write(cx.platform, &0_u32)?;
            let value = finish(cx, number, result);
            Ok(if cx.hv.sched.wants_pick {
                Rare::Reschedule
            } else {
                Rare::Finished(value)
            })
        }
        Ok(outcome @ (Outcome::Shutdown(_) | Outcome::Crash(_))) => Ok(Rare::End(outcome)),
        Ok(Outcome::Return(_)) | Err(_) => Ok(Rare::Finished(finish(cx, number, result))),
    }
}
