//! Directories: their entries, and the working directory.

use alloc::vec;
use alloc::vec::Vec;

use crate::abi::O_DIRECTORY;
use crate::errno::Result;
use crate::file::File;
use crate::sys;

/// Offset of the length of an entry (`struct linux_dirent64`: inode u64, position i64, length u16, type u8, name).
const LENGTH_OFFSET: usize = 16;
/// Offset of an entry's name.
const NAME_OFFSET: usize = 19;

/// The names in a directory, `.` and `..` included, in the kernel's order.
///
/// # Errors
/// What the kernel answers.
pub fn names(path: &[u8]) -> Result<Vec<Vec<u8>>> {
    let directory = File::open_with(path, O_DIRECTORY)?;
    let mut buffer = vec![0; 4096];
    let mut names = Vec::new();
    loop {
        let filled = sys::getdents64(directory.descriptor(), &mut buffer)?;
        if filled == 0 {
            return Ok(names);
        }
        let mut rest = &buffer[..filled];
        while rest.len() > NAME_OFFSET {
            let length = usize::from(u16::from_le_bytes([rest[LENGTH_OFFSET], rest[LENGTH_OFFSET + 1]]));
            let Some(entry) = rest.get(..length).filter(|entry| entry.len() > NAME_OFFSET) else {
                break;
            };
            let name = entry[NAME_OFFSET..]
                .split(|&byte| byte == 0)
                .next()
                .unwrap_or_default();
            names.push(name.to_vec());
            rest = &rest[length..];
        }
    }
}

/// The working directory.
///
/// # Errors
/// ENOENT when it was removed, ERANGE beyond 4096 bytes.
pub fn current() -> Result<Vec<u8>> {
    let mut buffer = vec![0; 4096];
    let length = sys::getcwd(&mut buffer)?;
    buffer.truncate(length.saturating_sub(1));
    Ok(buffer)
}

/// `directory/name`, with one slash between.
pub fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = directory.to_vec();
    if !path.is_empty() && path.last() != Some(&b'/') {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}
