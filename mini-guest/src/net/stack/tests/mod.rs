//! Two stacks on a wire.

use super::*;
use crate::linux::Errno;
use crate::linux::file::poll;
use crate::net::testing::Wire;
use core::net::SocketAddrV4;

mod connections;
mod datagrams;
mod hostile;

const MS: Nanos = 1_000_000;
pub const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

/// Two machines, and the time.
pub struct Pair {
    pub a: Stack,
    pub b: Stack,
    pub now: Nanos,
}

fn fixed(address: Ipv4Addr) -> Addressing {
    Addressing::Fixed(Address::new(address, 24, None).unwrap())
}

impl Pair {
    pub fn new() -> Self {
        let (one, other) = Wire::between(Mac([2, 0, 0, 0, 0, 0xa]), Mac([2, 0, 0, 0, 0, 0xb]), 64);
        let (mut a, mut b) = (Stack::new(1, 0), Stack::new(2, 0));
        assert!(a.attach(Box::new(one), fixed(A)).is_ok());
        assert!(b.attach(Box::new(other), fixed(B)).is_ok());
        Self { a, b, now: 0 }
    }

    /// Lets both do what they have to do now.
    pub fn settle(&mut self) {
        for _ in 0..200 {
            self.now += MS / 100;
            let any = self.a.poll(self.now) | self.b.poll(self.now);
            if !any {
                return;
            }
        }
        panic!("they never come to rest");
    }

    /// Lets time go by until nothing more is due for `span`, as a kernel that sleeps until it is told to wake.
    pub fn pass(&mut self, span: Nanos) {
        let end = self.now + span;
        for _ in 0..100_000 {
            self.settle();
            let next = [self.a.poll_at(), self.b.poll_at()].into_iter().flatten().min();
            match next {
                Some(at) if at <= end => self.now = self.now.max(at),
                _ => {
                    self.now = end;
                    return;
                }
            }
        }
        panic!("time does not go by");
    }

    /// A connection from `a` to port 80 of `b`: the listening socket, and both ends.
    pub fn connected(&mut self) -> (SocketId, SocketId, SocketId) {
        let server = self.b.open(Kind::Stream).unwrap();
        self.b.bind(server, at(Ipv4Addr::UNSPECIFIED, 80)).unwrap();
        self.b.listen(server, 4).unwrap();
        let client = self.a.open(Kind::Stream).unwrap();
        assert_eq!(self.a.connect(client, at(B, 80)), Err(Errno::EINPROGRESS));
        self.pass(50 * MS);
        assert_eq!(self.a.connect(client, at(B, 80)), Ok(()));
        let (accepted, from) = self.b.accept(server).unwrap();
        assert_eq!(*from.ip(), A);
        (server, client, accepted)
    }
}

pub fn at(ip: Ipv4Addr, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(ip, port)
}

/// Everything that there is to read.
pub fn read_all(stack: &mut Stack, id: SocketId) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 1000];
    while let Ok((count, _)) = stack.receive(id, &mut buffer, false) {
        if count == 0 {
            break;
        }
        all.extend_from_slice(&buffer[..count]);
    }
    all
}

#[test]
fn an_idle_stack_sleeps() {
    let mut stack = Stack::new(1, 0);
    stack.poll(0);
    assert_eq!(stack.poll_at(), None);
    let server = stack.open(Kind::Stream).unwrap();
    stack.listen(server, 1).unwrap();
    stack.poll(MS);
    assert_eq!(stack.poll_at(), None);
    let mut pair = Pair::new();
    pair.pass(10_000 * MS);
    assert_eq!((pair.a.poll_at(), pair.b.poll_at()), (None, None));
}

#[test]
fn an_interface_of_all_is_refused() {
    let (one, _) = Wire::between(Mac::BROADCAST, Mac([2; 6]), 1);
    assert!(Stack::new(1, 0).attach(Box::new(one), Addressing::Dhcp).is_err());
}
