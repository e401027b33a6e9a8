//! A part of a disk as a disk of its own.

use alloc::boxed::Box;
use alloc::rc::Rc;

use super::fair::Seat;
use super::{Device, Info, Refused, Request, check};

/// Consecutive sectors of another disk.
pub struct Partition {
    whole: Rc<dyn Device>,
    first: u64,
    sectors: u64,
    is_read_only: bool,
}

impl Partition {
    /// Sectors `first` to `first + sectors - 1` of `whole`; none where the disk does not have them.
    #[must_use]
    pub fn new(whole: Rc<dyn Device>, first: u64, sectors: u64) -> Option<Self> {
        let end = first.checked_add(sectors)?;
        (sectors > 0 && end <= whole.info().sectors).then_some(Self {
            whole,
            first,
            sectors,
            is_read_only: false,
        })
    }

    /// All of a disk, not to be written.
    #[must_use]
    pub fn read_only(whole: Rc<dyn Device>) -> Self {
        Self {
            first: 0,
            sectors: whole.info().sectors,
            is_read_only: true,
            whole,
        }
    }
}

impl Device for Partition {
    fn info(&self) -> Info {
        let whole = self.whole.info();
        Info {
            sectors: self.sectors,
            is_read_only: whole.is_read_only || self.is_read_only,
            ..whole
        }
    }

    fn is_gone(&self) -> bool {
        self.whole.is_gone()
    }

    fn seat(&self) -> Option<&Seat> {
        self.whole.seat()
    }

    fn go_on(&self) {
        self.whole.go_on();
    }

    fn submit(&self, mut request: Box<Request>) -> Result<(), Refused> {
        if let Err(error) = check::request(&self.info(), &request) {
            return Err(Refused { request, error });
        }
        if request.segments.is_empty() {
            return self.whole.submit(request);
        }
        request.sector += self.first;
        self.whole.submit(request).map_err(|mut refused| {
            refused.request.sector -= self.first;
            refused
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::testing::{TestDisk, read, segments, submit_one, write};
    use crate::block::{BlockError, Client, Op, ram::RamDisk};

    fn disk() -> Rc<dyn Device> {
        let bytes: Vec<u8> = (0..20 * 512_u32).map(|n| (n / 512) as u8).collect();
        Rc::new(RamDisk::new(Box::leak(bytes.into_boxed_slice()), 0))
    }

    #[test]
    fn a_part_begins_where_it_begins_and_ends_where_it_ends() {
        let whole = disk();
        let part = Partition::new(whole.clone(), 5, 3).unwrap();
        assert_eq!(part.info().sectors, 3);
        assert_eq!(read(&part, 0, 512).unwrap(), [5; 512]);
        assert_eq!(read(&part, 2, 512).unwrap(), [7; 512]);
        for sector in [2, 3, u64::MAX - 5] {
            assert_eq!(read(&part, sector, 1024), Err(BlockError::OutOfRange));
        }
        write(&part, 1, &[0xAB; 1024]).unwrap();
        let bytes = read(&*whole, 5, 2048).unwrap();
        assert_eq!(bytes[..512], [5; 512]);
        assert_eq!(bytes[512..1536], [0xAB; 1024]);
        assert_eq!(bytes[1536..], [8; 512]);
        assert_eq!(submit_one(&part, Op::Flush, 0, &mut []), Ok(()));
    }

    #[test]
    fn a_part_beyond_the_disk_is_none() {
        for (first, sectors) in [(0, 0), (19, 2), (20, 1), (u64::MAX, 2), (1, u64::MAX)] {
            assert!(Partition::new(disk(), first, sectors).is_none());
        }
        assert!(Partition::new(disk(), 0, 20).is_some());
    }

    #[test]
    fn a_request_comes_back_as_it_was() {
        let whole = Rc::new(TestDisk::new(20));
        whole.depth.set(0);
        let part = Partition::new(whole, 5, 3).unwrap();
        let mut memory = [0; 512];
        let request = Request::new(Op::Read, 1, segments(&mut memory), 1, Client::new());
        let refused = part.submit(request).unwrap_err();
        assert_eq!((refused.error, refused.request.sector), (BlockError::Busy, 1));
    }
}
