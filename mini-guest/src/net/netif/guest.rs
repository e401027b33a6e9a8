//! What a backend needs of the frontend's domain and of the bridge.

use guest_abi::io::netif::{NetStatus, TxFlags};

use super::judge::Pieces;
use crate::net::checksum;

/// A frame to be copied out of granted pages.
#[derive(Debug)]
pub struct Fetch<F> {
    /// Where its bytes are: inside a page each.
    pub pieces: Pieces,
    /// How many altogether.
    pub len: u16,
    /// Its sender has left a checksum to us.
    pub is_blank: bool,
    /// What came of it.
    pub frame: Result<F, NotFetched>,
}

impl<F> Fetch<F> {
    /// A frame that nobody has tried to copy yet.
    pub(super) fn new(pieces: Pieces) -> Self {
        Self {
            len: pieces.iter().map(|piece| piece.size).sum(),
            is_blank: pieces.first.flags.contains(TxFlags::CSUM_BLANK),
            pieces,
            frame: Err(NotFetched::Untried),
        }
    }

    /// Requests that are no frame.
    pub(super) fn refused(pieces: Pieces, why: NotFetched) -> Self {
        Self {
            pieces,
            len: 0,
            is_blank: false,
            frame: Err(why),
        }
    }

    /// Whether it is to be copied.
    pub fn is_wanted(&self) -> bool {
        matches!(self.frame, Err(NotFetched::Untried))
    }

    /// Makes it the frame as it goes to others: with its checksum.
    pub(super) fn complete<G: Guest<Frame = F>>(&mut self) {
        if let (true, Ok(frame)) = (self.is_blank, &mut self.frame) {
            let filled = G::bytes(frame).map(checksum::fill);
            match filled {
                Some(Ok(())) => {}
                Some(Err(_)) => self.frame = Err(NotFetched::Checksum),
                None => self.frame = Err(NotFetched::Memory),
            }
        }
    }

    /// What the frontend is told of it.
    pub(super) fn status(&self) -> NetStatus {
        match self.frame {
            Ok(_) => NetStatus::OKAY,
            // Nothing was wrong with it.
            Err(NotFetched::Memory) => NetStatus::DROPPED,
            Err(NotFetched::Extra) => NetStatus::NULL,
            Err(_) => NetStatus::ERROR,
        }
    }
}

/// Why there is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFetched {
    /// Nobody tried.
    Untried,
    /// A page is not granted.
    Grant,
    /// There is no memory for it.
    Memory,
    /// Its sender has left a checksum to us, and there is none to compute.
    Checksum,
    /// It makes no sense.
    Refused,
    /// It is no frame, but information about one.
    Extra,
}

/// A frame to be copied into a granted page, at its beginning.
#[derive(Debug)]
pub struct Deliver<F> {
    /// The page's grant.
    pub gref: u32,
    /// The frame.
    pub frame: F,
    /// Whether it is there.
    pub is_done: bool,
}

/// What the backend needs of the domains.
pub trait Guest {
    /// A frame in memory of its own domain.
    type Frame: AsRef<[u8]>;

    /// The bytes of a frame that was just fetched, which nobody else has yet.
    fn bytes(frame: &mut Self::Frame) -> Option<&mut [u8]>;

    /// Copies those frames out of granted pages that [are wanted](Fetch::is_wanted).
    fn fetch(&mut self, frames: &mut [Fetch<Self::Frame>]);

    /// Copies frames into granted pages.
    fn deliver(&mut self, frames: &mut [Deliver<Self::Frame>]);

    /// Tells the frontend that there are answers.
    fn notify(&mut self);
}

/// The bridge's port.
pub trait Switch<F> {
    /// Takes a frame from the frontend, at this time.
    fn pass(&mut self, frame: F, now: u64);

    /// Whether there is a frame for the frontend.
    fn has_frames(&self) -> bool;

    /// The next one.
    fn take(&mut self) -> Option<F>;
}
