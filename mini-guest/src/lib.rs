//! A small ring-1 kernel for xenlite domains, and the library that bare test guests are made with.
//!
//! The kernel uses nothing but the guest interface ([`guest_abi`]): hypercalls by `int 0x82`, events instead
//! of interrupts, page tables that the hypervisor validates. Its programs are ordinary 32-bit Linux programs,
//! see `docs/syscalls.md`; how it works is told in `docs/mini-guest.md`.
//!
//! Modules without hardware are compiled and tested on the host; the rest exists only for the guest target.
//!
//! | layer | modules |
//! |---|---|
//! | start, calls, traps, events, verdicts (all a test guest needs) | `entry`, `hypercall`, `traps`, `events`, `shared`, `time`, `console`, `report`, `usercopy` |
//! | memory | `mm` |
#![cfg_attr(not(test), no_std)]

extern crate alloc;

#[cfg(target_os = "none")]
mod cell;
#[cfg(target_os = "none")]
pub mod console;
#[cfg(target_os = "none")]
pub mod entry;
#[cfg(target_os = "none")]
pub mod events;
pub mod fs;
#[cfg(target_os = "none")]
pub mod hypercall;
pub mod linux;
pub mod mm;
pub mod pipe;
#[cfg(target_os = "none")]
pub mod report;
#[cfg(target_os = "none")]
pub mod shared;
#[cfg(target_os = "none")]
pub mod time;
pub mod traps;
pub mod tty;
#[cfg(target_os = "none")]
pub mod usercopy;

pub use guest_abi;
