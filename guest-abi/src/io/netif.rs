//! The network interface: two [request rings](super::ring), one for packets to send, one for packets to
//! receive.
//!
//! To send, the frontend posts a [`TxRequest`] for a piece of a granted frame and gets a [`TxResponse`]
//! when the frame is its own again. To receive, it posts an [`RxRequest`] with a granted frame and gets an
//! [`RxResponse`] when a packet is in it. A packet that needs several frames has [`TxFlags::MORE_DATA`] (or
//! [`RxFlags::MORE_DATA`]) in all but its last piece; the `size` of the first sent piece is then that of
//! the whole packet.
//!
//! Source: Xen 4.x, `public/io/netif.h`.

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::ring;

/// Slots of the ring for packets to send.
pub const TX_SLOTS: u32 = ring::slots(size_of::<TxRequest>());
/// Slots of the ring for packets to receive.
pub const RX_SLOTS: u32 = ring::slots(size_of::<RxRequest>());
const _: () = assert!(TX_SLOTS == 256 && RX_SLOTS == 256);

/// Shortest packet: an Ethernet header.
pub const MIN_PACKET: usize = 14;
/// Longest packet without segmentation offload: an Ethernet header and 1500 bytes.
pub const MAX_PACKET: usize = 1514;

/// A packet, or a piece of one, to send (`netif_tx_request_t`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TxRequest {
    /// The frame's grant reference.
    pub gref: u32,
    /// First byte in the frame.
    pub offset: u16,
    /// What is special about it.
    pub flags: TxFlags,
    /// The frontend's own number.
    pub id: u16,
    /// Bytes: of the whole packet in its first piece, of the piece in the others.
    pub size: u16,
}

layout!(TxRequest, size 12, gref @ 0, offset @ 4, flags @ 6, id @ 8, size @ 10);

/// Flags of a [`TxRequest`] (`NETTXF_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct TxFlags(u16);

bitflags! {
    impl TxFlags: u16 {
        /// The checksum is still to be computed.
        const CSUM_BLANK = 1 << 0;
        /// The data need no check.
        const DATA_VALIDATED = 1 << 1;
        /// The packet goes on in the next request.
        const MORE_DATA = 1 << 2;
        /// The next slot holds extra information.
        const EXTRA_INFO = 1 << 3;
    }
}

/// What stands in the slot behind a request or response with extra information (`netif_extra_info_t`). Its answer is
/// [`NetStatus::NULL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ExtraInfo {
    /// What it tells: 1 segmentation, 2 and 3 multicast, 4 a hash, 5 an offset in a frame.
    pub kind: u8,
    /// [`EXTRA_MORE`].
    pub flags: u8,
    /// As the kind says.
    pub data: [u8; 6],
}

layout!(ExtraInfo, size 8, kind @ 0, flags @ 1, data @ 2);

/// Flag of an [`ExtraInfo`]: another one follows in the next slot (`XEN_NETIF_EXTRA_FLAG_MORE`).
pub const EXTRA_MORE: u8 = 1;

/// A frame is the frontend's again (`netif_tx_response_t`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TxResponse {
    /// The request's number.
    pub id: u16,
    /// How it went.
    pub status: NetStatus,
}

layout!(TxResponse, size 4, id @ 0, status @ 2);

/// A frame for a packet to receive (`netif_rx_request_t`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RxRequest {
    /// The frontend's own number.
    pub id: u16,
    /// Zero.
    pub pad: u16,
    /// The frame's grant reference.
    pub gref: u32,
}

layout!(RxRequest, size 8, id @ 0, gref @ 4);

/// A packet, or a piece of one, was received (`netif_rx_response_t`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RxResponse {
    /// The request's number.
    pub id: u16,
    /// First byte in the frame.
    pub offset: u16,
    /// What is special about it.
    pub flags: RxFlags,
    /// Bytes if more than 0, else a [`NetStatus`].
    pub status: i16,
}

layout!(RxResponse, size 8, id @ 0, offset @ 2, flags @ 4, status @ 6);

/// Flags of an [`RxResponse`] (`NETRXF_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct RxFlags(u16);

bitflags! {
    impl RxFlags: u16 {
        /// The data need no check.
        const DATA_VALIDATED = 1 << 0;
        /// The checksum was never computed.
        const CSUM_BLANK = 1 << 1;
        /// The packet goes on in the next response.
        const MORE_DATA = 1 << 2;
        /// The next slot holds extra information.
        const EXTRA_INFO = 1 << 3;
    }
}

open_number! {
    /// How it went (`NETIF_RSP_*`).
    NetStatus: i16 {
        /// Done.
        OKAY = 0, "okay";
        /// Failed.
        ERROR = -1, "error";
        /// Thrown away.
        DROPPED = -2, "dropped";
        /// The slot of extra information: no response at all.
        NULL = 1, "null";
    }
}

impl RxResponse {
    /// Length of what was received.
    ///
    /// # Errors
    /// The status that came instead of a packet.
    pub fn packet_len(&self) -> Result<usize, NetStatus> {
        match usize::try_from(self.status) {
            Ok(len) if len > 0 => Ok(len),
            _ => Err(NetStatus::new(self.status)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_received_length_is_positive() {
        let response = |status| RxResponse {
            status,
            ..Default::default()
        };
        assert_eq!(response(60).packet_len(), Ok(60));
        assert_eq!(response(0).packet_len(), Err(NetStatus::OKAY));
        assert_eq!(response(-2).packet_len(), Err(NetStatus::DROPPED));
    }
}
