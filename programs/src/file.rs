//! Open files that close themselves, whole files, and reading by lines.

use alloc::vec::Vec;

use crate::abi::{O_CLOEXEC, O_CREAT, O_RDONLY, O_TRUNC, O_WRONLY};
use crate::errno::{Errno, Result};
use crate::{io, sys};

/// An open file; closed when dropped.
pub struct File(i32);

impl File {
    /// Opens for reading.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn open(path: &[u8]) -> Result<File> {
        File::open_with(path, O_RDONLY)
    }

    /// Opens with `O_*` flags; a file that is made gets mode 0666.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn open_with(path: &[u8], flags: u32) -> Result<File> {
        sys::open(path, flags | O_CLOEXEC, 0o666).map(File)
    }

    /// Takes over a descriptor.
    pub fn from_descriptor(fd: i32) -> File {
        File(fd)
    }

    /// The descriptor.
    pub fn descriptor(&self) -> i32 {
        self.0
    }

    /// Gives the descriptor away without closing it.
    pub fn into_descriptor(self) -> i32 {
        let fd = self.0;
        core::mem::forget(self);
        fd
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = sys::close(self.0);
    }
}

/// Reads once; interruptions are retried.
///
/// # Errors
/// What `read` answers.
pub fn read_some(fd: i32, buffer: &mut [u8]) -> Result<usize> {
    loop {
        match sys::read(fd, buffer) {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}

/// Reads until the end.
///
/// # Errors
/// What `read` answers.
pub fn read_to_end(fd: i32) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let start = content.len();
        content.resize(start + 4096, 0);
        let count = read_some(fd, &mut content[start..]);
        content.truncate(start + *count.as_ref().unwrap_or(&0));
        if count? == 0 {
            return Ok(content);
        }
    }
}

/// The whole content of a file.
///
/// # Errors
/// What the kernel answers.
pub fn read_file(path: &[u8]) -> Result<Vec<u8>> {
    read_to_end(File::open(path)?.descriptor())
}

/// Makes `content` the content of a file: whoever reads it sees the old or the new one, never a part.
///
/// # Errors
/// What the kernel answers.
pub fn replace_file(path: &[u8], content: &[u8]) -> Result<()> {
    let temporary = [path, b".new"].concat();
    let written = File::open_with(&temporary, O_WRONLY | O_CREAT | O_TRUNC)
        .and_then(|file| io::write_all(file.descriptor(), content))
        .and_then(|()| sys::rename(&temporary, path));
    if written.is_err() {
        let _ = sys::unlink(&temporary);
    }
    written
}

/// A pipe: what is written to the second file is read from the first.
///
/// # Errors
/// EMFILE.
pub fn pipe() -> Result<(File, File)> {
    let (read_end, write_end) = sys::pipe()?;
    Ok((File(read_end), File(write_end)))
}
