//! FAT volumes: the file system of crate `axfatfs` on the block cache.
//!
//! The crate is synchronous and keeps state between operations; disks are neither. So each operation is a transaction of the cache on a
//! file system object of its own: it reads the boot sector (from the cache), walks to the file by its path, does its work, and is gone.
//! An attempt that meets a block that is not there leaves nothing behind, neither on the disk nor in memory, and is
//! begun anew when the block has come ([`Errno::EIOCBQUEUED`]).
//!
//! | module | one line |
//! |---|---|
//! | `storage` | the crate's view of the volume: bytes in a transaction |
//! | `clock` | times as FAT has them |
//! | `mount` | a mounted volume, and how an operation on it is a transaction |
//! | `names` | names in directories: listed, made, removed, moved |
//! | `files` | what is in files |
//! | `chain` | where on the disk a file is |
//! | `lend` | files that are disks of other domains |
//!
//! # Limits
//! Names are UTF-8 and without regard to case. There are no links, owners or permissions but "read-only". Files in use are neither
//! removed nor renamed (EBUSY); a directory is not moved to another one (EXDEV, so that `mv` copies). A large file is made shorter, longer or is removed in
//! several transactions, each of which leaves a file system in order.

mod chain;
mod clock;
mod files;
mod lend;
mod mount;
mod names;
mod storage;

#[cfg(test)]
mod chain_tests;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod lend_tests;
#[cfg(test)]
mod tests;

pub use lend::Lending;
pub use mount::Mount;
pub use names::{Entry, OpenName};

use crate::block::BlockError;
use crate::block::cache::Missing;
use crate::linux::Errno;

/// What a program is told.
#[must_use]
pub fn errno(missing: Missing) -> Errno {
    match missing {
        Missing::Wait => Errno::EIOCBQUEUED,
        Missing::Error(BlockError::OutOfRange) => Errno::ENOSPC,
        Missing::Error(BlockError::ReadOnly) => Errno::EROFS,
        Missing::Error(BlockError::Gone) => Errno::ENODEV,
        Missing::Error(_) => Errno::EIO,
    }
}
