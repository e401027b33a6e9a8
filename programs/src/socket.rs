//! Sockets of IPv4.

use core::net::{Ipv4Addr, SocketAddrV4};

use crate::abi::{
    AF_INET, IPPROTO_ICMP, MSG_NOSIGNAL, POLLIN, PollFd, SO_REUSEADDR, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM,
    SOL_SOCKET, SocketAddress,
};
use crate::errno::{Errno, Result};
use crate::file::File;
use crate::sys;

/// A socket; closed when dropped.
pub struct Socket(File);

impl Socket {
    fn new(kind: u32, protocol: u32) -> Result<Socket> {
        sys::socket(AF_INET.into(), kind, protocol).map(|fd| Socket(File::from_descriptor(fd)))
    }

    /// For datagrams of UDP.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn datagram() -> Result<Socket> {
        Socket::new(SOCK_DGRAM, 0)
    }

    /// For messages of ICMP.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn icmp() -> Result<Socket> {
        Socket::new(SOCK_RAW, IPPROTO_ICMP)
    }

    /// A connection.
    ///
    /// # Errors
    /// ECONNREFUSED, ETIMEDOUT, ENETUNREACH …
    pub fn connect(to: SocketAddrV4) -> Result<Socket> {
        let socket = Socket::new(SOCK_STREAM, 0)?;
        sys::connect(socket.descriptor(), &to.into())?;
        Ok(socket)
    }

    /// Waits for connections at a port.
    ///
    /// # Errors
    /// EADDRINUSE …
    pub fn listen(at: SocketAddrV4, backlog: u32) -> Result<Socket> {
        let socket = Socket::new(SOCK_STREAM, 0)?;
        sys::setsockopt(socket.descriptor(), SOL_SOCKET, SO_REUSEADDR, 1)?;
        socket.bind(at)?;
        sys::listen(socket.descriptor(), backlog)?;
        Ok(socket)
    }

    /// Gives it an address.
    ///
    /// # Errors
    /// EADDRINUSE, EADDRNOTAVAIL.
    pub fn bind(&self, to: SocketAddrV4) -> Result<()> {
        sys::bind(self.descriptor(), &to.into())
    }

    /// The next connection, and who it is from.
    ///
    /// # Errors
    /// What the kernel answers; interruptions are retried.
    pub fn accept(&self) -> Result<(Socket, SocketAddrV4)> {
        loop {
            match sys::accept(self.descriptor()) {
                Err(Errno::EINTR) => {}
                other => {
                    let (fd, from) = other?;
                    return Ok((Socket(File::from_descriptor(fd)), from.into()));
                }
            }
        }
    }

    /// Where it is bound.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn local(&self) -> Result<SocketAddrV4> {
        sys::socket_name(self.descriptor(), false).map(Into::into)
    }

    /// Sends one datagram.
    ///
    /// # Errors
    /// ENETUNREACH, EMSGSIZE …
    pub fn send_to(&self, bytes: &[u8], to: SocketAddrV4) -> Result<()> {
        sys::sendto(self.descriptor(), bytes, 0, Some(&to.into())).map(drop)
    }

    /// Takes one datagram: its length, as far as it fits, and who sent it.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn receive_from(&self, buffer: &mut [u8]) -> Result<(usize, SocketAddrV4)> {
        let (len, from) = sys::recvfrom(self.descriptor(), buffer, 0)?;
        Ok((len, from.into()))
    }

    /// Sends all of `bytes` into a connection, without a signal where nobody reads.
    ///
    /// # Errors
    /// EPIPE, ECONNRESET.
    pub fn send_all(&self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            match sys::sendto(self.descriptor(), bytes, MSG_NOSIGNAL, None) {
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until there is something to read; `false` where that takes longer than so many milliseconds.
    ///
    /// # Errors
    /// EINTR.
    pub fn wait(&self, milliseconds: i32) -> Result<bool> {
        let mut list = [PollFd {
            fd: self.descriptor(),
            events: POLLIN,
            revents: 0,
        }];
        sys::poll(&mut list, milliseconds).map(|ready| ready > 0)
    }

    /// The descriptor, still owned by this.
    pub fn descriptor(&self) -> i32 {
        self.0.descriptor()
    }
}

impl From<SocketAddrV4> for SocketAddress {
    fn from(from: SocketAddrV4) -> SocketAddress {
        SocketAddress {
            family: AF_INET,
            port: from.port().to_be(),
            address: from.ip().octets(),
            zero: [0; 8],
        }
    }
}

impl From<SocketAddress> for SocketAddrV4 {
    fn from(from: SocketAddress) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::from(from.address), u16::from_be(from.port))
    }
}
