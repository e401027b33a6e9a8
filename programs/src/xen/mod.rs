//! The devices by which Domain0's programs control other domains (`docs/privcmd.md`). In other domains they are not there: opening
//! one is ENOENT.
//!
//! | module | device |
//! |---|---|
//! | [`privcmd`] | `/dev/xen/privcmd`: hypercalls |
//! | [`foreign`] | the same: memory of other domains |

pub mod foreign;
pub mod privcmd;

pub use foreign::ForeignMap;
pub use privcmd::Privcmd;
