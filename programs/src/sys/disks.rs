//! Mounting, and making sure that what was written is on the disk.

use super::{address, c_string, call};
use crate::abi::nr;
use crate::errno::Result;

/// Mounts the FAT volume on a disk at a directory.
///
/// # Errors
/// What the kernel answers.
pub fn mount(source: &[u8], target: &[u8], flags: u32) -> Result<()> {
    let (source, target) = (c_string(source)?, c_string(target)?);
    let arguments = [
        address(source.as_bytes_with_nul()),
        address(target.as_bytes_with_nul()),
        address(b"vfat\0"),
        flags,
        0,
    ];
    call(nr::MOUNT, &arguments).map(drop)
}

/// Takes the volume at a directory away, once all of it is on the disk.
///
/// # Errors
/// What the kernel answers.
pub fn umount(target: &[u8]) -> Result<()> {
    let target = c_string(target)?;
    call(nr::UMOUNT2, &[address(target.as_bytes_with_nul()), 0]).map(drop)
}

/// Waits until all that was written to any disk is on it.
pub fn sync() {
    // It has no errors.
    let _ = call(nr::SYNC, &[]);
}

/// Waits until all that was written to a file's disk is on it.
///
/// # Errors
/// EIO: it could not be written; EINVAL: not a file of a disk.
pub fn fsync(fd: i32) -> Result<()> {
    call(nr::FSYNC, &[fd.cast_unsigned()]).map(drop)
}

/// Removes an empty directory.
///
/// # Errors
/// What the kernel answers.
pub fn rmdir(path: &[u8]) -> Result<()> {
    let path = c_string(path)?;
    call(nr::RMDIR, &[address(path.as_bytes_with_nul())]).map(drop)
}
