//! What every ring-3 program of the mini-guest is made of: a start routine, Linux's i386 system calls, and the small
//! library above them.
//!
//! The programs in `src/bin` are separate static ELF files. They use the numbers, structures and errno values of 32-bit Linux
//! (`docs/syscalls.md`), so the same files run on a Linux host too, and a program written for Linux runs here. Only those that
//! manage domains, by [`xen`], know of xenlite.
//!
//! | module | what it is |
//! |---|---|
//! | [`start`], [`args`] | the way from the kernel's initial stack to `main` and back |
//! | [`abi`], [`errno`], [`sys`] | numbers and structures; error values; `int 0x80` and safe wrappers |
//! | [`heap`] | the allocator over `brk` |
//! | [`io`], [`mod@file`], [`dir`] | printing, files, directories |
//! | [`process`], [`signal`], [`terminal`], [`clock`], [`machine`] | one group of calls each |
//! | [`socket`] | the network |
//! | [`procfs`] | what `/proc` says about processes and memory |
//! | [`xen`] | the devices by which Domain0's programs control other domains |
//! | [`check`] | counting and printing the results of the test programs |
//!
//! Only [`sys`], [`start`], [`heap`], [`tls`], [`xen`] and the programs that break rules on purpose contain unsafe code.
#![no_std]

extern crate alloc;

#[cfg(not(target_arch = "x86"))]
compile_error!("the programs are built for i686-xenlite-guest.json (see README.md)");

pub mod abi;
pub mod args;
pub mod check;
pub mod clock;
pub mod dir;
pub mod errno;
pub mod file;
pub mod heap;
pub mod io;
pub mod machine;
pub mod process;
pub mod procfs;
pub mod signal;
pub mod socket;
pub mod start;
pub mod sys;
pub mod terminal;
pub mod tls;
pub mod xen;

pub use errno::{Errno, Result};
