//! Processes: programs, their address spaces, files and signals.
//!
//! | module | one line |
//! |---|---|
//! | [`elf`], [`stack`] | a program's file, and what it finds on its stack |
//! | [`areas`] | what an address space may hold |
//! | [`signals`] | pending and blocked signals, handler frames |
//! | [`tls`], [`fpu`] | thread-local storage and floating-point registers |
//! | `space` | page tables, demand paging, copy-on-write, copies to and from programs |
//! | `page_cache` | pages of files that programs share |
//! | `record` | the process itself |

pub mod areas;
pub mod elf;
pub mod fpu;
pub mod signals;
pub mod stack;
pub mod tls;

#[cfg(target_os = "none")]
pub mod page_cache;
#[cfg(target_os = "none")]
mod record;
#[cfg(target_os = "none")]
pub mod space;

#[cfg(target_os = "none")]
pub use record::*;
