//! The split block driver: a disk of one domain, used by another one through a ring of requests.
//!
//! ```text
//! frontend's domain                                            backend's domain
//! client → Frontend::submit → slot in the ring ── event ──► Backend::step: copy, judge, map, merge → Device::submit
//!                             memory: granted  ◄──────────────────────────────────────────── the device reads and writes it
//! client ◄ Frontend::poll ◄── slot's answer ◄─ event ─────── Backend::step: unmap, answer ◄ completion
//! ```
//!
//! Both halves are objects without threads: somebody calls them when an event came. What they need of their domain (the ring's page,
//! granting, mapping, the event) are traits, so that both, and what a hostile one does to the other, are tested on the host.
//!
//! | module | one line |
//! |---|---|
//! | [`ring`] | the ring's page, and its slots in both layouts |
//! | [`judge`] | what a request asks for, or why it is refused |
//! | [`backend`] | from the ring to the disk and back |
//! | `gather` | what waits there, and which neighbours become one request |
//! | [`counters`] | what a backend has done |
//! | [`frontend`] | a disk made of a ring |
//!
//! Source: Xen 4.x, `public/io/blkif.h`; [`guest_abi::io::blkif`].

pub mod backend;
pub mod counters;
pub mod frontend;
mod gather;
pub mod judge;
mod kept;
pub mod ring;

pub use backend::{Backend, Guest, Mapping, Point, Step};
pub use counters::Counters;
pub use frontend::{Frontend, Host};
pub use ring::{Layout, RingPage};

#[cfg(test)]
pub(crate) mod tests;
