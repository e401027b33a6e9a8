//! What the boot loader handed over, checked and brought into one form.
//!
//! A loader's word is not taken: maps overlap, modules lie on each other, sizes wrap. Both protocols fill the same
//! [`BootInfo`], which keeps these invariants once one of its `read_` functions has succeeded:
//!
//! * memory regions are sorted, disjoint and page-aligned; where the loader's overlapped, the more restrictive kind
//!   won; nothing lies beyond what a processor can address;
//! * modules start on a page boundary, lie in RAM with the whole of their last page, and share no page with each
//!   other or with the hypervisor's image;
//! * texts are copies: the loader's structures may be overwritten afterwards.
//!
//! What is wrong but can be done without (a framebuffer that makes no sense, a map entry that wraps) is left out
//! with a [`warning::BootWarning`]; what cannot is a [`error::BootError`] that names the piece.
//!
//! | module | one line |
//! |---|---|
//! | [`info`] | the result, and the checks that both protocols share |
//! | [`multiboot1`], [`multiboot2`] | one decoder per protocol |
//! | [`memory_map`] | kinds of memory and how overlaps are settled |
//! | [`framebuffer`], [`rsdp`] | the two tables that are passed on |
//! | [`frames`] | page ranges that are free, for the first allocations |
//! | [`options`] | the hypervisor's command line |
//!
//! No unsafe code: the binary obtains the bytes. No allocation; [`BootInfo`] is some 9 KiB, so it belongs in a static
//! and not on a boot stack.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod error;
pub mod framebuffer;
pub mod frames;
pub mod info;
pub mod memory_map;
pub mod multiboot1;
pub mod multiboot2;
pub mod options;
pub mod range;
pub mod rsdp;
mod text;
pub mod warning;
mod wire;

pub use info::BootInfo;
