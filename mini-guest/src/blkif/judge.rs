//! What a request asks for, or why it is refused. Nothing is mapped or begun for one that is.

use arrayvec::ArrayVec;
use guest_abi::io::blkif::{BlkOp, BlkStatus, MAX_SEGMENTS, Request64, SECTOR_BYTES};

use crate::block::Op;

/// A piece of a granted frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The grant.
    pub reference: u32,
    /// First byte in the frame.
    pub offset: u32,
    /// Bytes.
    pub len: u32,
}

/// A request that makes sense by itself. Whether the disk has those sectors is the disk's matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What to do.
    pub op: Op,
    /// First sector.
    pub sector: u64,
    /// The memory.
    pub pieces: ArrayVec<Piece, MAX_SEGMENTS>,
}

impl Wanted {
    /// How many sectors it is about.
    #[must_use]
    pub fn sectors(&self) -> u64 {
        let bytes: u32 = self.pieces.iter().map(|piece| piece.len).sum();
        u64::from(bytes / SECTOR_BYTES)
    }
}

/// Judges a request that was copied.
///
/// # Errors
/// The status that is answered.
pub fn judge(request: &Request64) -> Result<Wanted, BlkStatus> {
    let op = match request.operation {
        BlkOp::READ => Op::Read,
        BlkOp::WRITE => Op::Write,
        BlkOp::FLUSH_DISKCACHE => Op::Flush,
        // Barriers, discards, indirect requests: not offered. And whatever else there may be.
        _ => return Err(BlkStatus::EOPNOTSUPP),
    };
    let mut wanted = Wanted {
        op,
        sector: request.sector_number,
        pieces: ArrayVec::new(),
    };
    let count = usize::from(request.nr_segments);
    if op == Op::Flush {
        // Its sector means nothing.
        wanted.sector = 0;
        return if count == 0 {
            Ok(wanted)
        } else {
            Err(BlkStatus::ERROR)
        };
    }
    let segments = request.seg.get(..count).ok_or(BlkStatus::ERROR)?;
    if segments.is_empty() {
        return Err(BlkStatus::ERROR);
    }
    for segment in segments {
        let sectors = segment.sectors().ok_or(BlkStatus::ERROR)?;
        wanted.pieces.push(Piece {
            reference: segment.gref,
            offset: u32::from(segment.first_sect) * SECTOR_BYTES,
            len: sectors * SECTOR_BYTES,
        });
    }
    // The end may not wrap around, whatever the disk then says.
    if wanted.sector.checked_add(wanted.sectors()).is_none() {
        return Err(BlkStatus::ERROR);
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use guest_abi::io::blkif::Segment;

    fn request(operation: BlkOp, nr_segments: u8, first_sect: u8, last_sect: u8) -> Request64 {
        let segment = Segment {
            gref: 5,
            first_sect,
            last_sect,
            pad: 0xFFFF,
        };
        Request64 {
            operation,
            nr_segments,
            handle: 1,
            pad: 0xFFFF_FFFF,
            id: 9,
            sector_number: 100,
            seg: [segment; MAX_SEGMENTS],
        }
    }

    #[test]
    fn what_makes_sense_is_taken_as_it_is() {
        let wanted = judge(&request(BlkOp::WRITE, 11, 2, 7)).unwrap();
        assert_eq!((wanted.op, wanted.sector, wanted.sectors()), (Op::Write, 100, 66));
        let piece = Piece {
            reference: 5,
            offset: 1024,
            len: 3072,
        };
        assert!(wanted.pieces.iter().all(|other| *other == piece));
        let flush = judge(&request(BlkOp::FLUSH_DISKCACHE, 0, 9, 9)).unwrap();
        assert_eq!((flush.op, flush.sector, flush.sectors()), (Op::Flush, 0, 0));
    }

    #[test]
    fn nonsense_is_refused() {
        for request in [
            request(BlkOp::READ, 0, 0, 7),
            request(BlkOp::READ, 12, 0, 7),
            request(BlkOp::READ, 255, 0, 7),
            request(BlkOp::WRITE, 1, 0, 8),
            request(BlkOp::WRITE, 1, 3, 2),
            request(BlkOp::FLUSH_DISKCACHE, 1, 0, 7),
            Request64 {
                sector_number: u64::MAX - 6,
                ..request(BlkOp::READ, 1, 0, 7)
            },
        ] {
            assert_eq!(judge(&request), Err(BlkStatus::ERROR), "{request:?}");
        }
        for operation in (0..=255).map(BlkOp::new) {
            let is_known = [BlkOp::READ, BlkOp::WRITE, BlkOp::FLUSH_DISKCACHE].contains(&operation);
            let answer = judge(&request(operation, 1, 0, 7));
            assert_eq!(answer == Err(BlkStatus::EOPNOTSUPP), !is_known, "{operation}");
        }
    }
}
