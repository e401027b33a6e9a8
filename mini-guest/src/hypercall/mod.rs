//! The 23 calls as functions.
//!
//! Each takes guest-abi's types, makes the call and gives the answer; nothing is checked here that the hypervisor checks.
//! Calls that can change what an address means, or write where a number says, are `unsafe`; the others cannot
//! break this kernel's memory. The preempted calls' clobbering of argument registers is dealt with in [`raw`].
//!
//! Source: Xen 2.0 interface, [`guest_abi::hypercall`].

mod cpu;
mod memory;
mod raw;
mod system;

pub use cpu::*;
pub use memory::*;
pub use raw::{call, call_raw};
pub use system::*;
