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

use super::{Args, CallResult, count, finish, handle};
use crate::{
    context::Context,
    error::HvError,
    guest_mem::{GuestPtr, GuestSlice},
    outcome::Outcome,
    platform::Platform,
};
use core::mem::offset_of;
use guest_abi::{
    hypercall::{CallNumber, MAX_ARGS},
    multicall::{MulticallEntry, RESULT_ARG},
};

/// Offset of an entry's arguments.
const ARGS: usize = offset_of!(MulticallEntry, args);
/// Offset of an entry's result.
const RESULT: usize = ARGS + RESULT_ARG * size_of::<u32>();

/// Call 13, `multicall(entries, len)`.
///
/// # Errors
/// [`HvError::Fault`] where an entry cannot be read or its result not be written; entries before it were run.
pub fn multicall<P: Platform>(cx: &mut Context<'_, P>, [list, len, ..]: Args) -> CallResult {
    let entries = GuestSlice::<MulticallEntry>::new(list, len)?;
    let rest = |index: u32| Outcome::Again([entries.addr_of(index), len - index, 0, 0, 0]);
    let mut index = 0;
    while let Some(entry) = entries.get(index) {
        // Number and arguments; the result and the word behind it are not the hypervisor's to read.
        let [number, a, b, c, d, e]: [u32; 1 + MAX_ARGS] = entry.field(0).read(cx.platform)?;
        let value = match one(cx, number, [a, b, c, d, e]) {
            Ok(Outcome::Return(value)) => value,
            other => match rare(cx, entry, number, other)? {
                Rare::Finished(value) => value,
                Rare::Paused => return Ok(rest(index)),
                Rare::Reschedule if index + 1 < len => return Ok(rest(index + 1)),
                Rare::Reschedule => return Ok(Outcome::Return(0)),
                Rare::End(outcome) => return Ok(outcome),
            },
        };
        entry.field(RESULT).write(cx.platform, &value)?;
        index += 1;
        if cx.platform.work_pending() && index < len {
            return Ok(rest(index));
        }
    }
    Ok(Outcome::Return(0))
}

#[inline(always)]
fn one<P: Platform>(cx: &mut Context<'_, P>, number: u32, args: Args) -> CallResult {
    count(cx, number);
    if number == CallNumber::MULTICALL.raw() && !cfg!(feature = "mutant-nested-multicall") {
        return Err(HvError::Invalid);
    }
    handle(cx, number, args)
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
            finish(cx, number, result);
            Ok(Rare::Reschedule)
        }
        Ok(outcome @ (Outcome::Shutdown(_) | Outcome::Crash(_))) => Ok(Rare::End(outcome)),
        Ok(Outcome::Return(_)) | Err(_) => Ok(Rare::Finished(finish(cx, number, result))),
    }
}
