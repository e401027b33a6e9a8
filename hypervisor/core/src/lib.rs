//! xenlite's logic: everything that decides, nothing that touches hardware.
//!
//! The crate is `no_std`, has no `unsafe` and no statics; the machine is reached through the traits of
//! [`platform`], which the hypervisor binary implements over `hv-arch` and the tests over plain vectors.
//!
//! ```text
//!  hypercall   decode and check, one module per call group
//!     |
//!  objects     mm (frames, page tables), life, segment, trap, event, grant, sched, time
//!     |
//!  platform    what the objects need of the machine, as traits
//! ```
//!
//! Objects never name `hypercall`: another guest interface can be laid over the same objects.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

/// Log target of lines about what a guest did. What it can cause at will is `debug` there; the logger limits how
/// many of those a second shows.
pub const GUEST_LOG: &str = "guest";

pub mod bounce;
pub mod context;
pub mod crash;
pub mod domain;
pub mod error;
pub mod event;
pub mod exit;
pub mod firmware;
pub mod fpu;
pub mod grant;
pub mod guest_mem;
pub mod hypercall;
pub mod hypervisor;
pub mod io_rights;
pub mod life;
pub mod mm;
pub mod outcome;
pub mod pci;
pub mod platform;
pub mod regs;
pub mod sched;
pub mod segment;
pub mod shared_info;
mod slot_heap;
pub mod switch;
#[cfg(test)]
mod testing;
pub mod time;
pub mod trap;
pub mod vcpu;
