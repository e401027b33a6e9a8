//! Checksums that a frame's sender left to whoever sends it on.
//!
//! A domain's stack that knows that its card computes checksums leaves those of TCP and UDP blank. On the bridge there is no such card: what comes with a
//! blank checksum gets a right one before anybody else sees it. That can be done for a whole TCP segment or UDP datagram in an IPv4 packet. All
//! lengths are the sender's and are judged; what they say that is not so is nobody's checksum.
//!
//! Source: RFC 791, 3.1; RFC 768; RFC 9293, 3.1; the sum itself is that of RFC 1071.

use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, IpAddress, IpProtocol, Ipv4Packet, TcpPacket, UdpPacket,
};

/// There is no checksum to compute in that frame: it is nothing that has one, or its lengths make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoChecksum;

impl From<smoltcp::wire::Error> for NoChecksum {
    fn from(_: smoltcp::wire::Error) -> Self {
        Self
    }
}

/// Computes the checksum of the TCP segment or UDP datagram in an Ethernet frame. What stands in its place now means nothing.
///
/// # Errors
/// [`NoChecksum`]: no IPv4; a length that is wrong; a fragment, which has no more than a part of what is summed; a route in the
/// options, behind which the destination is another one; neither TCP nor UDP. Nothing was changed.
pub fn fill(frame: &mut [u8]) -> Result<(), NoChecksum> {
    let mut frame = EthernetFrame::new_checked(frame)?;
    if frame.ethertype() != EthernetProtocol::Ipv4 {
        return Err(NoChecksum);
    }
    let bytes = frame.payload_mut();
    let packet = Ipv4Packet::new_checked(&*bytes)?;
    if packet.version() != 4 || packet.more_frags() || packet.frag_offset() != 0 {
        return Err(NoChecksum);
    }
    let (source, destination) = (
        IpAddress::from(packet.src_addr()),
        IpAddress::from(packet.dst_addr()),
    );
    let (header, end) = (usize::from(packet.header_len()), usize::from(packet.total_len()));
    let protocol = packet.next_header();
    if is_routed(&bytes[BARE_HEADER..header]) {
        return Err(NoChecksum);
    }
    let payload = &mut bytes[header..end];
    match protocol {
        IpProtocol::Tcp => TcpPacket::new_checked(payload)?.fill_checksum(&source, &destination),
        IpProtocol::Udp => UdpPacket::new_checked(payload)?.fill_checksum(&source, &destination),
        _ => return Err(NoChecksum),
    }
    Ok(())
}

/// Bytes of an IPv4 header without options.
const BARE_HEADER: usize = 20;
/// Options: the last one, one without a length, routes that the sender gives.
const END: u8 = 0;
const NOTHING: u8 = 1;
const LOOSE_ROUTE: u8 = 131;
const STRICT_ROUTE: u8 = 137;

/// Whether the options have a route, or make no sense.
fn is_routed(mut options: &[u8]) -> bool {
    loop {
        options = match *options {
            [] | [END, ..] => return false,
            [NOTHING, ref rest @ ..] => rest,
            [LOOSE_ROUTE | STRICT_ROUTE, ..] => return true,
            [_, length, ..] if length >= 2 && options.len() >= length.into() => &options[length.into()..],
            _ => return true,
        };
    }
}

#[cfg(test)]
pub mod tests;
