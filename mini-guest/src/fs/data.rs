//! The bytes of a file: borrowed from the RAM disk, or pages of our own once it was written to.

use alloc::vec::Vec;

use super::enough_memory;
use crate::linux::Errno;
use crate::page::{PAGE, Page};

/// Longest file.
pub const MAX_LEN: u64 = 1 << 30;

/// A file's content.
#[derive(Debug)]
pub enum FileData {
    /// As the RAM disk holds it.
    Borrowed(&'static [u8]),
    /// Pages of our own; those never written are not there and read as zeroes.
    Pages {
        /// Length in bytes.
        len: usize,
        /// A place for each page up to the length.
        pages: Vec<Option<Page>>,
    },
}

impl Default for FileData {
    fn default() -> Self {
        Self::Borrowed(&[])
    }
}

impl FileData {
    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Borrowed(bytes) => bytes.len(),
            Self::Pages { len, .. } => *len,
        }
    }

    /// Whether the file has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies bytes from `at` on and says how many there were.
    pub fn read_at(&self, at: u64, into: &mut [u8]) -> usize {
        let Some(at) = usize::try_from(at).ok().filter(|at| *at < self.len()) else {
            return 0;
        };
        let count = into.len().min(self.len() - at);
        match self {
            Self::Borrowed(bytes) => into[..count].copy_from_slice(&bytes[at..at + count]),
            Self::Pages { pages, .. } => {
                let mut done = 0;
                while done < count {
                    let (page, offset) = ((at + done) / PAGE, (at + done) % PAGE);
                    let part = (count - done).min(PAGE - offset);
                    match &pages[page] {
                        Some(page) => into[done..done + part].copy_from_slice(&page[offset..offset + part]),
                        None => into[done..done + part].fill(0),
                    }
                    done += part;
                }
            }
        }
        count
    }

    /// Writes bytes from `at` on, making the file longer where needed, and says how many were written.
    ///
    /// # Errors
    /// EFBIG, ENOMEM, where not even the first part could be written.
    pub fn write_at(&mut self, at: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let room = MAX_LEN
            .checked_sub(at)
            .filter(|room| *room > 0)
            .ok_or(Errno::EFBIG)?;
        let bytes = &bytes[..bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX))];
        if bytes.is_empty() {
            return Ok(0);
        }
        let at = at as usize;
        if at + bytes.len() > self.len() {
            self.set_len((at + bytes.len()) as u64)?;
        }
        self.own()?;
        let Self::Pages { pages, .. } = self else {
            return Err(Errno::EIO);
        };
        let mut done = 0;
        while done < bytes.len() {
            let (index, offset) = ((at + done) / PAGE, (at + done) % PAGE);
            let part = (bytes.len() - done).min(PAGE - offset);
            let slot = &mut pages[index];
            if slot.is_none() {
                match Page::new() {
                    Ok(page) => *slot = Some(page),
                    Err(errno) if done == 0 => return Err(errno),
                    Err(_) => return Ok(done),
                }
            }
            if let Some(page) = slot {
                page[offset..offset + part].copy_from_slice(&bytes[done..done + part]);
            }
            done += part;
        }
        Ok(done)
    }

    /// Cuts the file, or makes it longer with zeroes.
    ///
    /// # Errors
    /// EFBIG, ENOMEM; the file is as before.
    pub fn set_len(&mut self, new: u64) -> Result<(), Errno> {
        if new > MAX_LEN {
            return Err(Errno::EFBIG);
        }
        let new = new as usize;
        if let Self::Borrowed(bytes) = self
            && new <= bytes.len()
        {
            *self = Self::Borrowed(&bytes[..new]);
            return Ok(());
        }
        self.own()?;
        let Self::Pages { len, pages } = self else {
            return Err(Errno::EIO);
        };
        let count = new.div_ceil(PAGE);
        if count > pages.len() {
            enough_memory()?;
            pages
                .try_reserve(count - pages.len())
                .map_err(|_| Errno::ENOMEM)?;
        }
        pages.resize_with(count, || None);
        if new < *len
            && let Some(Some(last)) = pages.last_mut()
            && !new.is_multiple_of(PAGE)
        {
            // What is made longer again later reads as zeroes.
            last[new % PAGE..].fill(0);
        }
        *len = new;
        Ok(())
    }

    /// Copies a borrowed file into pages.
    fn own(&mut self) -> Result<(), Errno> {
        let Self::Borrowed(bytes) = self else {
            return Ok(());
        };
        let mut pages = Vec::new();
        pages
            .try_reserve(bytes.len().div_ceil(PAGE))
            .map_err(|_| Errno::ENOMEM)?;
        for chunk in bytes.chunks(PAGE) {
            let mut page = Page::new()?;
            page[..chunk.len()].copy_from_slice(chunk);
            pages.push(Some(page));
        }
        *self = Self::Pages {
            len: bytes.len(),
            pages,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn content(data: &FileData) -> Vec<u8> {
        let mut bytes = vec![0xAA; data.len() + 10];
        let count = data.read_at(0, &mut bytes);
        bytes.truncate(count);
        bytes
    }

    #[test]
    fn borrowed_bytes_are_copied_at_the_first_write() {
        let mut data = FileData::Borrowed(b"hello world");
        assert_eq!(data.write_at(6, b"W"), Ok(1));
        assert_eq!(content(&data), b"hello World");
        assert!(matches!(data, FileData::Pages { .. }));
    }

    #[test]
    fn cutting_a_borrowed_file_copies_nothing() {
        let mut data = FileData::Borrowed(b"hello");
        data.set_len(2).unwrap();
        assert!(matches!(data, FileData::Borrowed(b"he")));
        data.set_len(4).unwrap();
        assert_eq!(content(&data), b"he\0\0");
    }

    #[test]
    fn too_long_is_refused() {
        let mut data = FileData::default();
        assert_eq!(data.write_at(MAX_LEN, b"x"), Err(Errno::EFBIG));
        assert_eq!(data.set_len(MAX_LEN + 1), Err(Errno::EFBIG));
        assert_eq!(data.write_at(u64::MAX, b"x"), Err(Errno::EFBIG));
        assert!(data.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn behaves_as_a_vector(
            ops in proptest::collection::vec((any::<bool>(), 0_usize..20_000, proptest::collection::vec(any::<u8>(), 0..9000)), 1..12)
        ) {
            let mut data = FileData::Borrowed(b"start");
            let mut model = b"start".to_vec();
            for (write, at, bytes) in ops {
                if write && !bytes.is_empty() {
                    prop_assert_eq!(data.write_at(at as u64, &bytes), Ok(bytes.len()));
                    if model.len() < at + bytes.len() {
                        model.resize(at + bytes.len(), 0);
                    }
                    model[at..at + bytes.len()].copy_from_slice(&bytes);
                } else {
                    data.set_len(at as u64).unwrap();
                    model.resize(at, 0);
                }
                prop_assert_eq!(&content(&data), &model);
            }
        }
    }
}
