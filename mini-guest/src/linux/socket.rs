//! Sockets: addresses, options and flags as Linux has them on i386 (`socket.h`, `in.h`, `if.h`).

use core::net::{Ipv4Addr, SocketAddrV4};

use super::{Errno, Packed};

/// Family of IPv4 addresses.
pub const AF_INET: u16 = 2;
/// The family of no address: connect with it ends a datagram socket's connection.
pub const AF_UNSPEC: u16 = 0;
/// Bytes of an IPv4 socket address.
pub const ADDRESS_BYTES: usize = 16;

/// Kinds of sockets, and flags beside them.
pub mod kind {
    /// A connection.
    pub const STREAM: u32 = 1;
    /// Datagrams.
    pub const DGRAM: u32 = 2;
    /// Packets of one protocol.
    pub const RAW: u32 = 3;
    /// The bits of the kind.
    pub const MASK: u32 = 0xF;
    /// Nothing waits.
    pub const NONBLOCK: u32 = 0x800;
    /// Closed by execve.
    pub const CLOEXEC: u32 = 0x8_0000;
}

/// Protocols of IP, which are levels of options too.
pub mod protocol {
    /// IP itself, or the one that the kind says.
    pub const IP: u32 = 0;
    /// ICMP.
    pub const ICMP: u32 = 1;
    /// TCP.
    pub const TCP: u32 = 6;
    /// UDP.
    pub const UDP: u32 = 17;
}

bitflags::bitflags! {
    /// Flags of one transfer.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct MessageFlags: u32 {
        /// What is read stays.
        const PEEK = 2;
        /// Of a datagram the true length is told.
        const TRUNC = 0x20;
        /// This one does not wait.
        const DONTWAIT = 0x40;
        /// All that was asked for, or the end.
        const WAITALL = 0x100;
        /// No signal when nobody reads.
        const NOSIGNAL = 0x4000;
        /// More follows at once.
        const MORE = 0x8000;
        /// Close-on-exec for descriptors, of which none can come.
        const CMSG_CLOEXEC = 0x4000_0000;
    }
}

/// Options by level.
pub mod option {
    /// The level of all sockets.
    pub const SOL_SOCKET: u32 = 1;
    /// `bool`.
    pub const REUSEADDR: u32 = 2;
    /// Read only: the kind.
    pub const TYPE: u32 = 3;
    /// Read only: what failed.
    pub const ERROR: u32 = 4;
    /// `bool`.
    pub const BROADCAST: u32 = 6;
    /// Bytes; a wish.
    pub const SNDBUF: u32 = 7;
    /// Bytes; a wish.
    pub const RCVBUF: u32 = 8;
    /// `bool`.
    pub const KEEPALIVE: u32 = 9;
    /// Two words: whether, and seconds.
    pub const LINGER: u32 = 13;
    /// Read only: whether it listens.
    pub const ACCEPTCONN: u32 = 30;
    /// Read only.
    pub const PROTOCOL: u32 = 38;
    /// Read only.
    pub const DOMAIN: u32 = 39;
    /// Of TCP: `bool`.
    pub const TCP_NODELAY: u32 = 1;
    /// Of IP: 1 to 255.
    pub const IP_TTL: u32 = 2;
}

/// Requests of ioctl about interfaces: the names are those of Linux without `SIOC`.
pub mod request {
    /// Whether transfers wait (of every file).
    pub const FIONBIO: u32 = 0x5421;
    /// Interfaces with addresses.
    pub const GIFCONF: u32 = 0x8912;
    /// Flags.
    pub const GIFFLAGS: u32 = 0x8913;
    /// The address.
    pub const GIFADDR: u32 = 0x8915;
    /// The address of all.
    pub const GIFBRDADDR: u32 = 0x8919;
    /// The mask of the network.
    pub const GIFNETMASK: u32 = 0x891B;
    /// Always 0.
    pub const GIFMETRIC: u32 = 0x891D;
    /// Most bytes of a packet.
    pub const GIFMTU: u32 = 0x8921;
    /// The Ethernet address.
    pub const GIFHWADDR: u32 = 0x8927;
    /// The number.
    pub const GIFINDEX: u32 = 0x8933;
    /// Bytes of the structure that all of these take: a name and a value.
    pub const IFREQ: usize = 32;
    /// Bytes of the name.
    pub const IFNAME: usize = 16;
}

/// Flags of interfaces.
pub mod flag {
    /// It may be used.
    pub const UP: u16 = 1;
    /// There is an address of all.
    pub const BROADCAST: u16 = 2;
    /// It is the loop.
    pub const LOOPBACK: u16 = 8;
    /// It works.
    pub const RUNNING: u16 = 0x40;
}

/// An address as programs give it.
///
/// # Errors
/// EINVAL: too short; EAFNOSUPPORT: another family.
pub fn read_address(bytes: &[u8]) -> Result<SocketAddrV4, Errno> {
    let bytes = bytes.first_chunk::<8>().ok_or(Errno::EINVAL)?;
    let [family_low, family_high, port_high, port_low, a, b, c, d] = *bytes;
    if u16::from_le_bytes([family_low, family_high]) != AF_INET {
        return Err(Errno::EAFNOSUPPORT);
    }
    let port = u16::from_be_bytes([port_high, port_low]);
    Ok(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port))
}

/// An address as programs get it.
#[must_use]
pub fn address(of: SocketAddrV4) -> [u8; ADDRESS_BYTES] {
    Packed::new()
        .u16(AF_INET)
        .bytes(&of.port().to_be_bytes())
        .bytes(&of.ip().octets())
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_in_the_order_of_the_network() {
        let there = SocketAddrV4::new(Ipv4Addr::new(10, 0, 2, 15), 0x1234);
        let bytes = address(there);
        assert_eq!(bytes[..8], [2, 0, 0x12, 0x34, 10, 0, 2, 15]);
        assert_eq!(read_address(&bytes), Ok(there));
        assert_eq!(read_address(&bytes[..7]), Err(Errno::EINVAL));
        assert_eq!(read_address(&[10, 0, 0, 0, 0, 0, 0, 0]), Err(Errno::EAFNOSUPPORT));
    }
}
