//! The interface between xenlite and its guests, defined once for both sides.
//!
//! Plain data only: numbers, `#[repr(C)]` structures with their layout asserted at compile time, and the
//! address types. No logic beyond checked arithmetic, no `unsafe`, no allocation.
#![no_std]
#![forbid(unsafe_code)]

pub mod addr;
pub mod errno;
