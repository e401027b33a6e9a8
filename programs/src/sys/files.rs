//! Calls about files and directories.

use super::{address, address_mut, c_string, call};
use crate::abi::{AT_FDCWD, PollFd, STATX_BASIC_STATS, Statx, nr};
use crate::errno::Result;

/// Reads into `buffer`.
///
/// # Errors
/// What the kernel answers.
pub fn read(fd: i32, buffer: &mut [u8]) -> Result<usize> {
    let length = buffer.len() as u32;
    call(nr::READ, &[fd.cast_unsigned(), address_mut(buffer), length]).map(|n| n as usize)
}

/// Writes from `bytes`.
///
/// # Errors
/// What the kernel answers.
pub fn write(fd: i32, bytes: &[u8]) -> Result<usize> {
    call(
        nr::WRITE,
        &[fd.cast_unsigned(), address(bytes), bytes.len() as u32],
    )
    .map(|n| n as usize)
}

/// Opens a file.
///
/// # Errors
/// What the kernel answers.
pub fn open(path: &[u8], flags: u32, mode: u32) -> Result<i32> {
    let path = c_string(path)?;
    call(nr::OPEN, &[address(path.as_bytes_with_nul()), flags, mode]).map(u32::cast_signed)
}

/// Closes a descriptor.
///
/// # Errors
/// EBADF.
pub fn close(fd: i32) -> Result<()> {
    call(nr::CLOSE, &[fd.cast_unsigned()]).map(drop)
}

/// Changes the working directory.
///
/// # Errors
/// What the kernel answers.
pub fn chdir(path: &[u8]) -> Result<()> {
    let path = c_string(path)?;
    call(nr::CHDIR, &[address(path.as_bytes_with_nul())]).map(drop)
}

/// Writes the working directory's path with its zero byte; returns the length of both.
///
/// # Errors
/// ERANGE when it does not fit.
pub fn getcwd(buffer: &mut [u8]) -> Result<usize> {
    let length = buffer.len() as u32;
    call(nr::GETCWD, &[address_mut(buffer), length]).map(|n| n as usize)
}

/// Moves a file's position; `whence` 0 start, 1 here, 2 end.
///
/// # Errors
/// ESPIPE for pipes and terminals.
pub fn lseek(fd: i32, offset: i32, whence: u32) -> Result<u32> {
    call(nr::LSEEK, &[fd.cast_unsigned(), offset.cast_unsigned(), whence])
}

/// Makes a pipe: (read end, write end).
///
/// # Errors
/// EMFILE.
pub fn pipe() -> Result<(i32, i32)> {
    let mut ends = [0_i32; 2];
    call(nr::PIPE, &[address_mut(&mut ends)])?;
    Ok((ends[0], ends[1]))
}

/// Makes `to` another name of `from`.
///
/// # Errors
/// EBADF.
pub fn dup2(from: i32, to: i32) -> Result<()> {
    call(nr::DUP2, &[from.cast_unsigned(), to.cast_unsigned()]).map(drop)
}

/// A request about a descriptor.
///
/// # Errors
/// What the kernel answers.
pub fn fcntl(fd: i32, command: u32, argument: u32) -> Result<u32> {
    call(nr::FCNTL64, &[fd.cast_unsigned(), command, argument])
}

/// A request to a device, with a structure that it reads or fills in.
///
/// # Errors
/// ENOTTY when the file is not such a device.
///
/// # Safety
/// `T` must be the structure that `request` works on, and every bit pattern must be a valid `T`.
pub unsafe fn ioctl<T>(fd: i32, request: u32, argument: &mut T) -> Result<u32> {
    call(nr::IOCTL, &[fd.cast_unsigned(), request, address_mut(argument)])
}

/// Reads directory entries.
///
/// # Errors
/// ENOTDIR and what else the kernel answers.
pub fn getdents64(fd: i32, buffer: &mut [u8]) -> Result<usize> {
    let length = buffer.len() as u32;
    call(nr::GETDENTS64, &[fd.cast_unsigned(), address_mut(buffer), length]).map(|n| n as usize)
}

/// What kind of file `path` is, relative to `directory`; `flags` are `AT_*`.
///
/// # Errors
/// What the kernel answers.
pub fn statx(directory: i32, path: &[u8], flags: u32) -> Result<Statx> {
    let path = c_string(path)?;
    let mut status = Statx::default();
    let path_address = address(path.as_bytes_with_nul());
    call(
        nr::STATX,
        &[
            directory.cast_unsigned(),
            path_address,
            flags,
            STATX_BASIC_STATS,
            address_mut(&mut status),
        ],
    )?;
    Ok(status)
}

/// What kind of file `path` is.
///
/// # Errors
/// What the kernel answers.
pub fn stat(path: &[u8]) -> Result<Statx> {
    statx(AT_FDCWD, path, 0)
}

/// Removes a file's name.
///
/// # Errors
/// What the kernel answers.
pub fn unlink(path: &[u8]) -> Result<()> {
    let path = c_string(path)?;
    call(nr::UNLINK, &[address(path.as_bytes_with_nul())]).map(drop)
}

/// Makes a directory.
///
/// # Errors
/// What the kernel answers.
pub fn mkdir(path: &[u8], mode: u32) -> Result<()> {
    let path = c_string(path)?;
    call(nr::MKDIR, &[address(path.as_bytes_with_nul()), mode]).map(drop)
}

/// Gives a file another name, in place of the file that had it.
///
/// # Errors
/// What the kernel answers.
pub fn rename(from: &[u8], to: &[u8]) -> Result<()> {
    let (from, to) = (c_string(from)?, c_string(to)?);
    let args = [address(from.as_bytes_with_nul()), address(to.as_bytes_with_nul())];
    call(nr::RENAME, &args).map(drop)
}

/// Waits until one of the descriptors is ready, or for so many milliseconds (negative: without end); says how many are.
///
/// # Errors
/// EINTR and what else the kernel answers.
pub fn poll(descriptors: &mut [PollFd], milliseconds: i32) -> Result<usize> {
    let count = descriptors.len() as u32;
    call(
        nr::POLL,
        &[address_mut(descriptors), count, milliseconds.cast_unsigned()],
    )
    .map(|ready| ready as usize)
}
