//! The block interface: what goes through a [request ring](super::ring) between a block frontend and backend.
//!
//! A request reads or writes up to [`MAX_SEGMENTS`] pieces of granted frames, consecutive on the disk; its
//! slot then takes the response. The `id` comes back unchanged. Two layouts are in use, by the alignment
//! that the frontend's compiler gives a `u64`; the frontend says which in its store key `protocol`
//! ([`PROTOCOL_X86_32`], [`PROTOCOL_X86_64`]). xenlite's own frontends are 32-bit and use the first. A
//! backend copies a slot, converts it to [`Request64`], and judges that.
//!
//! Source: Xen 4.x, `public/io/blkif.h`.

use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::ring;

/// Most segments of a request.
pub const MAX_SEGMENTS: usize = 11;
/// Granted pages of segments that an indirect request can name.
pub const MAX_INDIRECT_PAGES: usize = 8;
/// Segments in such a page.
pub const SEGMENTS_PER_PAGE: usize = crate::addr::PAGE_SIZE / size_of::<Segment>();
/// Bytes of a sector in every number of this interface, whatever the disk has.
pub const SECTOR_BYTES: u32 = 512;
/// Last sector of a page.
pub const LAST_SECTOR_OF_PAGE: u8 = 7;
/// Slots of a one-page ring, in both layouts.
pub const SLOTS: u32 = ring::slots(size_of::<Request64>());
const _: () = assert!(SLOTS == 32 && SLOTS == ring::slots(size_of::<Request32>()));

/// Store value of `protocol` for the layout of 32-bit frontends.
pub const PROTOCOL_X86_32: &str = "x86_32-abi";
/// Store value of `protocol` for the layout of 64-bit frontends.
pub const PROTOCOL_X86_64: &str = "x86_64-abi";

open_number! {
    /// What a request asks for (`BLKIF_OP_*`). Others are answered with [`BlkStatus::EOPNOTSUPP`].
    BlkOp: u8 {
        /// Read from the disk.
        READ = 0, "read";
        /// Write to the disk.
        WRITE = 1, "write";
        /// Write after all earlier and before all later requests; if the backend offers `feature-barrier`.
        WRITE_BARRIER = 2, "write_barrier";
        /// Everything answered so far reaches the medium; if the backend offers `feature-flush-cache`.
        FLUSH_DISKCACHE = 3, "flush_diskcache";
        /// The sectors' content does not matter any more; if the backend offers `feature-discard`.
        DISCARD = 5, "discard";
        /// A request whose segments lie in granted frames; if the backend offers
        /// `feature-max-indirect-segments`.
        INDIRECT = 6, "indirect";
    }
}

open_number! {
    /// How it went (`BLKIF_RSP_*`).
    BlkStatus: i16 {
        /// Done.
        OKAY = 0, "okay";
        /// Failed.
        ERROR = -1, "error";
        /// Not offered.
        EOPNOTSUPP = -2, "eopnotsupp";
    }
}

/// One piece of a granted frame (`blkif_request_segment`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Segment {
    /// The frame's grant reference.
    pub gref: u32,
    /// First sector in the frame, 0 to 7.
    pub first_sect: u8,
    /// Last sector in the frame, itself included; not before the first.
    pub last_sect: u8,
    /// Not looked at.
    pub pad: u16,
}

layout!(Segment, size 8, gref @ 0, first_sect @ 4, last_sect @ 5);

impl Segment {
    /// How many sectors the piece has, or `None` if it leaves the frame or ends before it begins.
    #[must_use]
    pub fn sectors(&self) -> Option<u32> {
        if self.last_sect > LAST_SECTOR_OF_PAGE {
            return None;
        }
        self.last_sect
            .checked_sub(self.first_sect)
            .map(|n| u32::from(n) + 1)
    }
}

/// A request as a 32-bit frontend lays it out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Request32 {
    /// What to do.
    pub operation: BlkOp,
    /// How many segments count.
    pub nr_segments: u8,
    /// Number of the virtual device.
    pub handle: u16,
    /// The frontend's own number.
    pub id: U64,
    /// First sector on the disk.
    pub sector_number: U64,
    /// The pieces.
    pub seg: [Segment; MAX_SEGMENTS],
}

layout!(
    Request32, size 108,
    operation @ 0, nr_segments @ 1, handle @ 2, id @ 4, sector_number @ 12, seg @ 20,
);

/// A request as a 64-bit frontend lays it out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Request64 {
    /// What to do.
    pub operation: BlkOp,
    /// How many segments count.
    pub nr_segments: u8,
    /// Number of the virtual device.
    pub handle: u16,
    /// Not looked at.
    pub pad: u32,
    /// The frontend's own number.
    pub id: u64,
    /// First sector on the disk.
    pub sector_number: u64,
    /// The pieces.
    pub seg: [Segment; MAX_SEGMENTS],
}

layout!(
    Request64, size 112,
    operation @ 0, nr_segments @ 1, handle @ 2, id @ 8, sector_number @ 16, seg @ 24,
);

/// A request whose segments lie in granted pages, as a 32-bit frontend lays it out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Indirect32 {
    /// [`BlkOp::INDIRECT`].
    pub operation: BlkOp,
    /// What to do: read or write.
    pub indirect_op: BlkOp,
    /// How many segments, in all pages.
    pub nr_segments: u16,
    /// The frontend's own number.
    pub id: U64,
    /// First sector on the disk.
    pub sector_number: U64,
    /// Number of the virtual device.
    pub handle: u16,
    /// Not looked at.
    pub pad: u16,
    /// The grants of the pages, as many as the segments need.
    pub indirect_grefs: [u32; MAX_INDIRECT_PAGES],
    /// Not looked at.
    pub pad1: [u32; 2],
}

layout!(
    Indirect32, size 64,
    operation @ 0, indirect_op @ 1, nr_segments @ 2, id @ 4, sector_number @ 12, handle @ 20, indirect_grefs @ 24,
);

/// A request whose segments lie in granted pages, as a 64-bit frontend lays it out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Indirect64 {
    /// [`BlkOp::INDIRECT`].
    pub operation: BlkOp,
    /// What to do: read or write.
    pub indirect_op: BlkOp,
    /// How many segments, in all pages.
    pub nr_segments: u16,
    /// Not looked at.
    pub pad: u32,
    /// The frontend's own number.
    pub id: U64,
    /// First sector on the disk.
    pub sector_number: U64,
    /// Number of the virtual device.
    pub handle: u16,
    /// Not looked at.
    pub pad1: u16,
    /// The grants of the pages, as many as the segments need.
    pub indirect_grefs: [u32; MAX_INDIRECT_PAGES],
    /// Not looked at.
    pub pad2: u32,
}

layout!(
    Indirect64, size 64,
    operation @ 0, indirect_op @ 1, nr_segments @ 2, id @ 8, sector_number @ 16, handle @ 24, indirect_grefs @ 28,
);

impl From<Request32> for Request64 {
    fn from(request: Request32) -> Self {
        let Request32 {
            operation,
            nr_segments,
            handle,
            id,
            sector_number,
            seg,
        } = request;
        Self {
            operation,
            nr_segments,
            handle,
            pad: 0,
            id: id.get(),
            sector_number: sector_number.get(),
            seg,
        }
    }
}

impl From<Request64> for Request32 {
    fn from(request: Request64) -> Self {
        let Request64 {
            operation,
            nr_segments,
            handle,
            pad: _,
            id,
            sector_number,
            seg,
        } = request;
        Self {
            operation,
            nr_segments,
            handle,
            id: U64::new(id),
            sector_number: U64::new(sector_number),
            seg,
        }
    }
}

/// A response as a 32-bit frontend expects it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Response32 {
    /// The request's number.
    pub id: U64,
    /// The request's operation.
    pub operation: BlkOp,
    /// Zero.
    pub pad: u8,
    /// How it went.
    pub status: BlkStatus,
}

layout!(Response32, size 12, id @ 0, operation @ 8, status @ 10);

/// A response as a 64-bit frontend expects it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Response64 {
    /// The request's number.
    pub id: u64,
    /// The request's operation.
    pub operation: BlkOp,
    /// Zero.
    pub pad0: u8,
    /// How it went.
    pub status: BlkStatus,
    /// Zero.
    pub pad1: u32,
}

layout!(Response64, size 16, id @ 0, operation @ 8, status @ 10);

impl From<Response64> for Response32 {
    fn from(response: Response64) -> Self {
        let Response64 {
            id,
            operation,
            status,
            ..
        } = response;
        Self {
            id: U64::new(id),
            operation,
            pad: 0,
            status,
        }
    }
}

/// Bits of the backend's store key `info`.
pub mod info {
    /// A CD.
    pub const CDROM: u32 = 1 << 0;
    /// Removable.
    pub const REMOVABLE: u32 = 1 << 1;
    /// Read-only.
    pub const READ_ONLY: u32 = 1 << 2;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_layouts_say_the_same() {
        let mut request = Request64 {
            operation: BlkOp::WRITE,
            nr_segments: 1,
            handle: 0xCA00,
            id: 1 << 40,
            ..Default::default()
        };
        request.sector_number = 0x1_2345_6789;
        request.seg[0] = Segment {
            gref: 9,
            first_sect: 2,
            last_sect: 7,
            pad: 0,
        };
        assert_eq!(Request64::from(Request32::from(request)), request);

        let response = Response64 {
            id: 1 << 40,
            operation: BlkOp::READ,
            status: BlkStatus::ERROR,
            ..Default::default()
        };
        let short = Response32::from(response);
        assert_eq!(
            (short.id.get(), short.operation, short.status),
            (1 << 40, BlkOp::READ, BlkStatus::ERROR)
        );
    }

    #[test]
    fn segments_that_leave_the_frame_have_no_size() {
        let sectors = |first_sect, last_sect| {
            Segment {
                gref: 0,
                first_sect,
                last_sect,
                pad: 0,
            }
            .sectors()
        };
        assert_eq!(sectors(0, 7), Some(8));
        assert_eq!(sectors(3, 3), Some(1));
        assert_eq!(sectors(4, 3), None);
        assert_eq!(sectors(0, 8), None);
        assert_eq!(sectors(255, 255), None);
    }
}
