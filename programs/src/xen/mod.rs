//! The devices by which Domain0's programs control other domains (`docs/privcmd.md`). In other domains they are not there: opening
//! one is ENOENT.
//!
//! | module | device |
//! |---|---|
//! | [`privcmd`] | `/dev/xen/privcmd`: hypercalls |
//! | [`foreign`] | the same: memory of other domains |
//! | [`evtchn`] | `/dev/xen/evtchn`: event channels |
//! | [`consoles`] | `/dev/xen/consoles`, `/dev/xen/console/N`: consoles of other domains |
//! | [`store`] | `/dev/xen/xenbus`: the store |

pub mod consoles;
pub mod evtchn;
pub mod foreign;
pub mod privcmd;
pub mod store;

pub use consoles::Consoles;
pub use evtchn::Evtchn;
pub use foreign::ForeignMap;
pub use privcmd::Privcmd;
pub use store::Store;
