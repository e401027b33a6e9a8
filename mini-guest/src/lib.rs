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
//! | memory | [`mm`] |
//! | devices, disks, network | [`drivers`], [`block`], [`fat`], [`net`] |
//! | programs | [`process`], [`fs`], [`page`], [`pipe`], [`tty`], [`sched`], [`consoles`], [`evtchn`], [`store`], [`xenbus`], [`blkif`], `kernel`, `syscall`, with the vocabulary of [`linux`] |
//! | the small kernel | [`responder`] |
#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod blkif;
pub mod block;
#[cfg(target_os = "none")]
pub mod cell;
pub mod command_line;
#[cfg(target_os = "none")]
pub mod console;
pub mod consoles;
pub mod drivers;
#[cfg(target_os = "none")]
pub mod entry;
#[cfg(target_os = "none")]
pub mod events;
pub mod evtchn;
pub mod fat;
pub mod fs;
#[cfg(target_os = "none")]
pub mod grants;
#[cfg(target_os = "none")]
pub mod hypercall;
#[cfg(target_os = "none")]
pub mod kernel;
pub mod linux;
pub mod mm;
pub mod net;
pub mod page;
pub mod pipe;
pub mod process;
pub mod random;
#[cfg(target_os = "none")]
pub mod report;
pub mod responder;
pub mod sched;
#[cfg(target_os = "none")]
pub mod shared;
pub mod store;
#[cfg(target_os = "none")]
mod syscall;
#[cfg(target_os = "none")]
pub mod time;
pub mod traps;
pub mod tty;
#[cfg(target_os = "none")]
pub mod usercopy;
pub mod xenbus;

pub use guest_abi;
