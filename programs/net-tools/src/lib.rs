//! What the network's programs are made of, without a system call: everything here runs and is tested on the host.
//!
//! | module | what it is |
//! |---|---|
//! | [`request`] | requests of HTTP, as a server reads them |
//! | [`answer`] | heads of answers of HTTP: a server writes them, a client reads them |
//! | [`url`] | `http://ADDRESS[:PORT]/PATH` |
//! | [`echo`] | echo messages of ICMP |
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod answer;
pub mod echo;
pub mod request;
pub mod url;
