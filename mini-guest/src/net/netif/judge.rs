//! What a request to send asks for, or why it is refused.
//!
//! The backend offers no frames of several pieces and no segmentation. Whoever uses them all the same gets an
//! error for each slot, and it is known which slots those are ([`Follows`]), so the requests behind them are done.

use guest_abi::addr::PAGE_SIZE;
use guest_abi::io::netif::{EXTRA_MORE, ExtraInfo, MAX_PACKET, MIN_PACKET, TxFlags, TxRequest};
use zerocopy::{FromBytes, IntoBytes};

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A flag that means nothing.
    Flags,
    /// Something that was not offered: several pieces, extra information.
    NotOffered,
    /// Too short or too long for a frame.
    Length,
    /// It leaves its page.
    BeyondPage,
}

/// What the next slot is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Follows {
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// A frame in one piece.
    Frame(TxRequest),
    /// A request that gets an error.
    Refused(u16, Refusal),
    /// Extra information, which is no request at all.
    Extra,
}

impl Follows {
    /// Judges a slot's copy, and knows what the next one is then.
    pub fn judge(&mut self, request: TxRequest) -> Slot {
        if let Self::Extra { then_piece } = *self {
            // The same bytes, read as what they are.
            let more = ExtraInfo::read_from_prefix(request.as_bytes())
                .is_ok_and(|(extra, _)| extra.flags & EXTRA_MORE != 0);
            *self = match (more, then_piece) {
                (true, _) => *self,
                (false, true) => Self::Piece,
                (false, false) => Self::Request,
            };
            return Slot::Extra;
        }
        let is_first = *self == Self::Request;
        let goes_on = request.flags.contains(TxFlags::MORE_DATA);
        // Only a frame's first piece can have it.
        let has_extra = is_first && request.flags.contains(TxFlags::EXTRA_INFO);
        *self = match (has_extra, goes_on) {
            (true, then_piece) => Self::Extra { then_piece },
            (false, true) => Self::Piece,
            (false, false) => Self::Request,
        };
        match check(&request) {
            Ok(()) if is_first => Slot::Frame(request),
            Ok(()) => Slot::Refused(request.id, Refusal::NotOffered),
            Err(refusal) => Slot::Refused(request.id, refusal),
        }
    }
}

fn check(request: &TxRequest) -> Result<(), Refusal> {
    let not_offered = TxFlags::MORE_DATA | TxFlags::EXTRA_INFO;
    if TxFlags::from_bits(request.flags.bits()).is_none() {
        Err(Refusal::Flags)
    } else if request.flags.intersects(not_offered) {
        Err(Refusal::NotOffered)
    } else if !(MIN_PACKET..=MAX_PACKET).contains(&request.size.into()) {
        Err(Refusal::Length)
    } else if usize::from(request.offset) + usize::from(request.size) > PAGE_SIZE {
        Err(Refusal::BeyondPage)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(flags: u16, offset: u16, size: u16) -> TxRequest {
        TxRequest {
            gref: 1,
            offset,
            flags: TxFlags::from_bits_retain(flags),
            id: 5,
            size,
        }
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
            (4, 0, 60, Some(Refusal::NotOffered)),
            (8, 0, 60, Some(Refusal::NotOffered)),
            (16, 0, 60, Some(Refusal::Flags)),
            (0x8000, 0, 60, Some(Refusal::Flags)),
        ] {
            let request = request(flags, offset, size);
            let wanted = refusal.map_or(Slot::Frame(request), |refusal| Slot::Refused(5, refusal));
            assert_eq!(Follows::default().judge(request), wanted, "{request:?}");
        }
    }

    #[test]
    fn a_chain_is_refused_to_its_end_and_no_further() {
        let mut follows = Follows::default();
        let refused = Slot::Refused(5, Refusal::NotOffered);
        for (flags, wanted) in [(4, refused), (4, refused), (0, refused)] {
            assert_eq!(follows.judge(request(flags, 0, 60)), wanted);
        }
        assert_eq!(follows.judge(request(0, 0, 60)), Slot::Frame(request(0, 0, 60)));
    }

    #[test]
    fn extra_information_is_no_request() {
        let extra = |flags| {
            let mut bytes = [0; 12];
            (bytes[0], bytes[1]) = (1, flags);
            TxRequest::read_from_bytes(&bytes).unwrap()
        };
        let mut follows = Follows::default();
        let refused = Slot::Refused(5, Refusal::NotOffered);
        // First piece, two extras, last piece; then a frame.
        assert_eq!(follows.judge(request(8 | 4, 0, 60)), refused);
        assert_eq!(follows.judge(extra(1)), Slot::Extra);
        assert_eq!(follows.judge(extra(0)), Slot::Extra);
        assert_eq!(follows.judge(request(0, 0, 60)), refused);
        assert_eq!(follows.judge(request(8, 0, 60)), refused);
        assert_eq!(follows.judge(extra(0)), Slot::Extra);
        assert_eq!(follows.judge(request(0, 0, 60)), Slot::Frame(request(0, 0, 60)));
    }
}
