//! A disk that is memory: a boot module, or pages that were never written and read as zeroes.
//!
//! Every request is complete before `submit` comes back. What is written lives in pages of its own; the module itself is never changed.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use core::cell::RefCell;

use super::{BlockError, Device, Info, Op, Refused, Request, SECTOR, check};
use crate::page::{PAGE, Page};

/// Most pieces of a request: there is no reason for a limit but that there must be one.
const MAX_SEGMENTS: usize = 256;

/// A disk in memory.
#[derive(Debug)]
pub struct RamDisk {
    content: &'static [u8],
    sectors: u64,
    written: RefCell<BTreeMap<u64, Page>>,
}

impl RamDisk {
    /// A disk that holds `content`, filled up with zeroes to `len` bytes where it is shorter, in whole sectors.
    #[must_use]
    pub fn new(content: &'static [u8], len: u64) -> Self {
        let len = len.max(content.len() as u64);
        Self {
            content,
            sectors: len.div_ceil(SECTOR as u64),
            written: RefCell::default(),
        }
    }

    fn run(&self, request: &Request) -> Result<(), BlockError> {
        let mut at = request.sector * SECTOR as u64;
        let mut buffer = [0; SECTOR];
        for segment in &request.segments {
            for offset in (0..segment.len()).step_by(SECTOR) {
                let piece = segment.part(offset, SECTOR as u32);
                match request.op {
                    Op::Read => {
                        self.read(at, &mut buffer);
                        piece.write(&buffer);
                    }
                    Op::Write => {
                        piece.read(&mut buffer);
                        self.write(at, &buffer)?;
                    }
                    Op::Flush => {}
                }
                at += SECTOR as u64;
            }
        }
        Ok(())
    }

    fn read(&self, at: u64, into: &mut [u8; SECTOR]) {
        let (page, offset) = place(at);
        match self.written.borrow().get(&page) {
            Some(page) => into.copy_from_slice(&page[offset..offset + SECTOR]),
            None => self.read_content(at, into),
        }
    }

    /// What the module holds at `at`, zeroes behind its end.
    fn read_content(&self, at: u64, into: &mut [u8]) {
        let rest = usize::try_from(at)
            .ok()
            .and_then(|at| self.content.get(at..))
            .unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        into[count..].fill(0);
    }

    fn write(&self, at: u64, bytes: &[u8; SECTOR]) -> Result<(), BlockError> {
        let (index, offset) = place(at);
        let mut written = self.written.borrow_mut();
        let page = match written.entry(index) {
            Entry::Occupied(page) => page.into_mut(),
            Entry::Vacant(place) => {
                let mut page = Page::new().map_err(|_| BlockError::Io)?;
                self.read_content(index * PAGE as u64, &mut page[..]);
                place.insert(page)
            }
        };
        page[offset..offset + SECTOR].copy_from_slice(bytes);
        Ok(())
    }
}

/// The page that byte `at` is in, and where in it.
fn place(at: u64) -> (u64, usize) {
    (at / PAGE as u64, (at % PAGE as u64) as usize)
}

impl Device for RamDisk {
    fn info(&self) -> Info {
        Info {
            sectors: self.sectors,
            block_sectors: 1,
            is_read_only: false,
            has_cache: false,
            max_segments: MAX_SEGMENTS,
            is_copying: true,
            depth: usize::MAX,
        }
    }

    fn submit(&self, request: Box<Request>) -> Result<(), Refused> {
        if let Err(error) = check::request(&self.info(), &request) {
            return Err(Refused { request, error });
        }
        request.client.begin();
        request.complete(self.run(&request));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::testing::{read, submit_one, write};

    #[test]
    fn a_module_is_read_and_what_is_behind_it_is_zero() {
        let content: &'static [u8] = Box::leak(vec![7; 700].into_boxed_slice());
        let disk = RamDisk::new(content, 0);
        assert_eq!(disk.info().sectors, 2);
        let bytes = read(&disk, 0, 1024).unwrap();
        assert_eq!(bytes[..700], [7; 700]);
        assert_eq!(bytes[700..], [0; 324]);
        assert_eq!(read(&disk, 1, 1024), Err(BlockError::OutOfRange));
    }

    #[test]
    fn what_is_written_is_read_and_the_module_stays() {
        let content: &'static [u8] = Box::leak(vec![7; 9000].into_boxed_slice());
        let disk = RamDisk::new(content, 20_000);
        write(&disk, 7, &[1; 1024]).unwrap();
        let bytes = read(&disk, 6, 2048).unwrap();
        assert_eq!(bytes[..512], [7; 512]);
        assert_eq!(bytes[512..1536], [1; 1024]);
        assert_eq!(bytes[1536..], [7; 512]);
        assert!(content.iter().all(|byte| *byte == 7));
        write(&disk, 39, &[2; 512]).unwrap();
        assert_eq!(read(&disk, 39, 512).unwrap(), [2; 512]);
        assert_eq!(submit_one(&disk, Op::Flush, 0, &mut []), Ok(()));
    }
}
