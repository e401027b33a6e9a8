//! Memory: which frames there are, where they are mapped, the heap.
//!
//! | module | one line |
//! |---|---|
//! | [`layout`] | the kernel's linear addresses |
//! | [`boot`], [`bump`] | what the builder left, and frames before there is a frame table |
//! | [`frames`] | free and used frames, with counts |
//! | `translate` | pseudo-physical and machine frame numbers |
//! | [`balloon`], `exchange` | memory given back and taken again |
//! | `batch` | page-table updates in few hypercalls |
//! | `kernel_map` | the direct map and the heap's tables |
//! | `heap`, [`small_blocks`] | the kernel heap |
//! | `copy` | copies of memory |
//! | `window`, `granted` | pages of other domains that the kernel uses |
//! | `disk_frames` | frames that stay with disks |
//! | `frame_pool` | memory for network frames |
//!
//! # Memory that runs out
//! Programs and files may take frames only while more than [`USER_KEEP`] (or a sixteenth) are free (`alloc_user_frame`), and a call that
//! allocates objects in the heap first asks `is_low`. What is left serves the small objects of calls
//! in progress, so the kernel itself does not run out.

pub mod balloon;
pub mod boot;
pub mod bump;
pub mod frames;
pub mod layout;
pub mod small_blocks;

#[cfg(target_os = "none")]
pub mod batch;
#[cfg(target_os = "none")]
pub mod copy;
#[cfg(target_os = "none")]
pub mod disk_frames;
#[cfg(target_os = "none")]
pub mod exchange;
#[cfg(target_os = "none")]
pub mod frame_pool;
#[cfg(target_os = "none")]
pub mod granted;
#[cfg(target_os = "none")]
pub mod heap;
#[cfg(target_os = "none")]
pub mod kernel_map;
#[cfg(target_os = "none")]
mod state;
#[cfg(target_os = "none")]
pub mod translate;
#[cfg(target_os = "none")]
pub mod window;

#[cfg(target_os = "none")]
pub use state::*;

/// Most frames that programs cannot have: 1 MiB. A small domain keeps back a part of what it has ([`KEPT_SHARE`]).
pub const USER_KEEP: u32 = 256;
/// The part of a small domain's memory that programs cannot have: one of so many.
pub const KEPT_SHARE: u32 = 16;
