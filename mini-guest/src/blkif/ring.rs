//! The ring's page, and its slots in both layouts.

use guest_abi::addr::PAGE_SIZE;
use guest_abi::io::blkif::{
    PROTOCOL_X86_32, PROTOCOL_X86_64, Request32, Request64, Response32, Response64, SLOTS,
};
use guest_abi::io::ring::{RingIndices, SLOTS_OFFSET};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// A page that the other side may change at any time. Slots are copied out of it and into it, never looked at in place.
pub trait RingPage {
    /// The indices at its start.
    fn indices(&self) -> &RingIndices;

    /// Copies bytes out.
    fn read(&self, offset: usize, into: &mut [u8]);

    /// Copies bytes in.
    fn write(&self, offset: usize, bytes: &[u8]);
}

/// How the frontend lays out its slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As a 32-bit domain does.
    X86_32,
    /// As a 64-bit domain does.
    X86_64,
}

impl Layout {
    /// The layout of that name in the store.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            PROTOCOL_X86_32 => Some(Self::X86_32),
            PROTOCOL_X86_64 => Some(Self::X86_64),
            _ => None,
        }
    }

    const fn slot(self, index: u32) -> usize {
        let bytes = match self {
            Self::X86_32 => size_of::<Request32>(),
            Self::X86_64 => size_of::<Request64>(),
        };
        // The index is below the number of slots by the ring's logic; a place is inside the page whatever it is.
        let at = SLOTS_OFFSET + (index % SLOTS) as usize * bytes;
        assert!(at + bytes <= PAGE_SIZE);
        at
    }

    /// Copies a request out of its slot, once.
    #[must_use]
    pub fn request(self, page: &dyn RingPage, index: u32) -> Request64 {
        match self {
            Self::X86_32 => {
                let mut request = Request32::new_zeroed();
                page.read(self.slot(index), request.as_mut_bytes());
                request.into()
            }
            Self::X86_64 => {
                let mut request = Request64::new_zeroed();
                page.read(self.slot(index), request.as_mut_bytes());
                request
            }
        }
    }

    /// Puts a request into its slot.
    pub fn put_request(self, page: &dyn RingPage, index: u32, request: Request64) {
        match self {
            Self::X86_32 => page.write(self.slot(index), Request32::from(request).as_bytes()),
            Self::X86_64 => page.write(self.slot(index), request.as_bytes()),
        }
    }

    /// Puts an answer into its slot.
    pub fn put_response(self, page: &dyn RingPage, index: u32, response: Response64) {
        match self {
            Self::X86_32 => page.write(self.slot(index), Response32::from(response).as_bytes()),
            Self::X86_64 => page.write(self.slot(index), response.as_bytes()),
        }
    }

    /// Copies an answer out of its slot, once.
    #[must_use]
    pub fn response(self, page: &dyn RingPage, index: u32) -> Response64 {
        let mut bytes = [0; size_of::<Response64>()];
        match self {
            Self::X86_32 => {
                let bytes = &mut bytes[..size_of::<Response32>()];
                page.read(self.slot(index), bytes);
                let response = Response32::read_from_bytes(bytes).unwrap_or_default();
                Response64 {
                    id: response.id.get(),
                    operation: response.operation,
                    pad0: 0,
                    status: response.status,
                    pad1: 0,
                }
            }
            Self::X86_64 => {
                page.read(self.slot(index), &mut bytes);
                Response64::read_from_bytes(&bytes).unwrap_or_default()
            }
        }
    }
}
