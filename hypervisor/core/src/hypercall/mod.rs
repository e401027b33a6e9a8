//! The 23 calls of the 2.0 interface: number and registers in, [`Outcome`] out.
//!
//! This layer decodes and checks; objects do the work and know no call number. One module per group:
//!
//! | module | calls |
//! |---|---|
//! | [`traps`] | set_trap_table 0, stack_switch 3, set_callbacks 4, set_fast_trap 11 |
//! | [`segments`] | set_gdt 2, update_descriptor 10 |
//! | [`cpu`] | fpu_taskswitch 5, set_debugreg 8, get_debugreg 9 |
//! | [`mmu`] | mmu_update 1, update_va_mapping 14, update_va_mapping_otherdomain 22 |
//! | [`memory`] | dom_mem_op 12 |
//! | [`sched`] | sched_op 6, set_timer_op 15 |
//! | [`multicall`] | multicall 13 |
//! | [`event_channel`] | event_channel_op 16 |
//! | [`version`] | xen_version 17, vm_assist 21 |
//! | [`console`] | console_io 18 |
//! | [`dom0`] | dom0_op 7 |
//! | [`physdev`] | physdev_op 19 |
//! | [`grant_table`] | grant_table_op 20 |
//!
//! The entry code has a table of thunks, one per call; each is [`call`] with its own number, so that a common call
//! is its handler and a counter, and nothing else. Only `Outcome::Return` is on that path; every other end goes
//! through [`finish`], the one place where an outcome becomes registers and scheduling.
//!
//! A handler that refuses has changed nothing (a batch: nothing after the part it reports as done). The number is
//! compared with the table's size: one beyond it is −ENOSYS and never an alias.

pub mod console;
pub mod cpu;
pub mod dom0;
pub mod event_channel;
pub mod grant_table;
pub mod memory;
pub mod mmu;
pub mod multicall;
pub mod physdev;
pub mod sched;
pub mod segments;
pub mod traps;
pub mod version;

use crate::{
    context::Context, crash, error::HvError, hypervisor::Hypervisor, outcome::Outcome, platform::Platform,
};
use guest_abi::{
    hypercall::{CallNumber, MAX_ARGS},
    sched::ShutdownReason,
};

/// The argument registers EBX, ECX, EDX, ESI, EDI.
pub type Args = [u32; MAX_ARGS];
/// What a handler answers.
pub type CallResult = Result<Outcome, HvError>;
/// Length of `int 0x82`.
const INT_BYTES: u32 = 2;

/// How often each call was made, and how often it was refused (any error). Calls inside a multicall count; a call
/// that goes on after a pause counts again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallCounters {
    /// Calls made, by number.
    pub made: [u64; CallNumber::COUNT],
    /// Of these, refused.
    pub refused: [u64; CallNumber::COUNT],
    /// Calls with a number that means nothing.
    pub unknown: u64,
}

impl CallCounters {
    /// No calls yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            made: [0; CallNumber::COUNT],
            refused: [0; CallNumber::COUNT],
            unknown: 0,
        }
    }

    /// A row per call: name, successes, refusals.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, u64, u64)> + '_ {
        CallNumber::ALL.iter().filter_map(|(number, name)| {
            let index = number.index()?;
            let refused = self.refused[index];
            Some((*name, self.made[index].wrapping_sub(refused), refused))
        })
    }
}

impl Default for CallCounters {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs call `NUMBER` and gives the caller's new EAX.
#[inline(always)]
pub fn call<P: Platform, const NUMBER: u32>(cx: &mut Context<'_, P>, args: Args) -> u32 {
    const { assert!(CallNumber::new(NUMBER).index().is_some()) };
    count(cx, NUMBER);
    match handle::<P, NUMBER>(cx, args) {
        Ok(Outcome::Return(value)) => value,
        Ok(Outcome::Yield) => {
            crate::sched::yield_to_others(cx.hv, cx.platform);
            0
        }
        other => cx.out_of_line(move |cx| finish(cx, NUMBER, other)),
    }
}

/// Whether call `number` has a short way: [`call_quickly`].
#[must_use]
pub const fn has_short_way(number: u32) -> bool {
    matches!(number, 3 | 6 | 10 | 16 | 17)
}

/// The arguments of a call that has a short way, zero for those it does not have: nobody keeps them for the long way.
#[inline(always)]
#[must_use]
pub const fn only_used<const NUMBER: u32>([a, b, c, d, e]: Args) -> Args {
    match NUMBER {
        6 | 16 => [a, 0, 0, 0, 0],
        3 | 17 => [a, b, 0, 0, 0],
        10 => [a, b, c, d, 0],
        _ => [a, b, c, d, e],
    }
}

/// The short way of [`call`], where `NUMBER` has one. `None`: not this time, and nothing has changed. All else is then
/// a single function, so that the short way needs no stack frame.
#[inline(always)]
pub fn call_quickly<P: Platform, const NUMBER: u32>(cx: &mut Context<'_, P>, args: Args) -> Option<u32> {
    let value = match NUMBER {
        3 => traps::stack_switch_quickly(cx, args),
        6 => sched::sched_op_quickly(cx, args),
        10 => segments::update_descriptor_quickly(cx, args),
        16 => event_channel::event_channel_op_quickly(cx, args),
        17 => version::interface_version(args),
        _ => None,
    }?;
    count(cx, NUMBER);
    Some(value)
}

/// A call whose number is beyond the table.
pub fn unknown(hv: &mut Hypervisor) -> u32 {
    hv.calls.unknown = hv.calls.unknown.wrapping_add(1);
    HvError::NotImplemented.errno().to_eax()
}

/// A call's number and arguments as they lie in a batch, two to a word: who only passes them on need not take them
/// apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedCall(pub [u64; 3]);

impl PackedCall {
    /// The call `number`.
    #[must_use]
    pub const fn new(number: u32, [a, b, c, d, e]: Args) -> Self {
        const fn pair(low: u32, high: u32) -> u64 {
            (high as u64) << 32 | low as u64
        }
        Self([pair(number, a), pair(b, c), pair(d, e)])
    }

    /// Its number.
    #[inline(always)]
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0[0] as u32
    }

    /// Its arguments.
    #[inline(always)]
    #[must_use]
    pub const fn args(self) -> Args {
        let [first, second, third] = self.0;
        [
            (first >> 32) as u32,
            second as u32,
            (second >> 32) as u32,
            third as u32,
            (third >> 32) as u32,
        ]
    }
}

/// Runs `call`, whatever it is, and counts it; `IN_BATCH`: another batch is refused.
///
/// # Errors
/// The call's own; [`HvError::Invalid`] for a batch in a batch; [`HvError::NotImplemented`] for a number beyond the table.
#[inline(always)]
pub fn dispatch<P: Platform, const IN_BATCH: bool>(cx: &mut Context<'_, P>, call: PackedCall) -> CallResult {
    macro_rules! each_apart {
        ($($call:literal)+) => {
            match call.number() {
                MULTICALL if IN_BATCH && !cfg!(feature = "mutant-nested-multicall") => {
                    count(cx, MULTICALL);
                    Err(HvError::Invalid)
                }
                $($call => {
                    count(cx, $call);
                    let [first, second, third] = call.0;
                    apart::<P, $call>(cx, first, second, third)
                })+
                XEN_VERSION => { count(cx, XEN_VERSION); handle::<P, XEN_VERSION>(cx, call.args()) }
                _ => not_implemented(cx.hv),
            }
        };
    }
    const MULTICALL: u32 = CallNumber::MULTICALL.raw();
    const XEN_VERSION: u32 = CallNumber::XEN_VERSION.raw();
    each_apart!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 18 19 20 21 22)
}

/// The refusal of a number beyond the table; a function, so that the others carry nothing about for it.
#[cold]
#[inline(never)]
fn not_implemented(hv: &mut Hypervisor) -> CallResult {
    hv.calls.unknown = hv.calls.unknown.wrapping_add(1);
    Err(HvError::NotImplemented)
}

/// [`handle`] as a function of its own, its arguments in registers.
#[inline(never)]
fn apart<P: Platform, const NUMBER: u32>(
    cx: &mut Context<'_, P>,
    first: u64,
    second: u64,
    third: u64,
) -> CallResult {
    handle::<P, NUMBER>(cx, PackedCall([first, second, third]).args())
}

#[inline(always)]
fn count<P: Platform>(cx: &mut Context<'_, P>, number: u32) {
    if let Some(made) = cx.hv.calls.made.get_mut(number as usize) {
        *made = made.wrapping_add(1);
    }
}

#[inline(always)]
fn handle<P: Platform, const NUMBER: u32>(cx: &mut Context<'_, P>, args: Args) -> CallResult {
    match NUMBER {
        0 => traps::set_trap_table(cx, args),
        1 => mmu::mmu_update(cx, args),
        2 => segments::set_gdt(cx, args),
        3 => traps::stack_switch(cx, args),
        4 => traps::set_callbacks(cx, args),
        5 => cpu::fpu_taskswitch(cx),
        6 => sched::sched_op(cx, args),
        7 => dom0::dom0_op(cx, args),
        8 => cpu::set_debugreg(cx, args),
        9 => cpu::get_debugreg(cx, args),
        10 => segments::update_descriptor(cx, args),
        11 => traps::set_fast_trap(cx, args),
        12 => memory::dom_mem_op(cx, args),
        13 => multicall::multicall(cx, args),
        14 => mmu::update_va_mapping(cx, args),
        15 => sched::set_timer_op(cx, args),
        16 => event_channel::event_channel_op(cx, args),
        17 => version::xen_version(cx, args),
        18 => console::console_io(cx, args),
        19 => physdev::physdev_op(cx, args),
        20 => grant_table::grant_table_op(cx, args),
        21 => version::vm_assist(cx, args),
        22 => mmu::update_va_mapping_otherdomain(cx, args),
        _ => Err(HvError::NotImplemented),
    }
}

/// Turns the end of call `number` into registers and scheduling, and gives the caller's new EAX.
pub fn finish<P: Platform>(cx: &mut Context<'_, P>, number: u32, result: CallResult) -> u32 {
    match result {
        Ok(Outcome::Return(value)) => return value,
        Ok(Outcome::Again([ebx, ecx, edx, esi, edi])) => {
            let regs = &mut *cx.regs;
            regs.rbx = u64::from(ebx);
            regs.rcx = u64::from(ecx);
            regs.rdx = u64::from(edx);
            regs.rsi = u64::from(esi);
            regs.rdi = u64::from(edi);
            regs.rip = u64::from((regs.rip as u32).wrapping_sub(INT_BYTES));
            return number;
        }
        Ok(Outcome::Yield) => crate::sched::yield_to_others(cx.hv, cx.platform),
        Ok(Outcome::Block) => crate::sched::block(cx.hv, cx.platform),
        Ok(Outcome::Shutdown(reason)) => {
            if reason == ShutdownReason::CRASH.raw() {
                crash::remember(cx, None);
            }
            let slot = cx.hv.current;
            crate::sched::stop(cx.hv, cx.platform, slot, Some(reason));
        }
        Ok(Outcome::Crash(reason)) => crash::current_domain(cx, reason),
        Err(error) => {
            if let Some(refused) = cx.hv.calls.refused.get_mut(number as usize) {
                *refused = refused.wrapping_add(1);
            }
            return error.errno().to_eax();
        }
    }
    0
}

#[cfg(test)]
mod tests;
