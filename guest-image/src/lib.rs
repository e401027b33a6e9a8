//! Guest kernel images: ELF32 parsing, the xenlite note, and the start-of-day memory layout and contents.
//!
//! One path for both builders: the hypervisor makes Domain 0 with it, Domain 0 makes every other domain.
//!
//! 1. [`image::KernelImage::parse`] judges a file that nobody has checked and keeps what loading needs.
//! 2. [`layout::Layout::plan`] decides which virtual page and which pseudo-physical frame holds what; it touches
//!    no memory.
//! 3. [`builder::Builder::build`] writes it through a [`memory::BuildMemory`] and says how the first vCPU starts.
//!
//! Nothing here allocates, and no input makes it panic: every refusal is a typed error whose `Display` is one
//! line that says what is wrong with the image or the request.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod builder;
pub mod error;
pub mod image;
pub mod layout;
pub mod memory;
mod modules;
mod note;
pub mod tables;
