//! Traps: the virtual IDT, the two ways back, and what happens to a fault of the kernel itself.
//!
//! `entry.S` saves a [`TrapFrame`] and calls `mini_guest_trap` in `dispatch.rs`. An entry from ring 3 goes to the handler registered
//! with `set_user_handler`. An entry from ring 1 is one of
//!
//! 1. a fault on the way back to ring 3 (a selector that cannot be loaded): the frame is corrected, the way done again;
//! 2. a fault of a copy routine in `usercopy`: it goes on at its recovery address;
//! 3. a fault inside `catch`: the caught closure is abandoned;
//! 4. the event callback, while the kernel sleeps or in the few instructions before an entry masked events:
//!    nothing to do, the event stays pending and the mask is now set;
//! 5. a vector with a handler of `set_kernel_handler`;
//! 6. anything else: the kernel is broken, and reports so.
//!
//! # Invariants
//!
//! * The kernel runs with events masked: there is no preemption, so statics need no lock, only care about borrows
//!   across calls that can trap. Handlers of causes 2 to 5 touch nothing but the frame.
//! * One kernel stack, with an unmapped page below it; the frame of the interrupted program is at its top.
//!
//! Source: Intel SDM vol. 3A chapter 6; Xen 2.0 interface: trap_info, bounce frames.

mod frame;

#[cfg(target_os = "none")]
mod catch;
#[cfg(target_os = "none")]
mod dispatch;

#[cfg(target_os = "none")]
pub use catch::{Caught, catch};
#[cfg(target_os = "none")]
pub use dispatch::*;
pub use frame::{Cause, EVENT, FAILSAFE, Regs, TrapFrame, eflags};
