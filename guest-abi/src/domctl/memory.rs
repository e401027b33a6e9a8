//! A domain's memory: lists, limits, page types.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::addr::{GuestVirt, Mfn};
use crate::domain::DomId;

/// `getmemlist`: the domain's machine frames in ascending order, from number `first` on; a new domain's are numbered in
/// this order in the machine-to-phys table.
/// −ESRCH, −EFAULT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct GetMemList {
    /// Which domain.
    pub domain: DomId,
    /// Must be 0.
    pub pad: u16,
    /// How many frames to pass over, so that a long list can be read in parts.
    pub first: u32,
    /// How many fit into the buffer.
    pub max_pfns: u32,
    /// Where the `u32` frame numbers go.
    pub buffer: GuestVirt,
    /// *Out*: how many were written.
    pub num_pfns: u32,
}

layout!(GetMemList, size 20, domain @ 0, first @ 4, max_pfns @ 8, buffer @ 12, num_pfns @ 16);

/// `setdomaininitialmem`: before the build, gives the domain this much memory and that limit. −ESRCH, −EINVAL
/// (built already), −ENOMEM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SetDomainInitialMem {
    /// Which domain.
    pub domain: DomId,
    /// Must be 0.
    pub pad0: u16,
    /// Must be 0.
    pub pad1: u32,
    /// Memory in KiB.
    pub initial_memkb: u64,
}

layout!(SetDomainInitialMem, size 16, domain @ 0, initial_memkb @ 8);

/// `setdomainmaxmem`: how much memory the domain may have; what it has beyond stays. −ESRCH.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SetDomainMaxMem {
    /// Which domain.
    pub domain: DomId,
    /// Must be 0.
    pub pad0: u16,
    /// Must be 0.
    pub pad1: u32,
    /// Limit in KiB.
    pub max_memkb: u64,
}

layout!(SetDomainMaxMem, size 16, domain @ 0, max_memkb @ 8);

/// `getpageframeinfo`: the page type that a frame is in use as. −EINVAL (no such frame or domain, or not
/// its).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct GetPageFrameInfo {
    /// The frame.
    pub frame: Mfn,
    /// Its owner.
    pub domain: DomId,
    /// Must be 0.
    pub pad: u16,
    /// *Out*: bits 31:28 as in [`frame_info`], the pin excepted; 0 if it is used as no table.
    pub info: u32,
}

layout!(GetPageFrameInfo, size 12, frame @ 0, domain @ 4, info @ 8);

/// `getpageframeinfo2`: adds to each of `num` frame numbers its type and pin. −ESRCH, −E2BIG (more than
/// [`MAX_FRAME_INFOS`]), −EFAULT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct GetPageFrameInfo2 {
    /// The frames' owner.
    pub domain: DomId,
    /// Must be 0.
    pub pad: u16,
    /// How many.
    pub num: u32,
    /// *In/out*: `u32` words, a frame number of 28 bits in, [`frame_info`] bits added.
    pub array: GuestVirt,
}

layout!(GetPageFrameInfo2, size 12, domain @ 0, num @ 4, array @ 8);

/// Most words that one `getpageframeinfo2` takes.
pub const MAX_FRAME_INFOS: u32 = 1024;

/// Bits 31:28 of a frame's word (`LTAB`, `LPINTAB`).
pub mod frame_info {
    /// The frame number's bits.
    pub const FRAME_MASK: u32 = 0x0FFF_FFFF;
    /// In use as an L1.
    pub const L1: u32 = 1 << 28;
    /// In use as an L2.
    pub const L2: u32 = 2 << 28;
    /// In use as an L3.
    pub const L3: u32 = 3 << 28;
    /// In use as an L4.
    pub const L4: u32 = 4 << 28;
    /// Pinned as what it is.
    pub const PINNED: u32 = 1 << 31;
    /// No such frame, or not the domain's.
    pub const INVALID: u32 = 0xF << 28;
}
