//! Calls about sockets, by their direct numbers.

use super::{address, address_mut, call};
use crate::abi::{SocketAddress, nr};
use crate::errno::Result;

const ADDRESS_BYTES: u32 = size_of::<SocketAddress>() as u32;

/// Makes a socket.
///
/// # Errors
/// What the kernel answers, as of all calls here.
pub fn socket(family: u32, kind: u32, protocol: u32) -> Result<i32> {
    call(nr::SOCKET, &[family, kind, protocol]).map(u32::cast_signed)
}

/// Gives a socket an address.
///
/// # Errors
/// EADDRINUSE, EADDRNOTAVAIL …
pub fn bind(fd: i32, to: &SocketAddress) -> Result<()> {
    call(nr::BIND, &[fd.cast_unsigned(), address(to), ADDRESS_BYTES]).map(drop)
}

/// Connects a socket.
///
/// # Errors
/// ECONNREFUSED, ETIMEDOUT, ENETUNREACH …
pub fn connect(fd: i32, to: &SocketAddress) -> Result<()> {
    call(nr::CONNECT, &[fd.cast_unsigned(), address(to), ADDRESS_BYTES]).map(drop)
}

/// Waits for connections from now on.
///
/// # Errors
/// EADDRINUSE …
pub fn listen(fd: i32, backlog: u32) -> Result<()> {
    call(nr::LISTEN, &[fd.cast_unsigned(), backlog]).map(drop)
}

/// Takes the next connection; who it is from.
///
/// # Errors
/// EMFILE …
pub fn accept(fd: i32) -> Result<(i32, SocketAddress)> {
    let (mut from, mut len) = (SocketAddress::default(), ADDRESS_BYTES);
    let arguments = [
        fd.cast_unsigned(),
        address_mut(&mut from),
        address_mut(&mut len),
        0,
    ];
    let new = call(nr::ACCEPT4, &arguments)?;
    Ok((new.cast_signed(), from))
}

/// Where a socket is bound, or whom it is connected to.
///
/// # Errors
/// ENOTCONN.
pub fn socket_name(fd: i32, of_peer: bool) -> Result<SocketAddress> {
    let (mut name, mut len) = (SocketAddress::default(), ADDRESS_BYTES);
    let number = if of_peer { nr::GETPEERNAME } else { nr::GETSOCKNAME };
    call(
        number,
        &[fd.cast_unsigned(), address_mut(&mut name), address_mut(&mut len)],
    )?;
    Ok(name)
}

/// Sends bytes.
///
/// # Errors
/// EPIPE, EMSGSIZE …
pub fn sendto(fd: i32, bytes: &[u8], flags: u32, to: Option<&SocketAddress>) -> Result<usize> {
    let (to, to_len) = to.map_or((0, 0), |to| (address(to), ADDRESS_BYTES));
    let arguments = [
        fd.cast_unsigned(),
        address(bytes),
        bytes.len() as u32,
        flags,
        to,
        to_len,
    ];
    call(nr::SENDTO, &arguments).map(|count| count as usize)
}

/// Receives bytes; how many, and from whom.
///
/// # Errors
/// EAGAIN, ECONNRESET …
pub fn recvfrom(fd: i32, buffer: &mut [u8], flags: u32) -> Result<(usize, SocketAddress)> {
    let (mut from, mut from_len) = (SocketAddress::default(), ADDRESS_BYTES);
    let len = buffer.len() as u32;
    let arguments = [
        fd.cast_unsigned(),
        address_mut(buffer),
        len,
        flags,
        address_mut(&mut from),
        address_mut(&mut from_len),
    ];
    call(nr::RECVFROM, &arguments).map(|count| (count as usize, from))
}

/// Ends a direction: 0 reading, 1 writing, 2 both.
///
/// # Errors
/// ENOTCONN.
pub fn shutdown(fd: i32, how: u32) -> Result<()> {
    call(nr::SHUTDOWN, &[fd.cast_unsigned(), how]).map(drop)
}

/// Sets an option that is a number.
///
/// # Errors
/// ENOPROTOOPT.
pub fn setsockopt(fd: i32, level: u32, name: u32, value: u32) -> Result<()> {
    let arguments = [fd.cast_unsigned(), level, name, address(&value), 4];
    call(nr::SETSOCKOPT, &arguments).map(drop)
}

/// An option that is a number.
///
/// # Errors
/// ENOPROTOOPT.
pub fn getsockopt(fd: i32, level: u32, name: u32) -> Result<u32> {
    let (mut value, mut len) = (0_u32, 4_u32);
    let arguments = [
        fd.cast_unsigned(),
        level,
        name,
        address_mut(&mut value),
        address_mut(&mut len),
    ];
    call(nr::GETSOCKOPT, &arguments)?;
    Ok(value)
}
