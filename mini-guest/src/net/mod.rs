//! The generic network layer: what an interface is, whoever drives it, and who uses it.
//!
//! An [`Interface`] takes and gives whole Ethernet frames, from the destination's address to the end of the payload, without
//! the frame check sequence. It never waits: what has no room is refused, and the event that made room (an interrupt of the card, a
//! notification of the other domain) has its user try again.

use alloc::boxed::Box;

pub mod bridge;
pub mod checksum;
pub mod load;
pub mod mac;
pub mod netif;
pub mod registry;
pub mod stack;
#[cfg(test)]
pub mod testing;

pub use mac::Mac;

/// Bytes of an Ethernet header: two addresses and the type.
pub const HEADER: usize = 14;
/// Most bytes of payload.
pub const MTU: usize = 1500;
/// Most bytes of a frame.
pub const FRAME: usize = HEADER + MTU;

/// Why a frame was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// No room; try again after an event of this interface.
    Full,
    /// Shorter than [`HEADER`] or longer than [`FRAME`].
    Length,
    /// The device is gone, or was never connected.
    Gone,
}

/// Where frames go out and come in.
pub trait Interface {
    /// The address its user sends from.
    fn mac(&self) -> Mac;

    /// Sends one frame. It has been copied, or handed to the device, when this comes back; but whoever carries it may not hear of it before [`Interface::flush`].
    ///
    /// # Errors
    /// See [`NotSent`]; nothing was sent.
    fn transmit(&mut self, frame: &[u8]) -> Result<(), NotSent>;

    /// Called behind the last one of some frames: they are on their way now.
    fn flush(&mut self) {}

    /// Takes the oldest frame that came in: its length, which is at most [`FRAME`]; the bytes are at the front of `buffer`. `None` when there
    /// is none. Frames that are longer than [`FRAME`] are dropped and counted by the device, not given in part.
    fn receive(&mut self, buffer: &mut [u8; FRAME]) -> Option<usize>;
}

impl<I: Interface + ?Sized> Interface for Box<I> {
    fn mac(&self) -> Mac {
        (**self).mac()
    }

    fn transmit(&mut self, frame: &[u8]) -> Result<(), NotSent> {
        (**self).transmit(frame)
    }

    fn flush(&mut self) {
        (**self).flush();
    }

    fn receive(&mut self, buffer: &mut [u8; FRAME]) -> Option<usize> {
        (**self).receive(buffer)
    }
}
