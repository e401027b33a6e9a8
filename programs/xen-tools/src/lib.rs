//! What managing domains is made of, without a system call: everything here runs and is tested on the host.
//!
//! | module | what it is |
//! |---|---|
//! | [`size`] | amounts of memory as people write them |
//! | [`config`] | the syntax of configuration files: `key = value`, strings, numbers, lists |
//! | [`disk`] | a domain's disks, as text |
//! | [`settings`] | what a domain is to be: read from a file, changed by options |
//! | [`vif`] | its network interfaces |
//! | [`options`] | the words behind a command |
//! | [`record`] | what the tools remember of a running domain, and what to do when it ends |
//! | [`privileged`] | what the builder needs from Domain0's kernel, as traits; [`errno`] is what they answer |
//! | [`builder`] | makes a domain from a kernel image, and undoes what it did when a step fails |
//! | [`context`] | the state that a domain's first vCPU starts in |
//! | [`walk`] | a domain's memory by its own addresses |
//! | [`weight`] | shares of the processor as the scheduler counts them |
//! | [`view`] | listings: columns for people, JSON for programs |
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod builder;
pub mod config;
pub mod context;
pub mod devices;
pub mod disk;
pub mod errno;
pub mod key;
#[cfg(test)]
mod mock;
pub mod options;
pub mod privileged;
pub mod record;
pub mod settings;
pub mod size;
pub mod view;
pub mod vif;
pub mod walk;
pub mod weight;
