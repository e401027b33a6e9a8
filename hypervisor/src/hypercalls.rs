//! The table that the hypercall entry jumps through: one thunk per call.
//!
//! A thunk takes the lock and runs its call's handler; that is all there is between the entry code and `hv-core`.

use crate::{machine::Machine, state};
use hv_core::{hypercall, regs::UserRegs};

/// A thunk: argument registers and the saved registers, in the order in which the guest's registers need not be moved;
/// gives the new EAX.
type Thunk = extern "sysv64" fn(u32, u32, u32, u32, &mut UserRegs, u32) -> u32;

extern "sysv64" fn thunk<const NUMBER: u32>(
    a5: u32,
    a4: u32,
    a3: u32,
    a2: u32,
    regs: &mut UserRegs,
    a1: u32,
) -> u32 {
    let args = [a1, a2, a3, a4, a5];
    if const { hypercall::has_short_way(NUMBER) } {
        let args = hypercall::only_used::<NUMBER>(args);
        return state::with_short_way(
            regs,
            |cx| hypercall::call_quickly::<Machine, NUMBER>(cx, args),
            move |cx| hypercall::call::<Machine, NUMBER>(cx, args),
        );
    }
    state::with(regs, |cx| hypercall::call::<Machine, NUMBER>(cx, args))
}

const CALLS: usize = hv_arch::entry::LAST_CALL as usize + 1;

macro_rules! thunks {
    ($($number:literal)*) => { [$(thunk::<$number>),*] };
}

/// By call number; the entry code has checked it.
#[unsafe(no_mangle)]
static hypercall_table: [Thunk; CALLS] = thunks!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22);

#[unsafe(no_mangle)]
extern "sysv64" fn hypercall_unknown() -> u32 {
    hypercall::unknown(&mut state::lock())
}
