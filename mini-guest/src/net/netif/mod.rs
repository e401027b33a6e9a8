//! The split network driver: an Ethernet interface of one domain, used by another one through two rings.
//!
//! ```text
//! frontend's domain                                           backend's domain
//! Interface::transmit → granted page, slot ── event ──► Backend::step: judge, copy out → Switch::pass
//!                       slot's answer      ◄─ event ──  Backend::step: answer
//! Interface::receive  ◄ granted page, answer ◄ event ── Backend::step: copy in, answer ◄ Switch::take
//! ```
//!
//! Both halves are objects without threads: somebody calls them when an event came. The hypervisor copies between the frontend's pages and
//! the backend's, many pieces a call, so nobody maps anything of anybody but the rings' two pages.
//!
//! | module | one line |
//! |---|---|
//! | [`slots`] | the rings' slots |
//! | [`judge`] | what a request to send asks for, or why it is refused |
//! | [`guest`] | what the backend needs of the domains and of the bridge |
//! | [`bucket`] | how much may be sent in a time |
//! | [`backend`] | from the rings to the bridge and back |
//! | [`frontend`] | an interface made of two rings |
//!
//! Source: Xen 4.x, `public/io/netif.h`; [`guest_abi::io::netif`].

pub mod backend;
pub mod bucket;
mod counters;
pub mod frontend;
pub mod guest;
pub mod judge;
pub mod slots;

pub use backend::{Backend, Point, Step};
pub use bucket::Rate;
pub use counters::Counters;
pub use frontend::{Frontend, Host};
pub use guest::{Guest, Switch};

#[cfg(test)]
mod tests;
