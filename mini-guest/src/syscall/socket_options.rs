//! Sockets: options, and what is told of interfaces.

use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

use super::Args;
use super::net_load::LOAD;
use crate::kernel::{Kernel, SysResult};
use crate::linux::socket::{self, AF_INET, flag, kind, option, protocol, request};
use crate::linux::{Errno, Packed, word};
use crate::net::MTU;
use crate::net::stack::{Address, Kind, SocketId, tcp};

/// The hardware type of Ethernet, and that of the loop.
const ARPHRD: [u16; 2] = [1, 772];

impl Kernel {
    pub(super) fn sys_setsockopt(&mut self, [fd, level, name, at, len, _]: Args) -> SysResult {
        let (_, id) = self.socket(fd)?;
        let mut options = self.net.stack.borrow().options(id)?;
        if len < 4 {
            return Err(Errno::EINVAL.into());
        }
        let value = u32::from_le_bytes(self.copy_in(at)?);
        match (level, name) {
            (option::SOL_SOCKET, option::REUSEADDR) => options.reuse_address = value != 0,
            (option::SOL_SOCKET, option::BROADCAST) => options.broadcast = value != 0,
            (option::SOL_SOCKET, option::KEEPALIVE) => options.keep_alive = value != 0,
            // Sizes are fixed; Linux takes them as wishes too.
            (option::SOL_SOCKET, option::SNDBUF | option::RCVBUF) => {}
            // Close never waits.
            (option::SOL_SOCKET, option::LINGER) if value == 0 => {}
            (protocol::TCP, option::TCP_NODELAY) => options.no_delay = value != 0,
            (protocol::IP, option::IP_TTL) => {
                options.hops = u8::try_from(value)
                    .ok()
                    .filter(|hops| *hops > 0)
                    .ok_or(Errno::EINVAL)?;
            }
            _ => return Err(Errno::ENOPROTOOPT.into()),
        }
        self.net.stack.borrow_mut().set_options(id, options)?;
        Ok(0)
    }

    pub(super) fn sys_getsockopt(&mut self, [fd, level, name, to, len_at, _]: Args) -> SysResult {
        let (_, id) = self.socket(fd)?;
        let value = self.option(id, level, name)?;
        let room = u32::from_le_bytes(self.copy_in(len_at)?);
        if room > i32::MAX as u32 {
            return Err(Errno::EINVAL.into());
        }
        let bytes = value.to_le_bytes();
        let count = bytes.len().min(room as usize);
        self.copy_out(to, &bytes[..count])?;
        self.copy_out(len_at, &(count as u32).to_le_bytes())?;
        Ok(0)
    }

    fn option(&mut self, id: SocketId, level: u32, name: u32) -> Result<u32, Errno> {
        let mut stack = self.net.stack.borrow_mut();
        let options = stack.options(id)?;
        let (what, listens) = stack.kind(id)?;
        Ok(match (level, name) {
            (option::SOL_SOCKET, option::REUSEADDR) => options.reuse_address.into(),
            (option::SOL_SOCKET, option::BROADCAST) => options.broadcast.into(),
            (option::SOL_SOCKET, option::KEEPALIVE) => options.keep_alive.into(),
            (option::SOL_SOCKET, option::SNDBUF | option::RCVBUF) => tcp::BUFFER as u32,
            (option::SOL_SOCKET, option::ACCEPTCONN) => listens.into(),
            (option::SOL_SOCKET, option::DOMAIN) => AF_INET.into(),
            (option::SOL_SOCKET, option::ERROR) => {
                stack.take_error(id)?.map_or(0, |errno| errno.number().into())
            }
            (option::SOL_SOCKET, option::TYPE) => match what {
                Kind::Stream => kind::STREAM,
                Kind::Datagram => kind::DGRAM,
                Kind::Icmp => kind::RAW,
            },
            (option::SOL_SOCKET, option::PROTOCOL) => match what {
                Kind::Stream => protocol::TCP,
                Kind::Datagram => protocol::UDP,
                Kind::Icmp => protocol::ICMP,
            },
            (protocol::TCP, option::TCP_NODELAY) => options.no_delay.into(),
            (protocol::IP, option::IP_TTL) => {
                if options.hops > 0 {
                    options.hops.into()
                } else {
                    64
                }
            }
            _ => return Err(Errno::ENOPROTOOPT),
        })
    }

    /// ioctl of a socket: bytes that wait, and what is known of interfaces.
    pub(super) fn socket_request(&mut self, id: SocketId, number: u32, arg: u32) -> SysResult {
        if number == crate::linux::terminal::request::FIONREAD {
            let waiting = self.net.stack.borrow_mut().waiting(id) as u32;
            self.copy_out(arg, &waiting.to_le_bytes())?;
            return Ok(0);
        }
        if number == LOAD {
            return self.net_load_request(arg);
        }
        if number == request::GIFCONF {
            return self.interface_list(arg);
        }
        if !(0x8900..0x8A00).contains(&number) {
            return Err(Errno::ENOTTY.into());
        }
        let block = self.copy_in::<{ request::IFREQ }>(arg)?;
        let name = block[..request::IFNAME].split(|byte| *byte == 0);
        let name = name.into_iter().next().unwrap_or_default();
        let links = self.net.names();
        let index = links.iter().position(|link| link.as_bytes() == name);
        let index = index.ok_or(Errno::ENODEV)?;
        let value = self.interface_value(index, number)?;
        self.copy_out(arg.wrapping_add(request::IFNAME as u32), &value)?;
        Ok(0)
    }

    /// The address of interface `index`: the loop is the first.
    fn interface_address(&self, index: usize) -> Option<Address> {
        if index == 0 {
            return Some(Address {
                address: Ipv4Addr::LOCALHOST,
                prefix: 8,
                gateway: None,
            });
        }
        self.net.stack.borrow().address()
    }

    fn interface_value(&self, index: usize, number: u32) -> Result<[u8; 16], Errno> {
        let is_loop = index == 0;
        let packed = Packed::<16>::new();
        let own = self.interface_address(index);
        let address = |ip: Ipv4Addr| socket::address(SocketAddrV4::new(ip, 0));
        let own = |ip: fn(Address) -> Ipv4Addr| own.map(|own| address(ip(own))).ok_or(Errno::EADDRNOTAVAIL);
        Ok(match number {
            request::GIFFLAGS => {
                let kind = if is_loop { flag::LOOPBACK } else { flag::BROADCAST };
                packed.u16(flag::UP | flag::RUNNING | kind).finish()
            }
            request::GIFADDR => own(|own| own.address)?,
            request::GIFNETMASK => own(Address::netmask)?,
            request::GIFBRDADDR if is_loop => address(Ipv4Addr::UNSPECIFIED),
            request::GIFBRDADDR => own(Address::broadcast)?,
            request::GIFMETRIC => packed.finish(),
            request::GIFMTU => packed.u32(MTU as u32).finish(),
            request::GIFINDEX => packed.u32(index as u32 + 1).finish(),
            request::GIFHWADDR => {
                let mac = self.net.stack.borrow().mac().filter(|_| !is_loop);
                let bytes = mac.map_or([0; 6], |mac| mac.0);
                packed.u16(ARPHRD[usize::from(is_loop)]).bytes(&bytes).finish()
            }
            // Everything else, and all that would change something.
            _ => return Err(Errno::EOPNOTSUPP),
        })
    }

    /// `struct ifconf`: how many bytes there is room for, and where.
    fn interface_list(&mut self, arg: u32) -> SysResult {
        let block = self.copy_in::<8>(arg)?;
        let (room, to) = (word(&block, 0), word(&block, 4));
        let names = self.net.names();
        let mut records = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let Some(own) = self.interface_address(index) else {
                continue;
            };
            let mut record = [0; request::IFREQ];
            let len = name.len().min(request::IFNAME - 1);
            record[..len].copy_from_slice(&name.as_bytes()[..len]);
            let address = socket::address(SocketAddrV4::new(own.address, 0));
            record[request::IFNAME..].copy_from_slice(&address);
            records.extend_from_slice(&record);
        }
        if to != 0 {
            let whole = room as usize / request::IFREQ * request::IFREQ;
            records.truncate(whole);
            self.copy_out(to, &records)?;
        }
        self.copy_out(arg, &(records.len() as u32).to_le_bytes())?;
        Ok(0)
    }
}
