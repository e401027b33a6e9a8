//! What is in files: read, written, made longer and shorter, a transaction at a time.

use axfatfs::{Error, Read, Seek, SeekFrom, Write};

use super::mount::Mount;
use crate::linux::Errno;

/// Most bytes that one transaction writes to a file.
const WRITE: usize = 32 * 1024;
/// Most clusters that one transaction gives back: their table is a few blocks.
const FREE: u64 = 4096;
/// Longest file of FAT.
const MAX_LEN: u64 = u32::MAX as u64;

impl Mount {
    /// Reads bytes of the file at `path`; fewer at its end.
    ///
    /// # Errors
    /// ENOENT, EBUSY: it is another domain's disk; EIOCBQUEUED, EIO.
    pub fn read(&self, path: &str, at: u64, into: &mut [u8]) -> Result<usize, Errno> {
        self.not_lent(path, false)?;
        self.run(|fs| {
            let mut file = fs.root_dir().open_file(path)?;
            if at > MAX_LEN || file.seek(SeekFrom::Start(at))? != at {
                return Ok(0);
            }
            let mut done = 0;
            while done < into.len() {
                match file.read(&mut into[done..])? {
                    0 => break,
                    count => done += count,
                }
            }
            Ok(done)
        })
    }

    /// Writes bytes to the file at `path`, filling up to `at` with zeroes; says how many were written.
    ///
    /// # Errors
    /// ENOENT, EROFS, EBUSY: it is another domain's disk; EFBIG, ENOSPC, EIOCBQUEUED, EIO.
    pub fn write(&self, path: &str, at: u64, bytes: &[u8]) -> Result<usize, Errno> {
        self.may_write()?;
        self.not_lent(path, true)?;
        let room = MAX_LEN
            .checked_sub(at)
            .filter(|room| *room > 0)
            .ok_or(Errno::EFBIG)?;
        let count = bytes
            .len()
            .min(WRITE)
            .min(usize::try_from(room).unwrap_or(usize::MAX));
        self.extend(path, at)?;
        self.write_at(path, at, &bytes[..count]).map(|()| count)
    }

    fn write_at(&self, path: &str, at: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.run(|fs| {
            let mut file = fs.root_dir().open_file(path)?;
            if file.seek(SeekFrom::Start(at))? != at {
                return Err(Error::CorruptedFileSystem);
            }
            file.write_all(bytes)?;
            file.flush()
        })
    }

    /// Makes a file at least `len` bytes long, with zeroes, a piece at a time.
    fn extend(&self, path: &str, len: u64) -> Result<(), Errno> {
        loop {
            let size = self.entry(path)?.size;
            if size >= len {
                return Ok(());
            }
            let part = usize::try_from(len - size).map_or(WRITE, |left| left.min(WRITE));
            self.write_at(path, size, &alloc::vec![0; part])?;
        }
    }

    /// Gives the file at `path` this length.
    ///
    /// # Errors
    /// As for [`Mount::write`].
    pub fn set_len(&self, path: &str, len: u64) -> Result<(), Errno> {
        self.may_write()?;
        self.not_lent(path, true)?;
        if len > MAX_LEN {
            return Err(Errno::EFBIG);
        }
        self.extend(path, len)?;
        loop {
            let size = self.entry(path)?.size;
            if size <= len {
                return Ok(());
            }
            self.run(|fs| {
                let step = FREE * u64::from(fs.cluster_size());
                let to = len.max(size.saturating_sub(step));
                let mut file = fs.root_dir().open_file(path)?;
                if file.seek(SeekFrom::Start(to))? != to {
                    return Err(Error::CorruptedFileSystem);
                }
                file.truncate()?;
                file.flush()
            })?;
        }
    }
}
