//! The ring's page, and its slots in both layouts.

use alloc::vec::Vec;
use core::mem::offset_of;

use guest_abi::addr::PAGE_SIZE;
use guest_abi::io::blkif::{
    BlkOp, Indirect32, Indirect64, MAX_SEGMENTS, PROTOCOL_X86_32, PROTOCOL_X86_64, Request32, Request64,
    Response32, Response64, SLOTS, Segment,
};
use guest_abi::io::ring::{RingIndices, SLOTS_OFFSET};
use zerocopy::{FromBytes, IntoBytes};

/// A page that the other side may change at any time. Slots are copied out of it and into it, never looked at in place.
pub trait RingPage {
    /// The indices at its start.
    fn indices(&self) -> &RingIndices;

    /// Copies bytes out.
    fn read(&self, offset: usize, into: &mut [u8]);

    /// Copies bytes in.
    fn write(&self, offset: usize, bytes: &[u8]);
}

/// What a slot asks for, but for its segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What to do.
    pub operation: BlkOp,
    /// How many segments.
    pub count: u16,
    /// The frontend's own number.
    pub id: u64,
    /// First sector on the disk.
    pub sector: u64,
    /// The segments lie in a granted page,
    pub is_indirect: bool,
    /// which is this one.
    pub page: u32,
}

// Both layouts have what is looked at at the same distance from the number.
const _: () = assert!(
    offset_of!(Indirect32, id) == offset_of!(Request32, id)
        && offset_of!(Indirect64, id) == offset_of!(Request64, id)
        && offset_of!(Indirect32, indirect_grefs) == offset_of!(Request32, id) + 20
        && offset_of!(Indirect64, indirect_grefs) == offset_of!(Request64, id) + 20
        && offset_of!(Request32, seg) == offset_of!(Request32, id) + 16
        && offset_of!(Request64, seg) == offset_of!(Request64, id) + 16
);

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

    /// Where the frontend's number is in a slot; the sector follows, then the segments or what says where they are.
    const fn id(self) -> usize {
        match self {
            Self::X86_32 => offset_of!(Request32, id),
            Self::X86_64 => offset_of!(Request64, id),
        }
    }

    /// Copies a request out of its slot: each byte once, and only those that mean something. `segments` are those of a request that has them in its slot, as many as fit there.
    #[must_use]
    pub fn request(self, page: &dyn RingPage, index: u32, segments: &mut Vec<Segment>) -> Asked {
        let at = self.slot(index);
        let mut head = [0; 4];
        page.read(at, &mut head);
        let mut numbers = [0; 2];
        page.read(at + self.id(), numbers.as_mut_bytes());
        let [operation, second, low, high] = head;
        let mut asked = Asked {
            operation: BlkOp::new(operation),
            count: second.into(),
            id: numbers[0],
            sector: numbers[1],
            is_indirect: false,
            page: 0,
        };
        let rest = at + self.id() + size_of_val(&numbers);
        segments.clear();
        if asked.operation == BlkOp::INDIRECT {
            asked.operation = BlkOp::new(second);
            asked.count = u16::from_le_bytes([low, high]);
            // The device's number, and the first of the pages: nobody is offered more.
            let mut words = [0; 2];
            page.read(rest, words.as_mut_bytes());
            asked.page = words[1];
            return Asked {
                is_indirect: true,
                ..asked
            };
        }
        segments.resize(MAX_SEGMENTS.min(asked.count.into()), Segment::default());
        page.read(rest, segments.as_mut_bytes());
        asked
    }

    /// Puts a request into its slot. Its segments are in the slot, or where `asked` says.
    pub fn put(self, page: &dyn RingPage, index: u32, asked: &Asked, segments: &[Segment]) {
        let at = self.slot(index);
        let [low, high] = asked.count.to_le_bytes();
        let head = if asked.is_indirect {
            [BlkOp::INDIRECT.raw(), asked.operation.raw(), low, high]
        } else {
            [asked.operation.raw(), low, 0, 0]
        };
        page.write(at, &head);
        let numbers = [asked.id, asked.sector];
        page.write(at + self.id(), numbers.as_bytes());
        let rest = at + self.id() + size_of_val(&numbers);
        if asked.is_indirect {
            page.write(rest, [0, asked.page].as_bytes());
        } else {
            page.write(rest, segments.as_bytes());
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
