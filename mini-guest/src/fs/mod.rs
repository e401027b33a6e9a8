//! Files: a tree in memory, filled from the RAM disk, with `/dev` and a `/proc` made up as it is read.
//!
//! | module | one line |
//! |---|---|
//! | [`cpio`], [`populate`] | the RAM disk's format, and the tree made from it |
//! | [`modules`] | `/boot`, the modules for other domains |
//! | [`inode`], [`data`] | files, directories, links, devices; the bytes of a file |
//! | [`disk`] | files of mounted volumes |
//! | [`node`], [`tree`] | the way from a path to a file |
//! | [`change`] | making, linking, renaming, removing |
//! | [`proc`] | what `/proc` holds, described apart from the kernel that fills it |
//! | [`open`] | open files and the table of a process |
//!
//! Nothing here knows the hardware. Files of the RAM disk stay where they are until they are written to.

pub mod change;
pub mod cpio;
pub mod data;
pub mod disk;
pub mod inode;
pub mod modules;
pub mod node;
pub mod open;
pub mod populate;
pub mod proc;
pub mod tree;

pub use disk::DiskNode;
pub use inode::{Body, Device, Inode};
pub use open::{FileTable, OpenFile, What};
pub use tree::{Fs, Node};

use crate::linux::Errno;

/// Refuses an operation that makes kernel objects when memory is short.
///
/// # Errors
/// ENOMEM.
pub fn enough_memory() -> Result<(), Errno> {
    #[cfg(target_os = "none")]
    if crate::mm::is_low() {
        crate::process::page_cache::shrink();
        if crate::mm::is_low() {
            return Err(Errno::ENOMEM);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
