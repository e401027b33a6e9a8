//! What a request asks for, or why it is refused. Nothing is mapped or begun for one that is.

use guest_abi::io::blkif::{BlkOp, BlkStatus, MAX_SEGMENTS, Segment};

use super::ring::Asked;
use crate::block::Op;
use crate::block::fair::MOST_SEGMENTS;

/// Most segments of a request whose segments lie in a page of their own.
pub const MOST_INDIRECT: usize = MOST_SEGMENTS;

/// A request that makes sense by itself. Whether the disk has those sectors is the disk's matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What to do.
    pub op: Op,
    /// First sector.
    pub sector: u64,
    /// How many.
    pub sectors: u64,
}

/// What to do, where that is known and it may have so many segments: `most`, where they lie in a page.
///
/// # Errors
/// The status that is answered.
pub fn operation(asked: &Asked, most: usize) -> Result<Op, BlkStatus> {
    let op = match asked.operation {
        BlkOp::READ => Op::Read,
        BlkOp::WRITE => Op::Write,
        BlkOp::FLUSH_DISKCACHE if !asked.is_indirect => Op::Flush,
        // Barriers, discards: not offered. And whatever else there may be.
        _ => return Err(BlkStatus::EOPNOTSUPP),
    };
    let count = usize::from(asked.count);
    let counts = match op {
        Op::Flush => 0..=0,
        _ if asked.is_indirect => 1..=most,
        _ => 1..=MAX_SEGMENTS,
    };
    if counts.contains(&count) {
        Ok(op)
    } else {
        Err(BlkStatus::ERROR)
    }
}

/// Judges a request with its segments, all of which were copied.
///
/// # Errors
/// The status that is answered.
pub fn judge(op: Op, asked: &Asked, segments: &[Segment]) -> Result<Wanted, BlkStatus> {
    let mut sectors = 0;
    for segment in segments {
        sectors += segment.sectors().ok_or(BlkStatus::ERROR)?;
    }
    let (sector, sectors) = match op {
        // Its sector means nothing.
        Op::Flush => (0, 0),
        Op::Read | Op::Write => (asked.sector, u64::from(sectors)),
    };
    // The end may not wrap around, whatever the disk then says.
    sector.checked_add(sectors).ok_or(BlkStatus::ERROR)?;
    Ok(Wanted { op, sector, sectors })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(operation: BlkOp, count: u16, first_sect: u8, last_sect: u8) -> (Asked, Segment) {
        let asked = Asked {
            operation,
            count,
            id: 9,
            sector: 100,
            is_indirect: false,
            page: 0,
        };
        let segment = Segment {
            gref: 5,
            first_sect,
            last_sect,
            pad: 0xFFFF,
        };
        (asked, segment)
    }

    fn answer((asked, segment): (Asked, Segment)) -> Result<Wanted, BlkStatus> {
        let op = operation(&asked, 20)?;
        judge(op, &asked, &vec![segment; asked.count.into()])
    }

    fn indirect((asked, segment): (Asked, Segment)) -> (Asked, Segment) {
        let asked = Asked {
            is_indirect: true,
            ..asked
        };
        (asked, segment)
    }

    #[test]
    fn what_makes_sense_is_taken_as_it_is() {
        let wanted = |op, sector, sectors| Ok(Wanted { op, sector, sectors });
        assert_eq!(answer(ask(BlkOp::WRITE, 11, 2, 7)), wanted(Op::Write, 100, 66));
        assert_eq!(
            answer(ask(BlkOp::FLUSH_DISKCACHE, 0, 9, 9)),
            wanted(Op::Flush, 0, 0)
        );
        assert_eq!(
            answer(indirect(ask(BlkOp::READ, 20, 0, 7))),
            wanted(Op::Read, 100, 160)
        );
        assert_eq!(
            answer(indirect(ask(BlkOp::WRITE, 1, 7, 7))),
            wanted(Op::Write, 100, 1)
        );
    }

    #[test]
    fn nonsense_is_refused() {
        let (mut beyond, segment) = ask(BlkOp::READ, 1, 0, 7);
        beyond.sector = u64::MAX - 6;
        for request in [
            ask(BlkOp::READ, 0, 0, 7),
            ask(BlkOp::READ, 12, 0, 7),
            ask(BlkOp::READ, 255, 0, 7),
            ask(BlkOp::WRITE, 1, 0, 8),
            ask(BlkOp::WRITE, 1, 3, 2),
            ask(BlkOp::FLUSH_DISKCACHE, 1, 0, 7),
            indirect(ask(BlkOp::READ, 0, 0, 7)),
            indirect(ask(BlkOp::READ, 21, 0, 7)),
            indirect(ask(BlkOp::READ, u16::MAX, 0, 7)),
            indirect(ask(BlkOp::WRITE, 5, 7, 0)),
            (beyond, segment),
        ] {
            assert_eq!(answer(request), Err(BlkStatus::ERROR), "{request:?}");
        }
        for operation in (0..=255).map(BlkOp::new) {
            let known = [BlkOp::READ, BlkOp::WRITE, BlkOp::FLUSH_DISKCACHE];
            let asked = ask(operation, 1, 0, 7);
            for (asked, known) in [(asked, &known[..]), (indirect(asked), &known[..2])] {
                let is_known = known.contains(&operation);
                assert_eq!(
                    answer(asked) == Err(BlkStatus::EOPNOTSUPP),
                    !is_known,
                    "{operation}"
                );
            }
        }
    }
}
