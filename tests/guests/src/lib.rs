//! What the test guests share.
//!
//! A test guest is a ring-1 kernel made with the mini-guest's library that runs as Domain0. It does something to the
//! hypervisor, looks at what came of it, and ends with a verdict; a *failure* is a fault of the hypervisor, an *error*
//! one of the guest. The head of its source says how it is run.
//!
//! | module | what for |
//! |---|---|
//! | [`raw`] | calls with any arguments, and the judging of their answers |
//! | [`frontend`] | what another domain's frontend needs, and the means to be a bad one |
//! | [`grants`] | a grant table, and records for it |
//! | [`pages`] | pages of one's own: their frames, their entries, what they hold |
//! | [`probe`] | a trap handler that only takes notes |
//! | [`tables`] | page tables under construction, and requests to change them |
//! | [`small_domain`] | a second domain, made by calls alone |
//! | [`ring3`] | a few instructions run in ring 3 |
//! | [`puppet`] | a second domain that does what it is told |
//! | [`storm`] | domains that ring each other, beside others |
//! | [`log`] | what the hypervisor has logged |
//! | [`random`] | numbers from a seed |
//!
//! The functions here are not `unsafe` though they can break this kernel's own memory: a guest that hits itself fails its own
//! test, and each is a program of one page that is read as a whole. Pages are only ever reached by volatile accesses.
#![no_std]

extern crate alloc;

pub mod frontend;
pub mod grants;
pub mod log;
pub mod pages;
pub mod probe;
pub mod puppet;
pub mod random;
pub mod raw;
pub mod ring3;
pub mod small_domain;
pub mod storm;
pub mod tables;

pub use guest_abi;
pub use mini_guest::{
    check, check_eq, entry, hypercall, println, report,
    traps::{Caught, Regs, catch},
};
