//! The interface between xenlite and its guests, defined once for both sides.
//!
//! Plain data only: numbers, `#[repr(C)]` structures with their layout asserted at compile time, and the
//! address types. No policy, no `unsafe`, no allocation. The interface is that of Xen 2.0 (23 calls by
//! `int 0x82`), widened for PAE guests on a 64-bit host; rings and grant tables have today's Xen layout.
//!
//! Rules that hold everywhere:
//!
//! * Little-endian; offsets are the same on both sides (the asserts run for each target).
//! * Fields named `pad…` or `reserved…` must be 0 in what a guest passes in; the hypervisor answers −EINVAL
//!   otherwise, and writes 0 there in what it gives out. Bytes of a command block beyond the fields of the
//!   command are not looked at and come back unchanged.
//! * No structure has implicit padding and any bit pattern is a valid value, so a copy of guest memory can be
//!   taken as the structure without a check; the *meaning* is checked afterwards.
#![no_std]
#![forbid(unsafe_code)]

#[macro_use]
mod macros;

pub mod addr;
pub mod console;
pub mod debugreg;
#[cfg(feature = "describe")]
pub mod describe;
pub mod domain;
pub mod domctl;
pub mod elfnote;
pub mod errno;
pub mod event_channel;
pub mod grant_table;
pub mod hypercall;
pub mod io;
pub mod memory;
pub mod mmu;
pub mod module_list;
pub mod multicall;
pub mod physdev;
pub mod sched;
pub mod segment;
pub mod shared_info;
pub mod start_info;
pub mod timer;
pub mod trap;
pub mod vcpu;
pub mod verdict;
pub mod version;
pub mod vm_assist;

/// A number that the interface does not define, refused by a `TryFrom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownNumber(pub i64);

impl core::fmt::Display for UnknownNumber {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "unknown number {}", self.0)
    }
}

impl core::error::Error for UnknownNumber {}
