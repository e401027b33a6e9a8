//! The host launcher: builds the hypervisor and its guests, boots them under an emulator, tests and measures them.
//!
//! It is the workspace's default member, so that a plain `cargo run` works with whatever stable cargo is there; the
//! bare-metal crates are built by an inner cargo (see [`build`]) with a toolchain that has the library's sources (see
//! [`toolchain`]). The order of things in one `run`:
//!
//! ```text
//! cli ── tools, toolchain (setup if something is missing) ── build ── initrd ── image or iso
//!                                                                                   │
//!                    status ◄── console (terminal, log, symbols) ◄── qemu or bochs ◄┘
//! ```
//!
//! Everything that goes wrong before the machine starts is one clear line and exit status 2 ([`status`] has the table).

pub mod bench;
pub mod bochs;
pub mod boot_image;
pub mod build;
pub mod check;
pub mod cli;
pub mod console;
pub mod elf;
pub mod image;
pub mod initrd;
pub mod iso;
pub mod keyboard;
pub mod machine;
pub mod net;
pub mod progress;
pub mod qemu;
pub mod quiet;
pub mod run;
pub mod setup;
pub mod size;
pub mod status;
pub mod suite;
pub mod symbols;
pub mod terminal;
pub mod toolchain;
pub mod tools;
pub mod wire;
pub mod workspace;
