//! What a backend needs of the frontend's domain and of the bridge.

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
    /// The frame as it goes to others: with its checksum.
    pub(super) fn completed<G: Guest<Frame = F>>(self) -> Result<F, NotFetched> {
        let mut frame = self.frame?;
        if self.is_blank {
            let bytes = G::bytes(&mut frame).ok_or(NotFetched::Memory)?;
            checksum::fill(bytes).map_err(|_| NotFetched::Checksum)?;
        }
        Ok(frame)
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

    /// Copies frames out of granted pages.
    fn fetch(&mut self, frames: &mut [Fetch<Self::Frame>]);

    /// Copies frames into granted pages.
    fn deliver(&mut self, frames: &mut [Deliver<Self::Frame>]);

    /// Tells the frontend that there are answers.
    fn notify(&mut self);
}

/// The bridge's port.
pub trait Switch<F> {
    /// Takes a frame from the frontend.
    fn pass(&mut self, frame: F);

    /// Whether there is a frame for the frontend.
    fn has_frames(&self) -> bool;

    /// The next one.
    fn take(&mut self) -> Option<F>;
}
