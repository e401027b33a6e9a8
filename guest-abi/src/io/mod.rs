//! What domains share with each other: rings in granted pages, and the words by which split drivers meet.
//! Layouts of Xen 4.x, so that a backend can serve unmodified frontends.

pub mod blkif;
pub mod byte_ring;
pub mod console;
pub mod netif;
pub mod ring;
pub mod xenbus;
pub mod xenstore;
