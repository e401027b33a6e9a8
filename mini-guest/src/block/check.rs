//! What every device refuses.

use super::{BlockError, Info, Op, Request, SECTOR};

/// Bytes that a piece cannot cross.
const PAGE: u32 = 4096;

/// Whether a disk that is `info` can be asked `request`.
///
/// # Errors
/// [`BlockError::Malformed`], [`BlockError::OutOfRange`], [`BlockError::ReadOnly`].
pub fn request(info: &Info, request: &Request) -> Result<(), BlockError> {
    if request.op == Op::Flush {
        let is_plain = request.segments.is_empty() && request.sector == 0;
        return if is_plain {
            Ok(())
        } else {
            Err(BlockError::Malformed)
        };
    }
    if request.op == Op::Write && info.is_read_only {
        return Err(BlockError::ReadOnly);
    }
    if request.segments.is_empty() || request.segments.len() > info.max_segments {
        return Err(BlockError::Malformed);
    }
    for segment in &request.segments {
        // Of the address, its place in the page is what counts.
        let (at, len) = (segment.address() as u32 % PAGE, segment.len());
        let is_whole = len > 0 && (at | len).is_multiple_of(SECTOR as u32);
        if !is_whole || len > PAGE - at {
            return Err(BlockError::Malformed);
        }
    }
    let (first, count) = (request.sector, request.sectors());
    if first.checked_add(count).is_none_or(|end| end > info.sectors) {
        return Err(BlockError::OutOfRange);
    }
    let block = u64::from(info.block_sectors.max(1));
    if block > 1 && (!first.is_multiple_of(block) || !count.is_multiple_of(block)) {
        return Err(BlockError::Malformed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::{Client, Segment};
    use alloc::boxed::Box;
    use core::ptr::NonNull;

    const INFO: Info = Info {
        sectors: 100,
        block_sectors: 1,
        is_read_only: false,
        has_cache: false,
        max_segments: 2,
        is_copying: false,
        depth: 1,
    };

    fn of(op: Op, sector: u64, pieces: &[(u64, u32)]) -> Box<Request> {
        // SAFETY: nothing is ever submitted.
        let segment = |&(at, len)| unsafe { Segment::new(at, len, NonNull::dangling()) };
        Request::new(op, sector, pieces.iter().map(segment).collect(), 0, Client::new())
    }

    #[test]
    fn what_fits_is_allowed() {
        for (op, sector, pieces) in [
            (Op::Read, 0, &[(0, 4096)][..]),
            (Op::Write, 99, &[(0x1_0000_0E00, 512)]),
            (Op::Read, 84, &[(4096, 4096), (0, 4096)]),
            (Op::Flush, 0, &[]),
        ] {
            assert_eq!(request(&INFO, &of(op, sector, pieces)), Ok(()));
        }
    }

    #[test]
    fn bad_pieces_are_refused() {
        for pieces in [
            &[][..],
            &[(0, 0)],
            &[(0, 511)],
            &[(1, 512)],
            &[(0, 8192)],
            &[(512, 4096)],
            &[(0, 512), (0, 512), (0, 512)],
        ] {
            let asked = of(Op::Read, 0, pieces);
            assert_eq!(request(&INFO, &asked), Err(BlockError::Malformed), "{pieces:?}");
        }
        let flush = of(Op::Flush, 0, &[(0, 512)]);
        assert_eq!(request(&INFO, &flush), Err(BlockError::Malformed));
    }

    #[test]
    fn the_end_of_the_disk_holds() {
        for sector in [93, 100, u64::MAX, u64::MAX - 7] {
            let asked = of(Op::Read, sector, &[(0, 4096)]);
            assert_eq!(request(&INFO, &asked), Err(BlockError::OutOfRange));
        }
    }

    #[test]
    fn a_read_only_disk_is_read() {
        let info = Info {
            is_read_only: true,
            ..INFO
        };
        assert_eq!(request(&info, &of(Op::Read, 0, &[(0, 512)])), Ok(()));
        let write = of(Op::Write, 0, &[(0, 512)]);
        assert_eq!(request(&info, &write), Err(BlockError::ReadOnly));
    }

    #[test]
    fn larger_blocks_are_whole() {
        let info = Info {
            block_sectors: 8,
            ..INFO
        };
        assert_eq!(request(&info, &of(Op::Read, 8, &[(0, 4096)])), Ok(()));
        for (sector, len) in [(4, 4096), (8, 512)] {
            let asked = of(Op::Read, sector, &[(0, len)]);
            assert_eq!(request(&info, &asked), Err(BlockError::Malformed));
        }
    }
}
