//! What a frame's requests ask for, or why they are refused.
//!
//! A frame is in one piece or in several: a page's end, or a stack that has its headers elsewhere. The first request says how long the whole is, the others
//! how long they are; what is the first one's own is known at the last one, so the frame is judged there. Extra information is not offered. Whoever
//! uses it all the same, or sends nonsense, gets an error for each of the frame's slots, and it is known which these are, so the requests behind
//! them are done.

use alloc::vec::Vec;

use guest_abi::addr::PAGE_SIZE;
use guest_abi::io::netif::{EXTRA_MORE, ExtraInfo, MAX_PACKET, MIN_PACKET, TxFlags, TxRequest};
use zerocopy::{FromBytes, IntoBytes};

/// Most pieces of a frame, as many as every backend takes (`XEN_NETIF_NR_SLOTS_MIN`).
pub const MOST_PIECES: usize = 18;

/// A frame's requests, mostly one. In a frame that is to be sent each one's size is its own, and all its bytes are in its page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pieces {
    /// The first one.
    pub first: TxRequest,
    rest: Vec<TxRequest>,
}

impl Pieces {
    /// A frame in one piece.
    #[must_use]
    pub const fn one(first: TxRequest) -> Self {
        let rest = Vec::new();
        Self { first, rest }
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &TxRequest> {
        core::iter::once(&self.first).chain(&self.rest)
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        1 + self.rest.len()
    }
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A flag that means nothing.
    Flags,
    /// Something that was not offered: extra information, or more pieces than [`MOST_PIECES`].
    NotOffered,
    /// Too short or too long for a frame; pieces that are empty, or more than the whole.
    Length,
    /// A piece leaves its page.
    BeyondPage,
}

/// What the next slot is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Follows {
    /// A request of its own.
    #[default]
    Request,
    /// Extra information; then a request, or another piece.
    Extra {
        /// Whether it is another piece.
        then_piece: bool,
    },
    /// Another piece of the same frame.
    Piece,
}

/// What is in a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The last piece of a frame: this is all of it.
    Frame(Pieces),
    /// A piece of a frame that goes on. It is answered with the last one.
    Piece,
    /// Requests that get an error now.
    Refused(Pieces, Refusal),
    /// Extra information, which is no request at all.
    Extra,
}

/// Judges one slot after the other.
#[derive(Clone, Debug, Default)]
pub struct Judge {
    follows: Follows,
    /// What there is of a frame that goes on, and how many bytes are its first piece's as far as that is known.
    pieces: Option<Pieces>,
    first_size: u16,
    /// Why the frame that goes on is refused.
    refused: Option<Refusal>,
}

impl Judge {
    /// Judges a slot's copy, and knows what the next one is then.
    pub fn judge(&mut self, request: TxRequest) -> Slot {
        if let Follows::Extra { then_piece } = self.follows {
            // The same bytes, read as what they are.
            let more = ExtraInfo::read_from_prefix(request.as_bytes())
                .is_ok_and(|(extra, _)| extra.flags & EXTRA_MORE != 0);
            self.follows = match (more, then_piece) {
                (true, _) => self.follows,
                (false, true) => Follows::Piece,
                (false, false) => Follows::Request,
            };
            return Slot::Extra;
        }
        let is_first = self.follows == Follows::Request;
        let goes_on = request.flags.contains(TxFlags::MORE_DATA);
        // Only a frame's first piece can have it.
        let has_extra = is_first && request.flags.contains(TxFlags::EXTRA_INFO);
        self.follows = match (has_extra, goes_on) {
            (true, then_piece) => Follows::Extra { then_piece },
            (false, true) => Follows::Piece,
            (false, false) => Follows::Request,
        };
        if is_first {
            self.refused = None;
        }
        let verdict = match self.refused {
            Some(refusal) => Err(refusal),
            None => self.check(&request, is_first, goes_on),
        };
        let mut pieces = match self.pieces.take() {
            None => Pieces::one(request),
            Some(mut pieces) => {
                pieces.rest.push(request);
                pieces
            }
        };
        if let Err(refusal) = verdict {
            self.refused = Some(refusal);
            return Slot::Refused(pieces, refusal);
        }
        if goes_on {
            self.pieces = Some(pieces);
            return Slot::Piece;
        }
        pieces.first.size = self.first_size;
        Slot::Frame(pieces)
    }

    /// Judges a piece behind those that there are; with the last one also the first, whose own size is known then.
    fn check(&mut self, request: &TxRequest, is_first: bool, goes_on: bool) -> Result<(), Refusal> {
        if TxFlags::from_bits(request.flags.bits()).is_none() {
            return Err(Refusal::Flags);
        }
        let count = self.pieces.as_ref().map_or(0, Pieces::count);
        if request.flags.contains(TxFlags::EXTRA_INFO) || count == MOST_PIECES {
            return Err(Refusal::NotOffered);
        }
        if is_first {
            if !(MIN_PACKET..=MAX_PACKET).contains(&request.size.into()) {
                return Err(Refusal::Length);
            }
            self.first_size = request.size;
        } else {
            if request.size == 0 || request.size >= self.first_size {
                return Err(Refusal::Length);
            }
            self.first_size -= request.size;
            is_inside(request.offset, request.size)?;
        }
        if goes_on {
            return Ok(());
        }
        let first = self.pieces.as_ref().map_or(request, |pieces| &pieces.first);
        is_inside(first.offset, self.first_size)
    }
}

fn is_inside(offset: u16, size: u16) -> Result<(), Refusal> {
    if usize::from(offset) + usize::from(size) > PAGE_SIZE {
        return Err(Refusal::BeyondPage);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn request(flags: u16, offset: u16, size: u16) -> TxRequest {
        TxRequest {
            gref: 1,
            offset,
            flags: TxFlags::from_bits_retain(flags),
            id: 5,
            size,
        }
    }

    fn pieces(requests: &[TxRequest]) -> Pieces {
        let (first, rest) = requests.split_first().unwrap();
        Pieces {
            first: *first,
            rest: rest.into(),
        }
    }

    fn refused(requests: &[TxRequest], refusal: Refusal) -> Slot {
        Slot::Refused(pieces(requests), refusal)
    }

    fn whole(requests: &[TxRequest]) -> Slot {
        Slot::Frame(pieces(requests))
    }

    #[test]
    fn each_refusal_has_a_case() {
        for (flags, offset, size, refusal) in [
            (0, 0, 13, Some(Refusal::Length)),
            (0, 0, 0, Some(Refusal::Length)),
            (0, 0, 14, None),
            (2, 0, 1514, None),
            (0, 0, 1515, Some(Refusal::Length)),
            (0, 0, 0xFFFF, Some(Refusal::Length)),
            (0, 4096 - 60, 60, None),
            (0, 4096 - 59, 60, Some(Refusal::BeyondPage)),
            (0, 0xFFFF, 60, Some(Refusal::BeyondPage)),
            (1, 0, 60, None),
            (3, 0, 60, None),
            (8, 0, 60, Some(Refusal::NotOffered)),
            (16, 0, 60, Some(Refusal::Flags)),
            (0x8000, 0, 60, Some(Refusal::Flags)),
        ] {
            let request = request(flags, offset, size);
            let wanted = refusal.map_or(whole(&[request]), |refusal| refused(&[request], refusal));
            assert_eq!(Judge::default().judge(request), wanted, "{request:?}");
        }
    }

    /// Judges a frame of several pieces: all but the last one are kept, and a frame behind it is one of its own.
    fn last_of(pieces: &[TxRequest]) -> Slot {
        let mut judge = Judge::default();
        let (last, others) = pieces.split_last().unwrap();
        for piece in others {
            assert_eq!(judge.judge(*piece), Slot::Piece);
        }
        let slot = judge.judge(*last);
        assert_eq!(judge.judge(request(0, 0, 60)), whole(&[request(0, 0, 60)]));
        slot
    }

    #[test]
    fn a_frame_in_pieces_is_known_at_its_last_one() {
        // A page's end; as many as may be.
        let frame = last_of(&[request(4 | 1, 4000, 1514), request(0, 0, 1514 - 96)]);
        assert_eq!(
            frame,
            whole(&[request(4 | 1, 4000, 96), request(0, 0, 1514 - 96)])
        );
        let mut pieces = [request(4, 4095, 18); MOST_PIECES];
        pieces[1..].fill(request(4, 4095, 1));
        pieces[MOST_PIECES - 1].flags = TxFlags::empty();
        let mut wanted = pieces;
        wanted[0].size = 1;
        assert_eq!(last_of(&pieces), whole(&wanted));
    }

    #[test]
    fn pieces_that_make_no_sense_are_all_refused() {
        for (pieces, refusal) in [
            // Nothing, or less than nothing, is left for the first one.
            ([request(4, 0, 60), request(0, 0, 60)], Refusal::Length),
            ([request(4, 0, 60), request(0, 0, 61)], Refusal::Length),
            ([request(4, 0, 60), request(0, 0, 0xFFFF)], Refusal::Length),
            ([request(4, 0, 60), request(0, 0, 0)], Refusal::Length),
            ([request(4, 0, 60), request(0, 4096 - 9, 10)], Refusal::BeyondPage),
            ([request(4, 0, 60), request(0, 0xFFFF, 10)], Refusal::BeyondPage),
            // The first one's part leaves its page.
            (
                [request(4, 4096 - 49, 60), request(0, 0, 10)],
                Refusal::BeyondPage,
            ),
            ([request(4, 0xFFFF, 60), request(0, 0, 10)], Refusal::BeyondPage),
            ([request(4, 0, 60), request(16, 0, 10)], Refusal::Flags),
            ([request(4, 0, 60), request(8, 0, 10)], Refusal::NotOffered),
        ] {
            assert_eq!(last_of(&pieces), refused(&pieces, refusal));
        }
    }

    #[test]
    fn a_chain_is_refused_to_its_end_and_no_further() {
        let mut judge = Judge::default();
        for (flags, size) in [(4, 13), (4, 60), (0, 60)] {
            let piece = request(flags, 0, size);
            assert_eq!(judge.judge(piece), refused(&[piece], Refusal::Length));
        }
        assert_eq!(judge.judge(request(0, 0, 60)), whole(&[request(0, 0, 60)]));
        // One that is too long is refused with those that were kept.
        let pieces = [request(4, 0, 1000), request(4, 0, 1)];
        let mut kept = vec![pieces[0]];
        assert_eq!(judge.judge(pieces[0]), Slot::Piece);
        for _ in 1..MOST_PIECES {
            kept.push(pieces[1]);
            assert_eq!(judge.judge(pieces[1]), Slot::Piece);
        }
        kept.push(pieces[1]);
        assert_eq!(judge.judge(pieces[1]), refused(&kept, Refusal::NotOffered));
        assert_eq!(judge.judge(pieces[1]), refused(&[pieces[1]], Refusal::NotOffered));
        let last = request(0, 0, 1);
        assert_eq!(judge.judge(last), refused(&[last], Refusal::NotOffered));
        assert_eq!(judge.judge(request(0, 0, 60)), whole(&[request(0, 0, 60)]));
    }

    #[test]
    fn extra_information_is_no_request() {
        let extra = |flags| {
            let mut bytes = [0; 12];
            (bytes[0], bytes[1]) = (1, flags);
            TxRequest::read_from_bytes(&bytes).unwrap()
        };
        let mut judge = Judge::default();
        let error = |request| refused(&[request], Refusal::NotOffered);
        // First piece, two extras, last piece; then a frame.
        let first = request(8 | 4, 0, 60);
        assert_eq!(judge.judge(first), error(first));
        assert_eq!(judge.judge(extra(1)), Slot::Extra);
        assert_eq!(judge.judge(extra(0)), Slot::Extra);
        assert_eq!(judge.judge(request(0, 0, 60)), error(request(0, 0, 60)));
        assert_eq!(judge.judge(request(8, 0, 60)), error(request(8, 0, 60)));
        assert_eq!(judge.judge(extra(0)), Slot::Extra);
        assert_eq!(judge.judge(request(0, 0, 60)), whole(&[request(0, 0, 60)]));
    }
}
