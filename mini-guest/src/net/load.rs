//! A load: datagrams of one size, so many at a time, on an interface itself, without a stack and without sockets; and the mirror that sends them back.
//!
//! It measures what packets cost. A batch is handed over, and the next one when all of it has come back: so it is known how many are on the way, and a
//! batch does the same work each time. Each comes back once and in order, or the load has failed: nothing on the way between two interfaces may turn packets round, and a
//! cost with packets lost would be none.
//!
//! A packet is a UDP datagram in an IPv4 packet in an Ethernet frame, as a stack would make it, without the checksum that UDP may leave out. All but two bytes of it
//! are the same each time, so making it costs next to nothing.
//!
//! Source: RFC 768; RFC 791, 3.1; RFC 862 (port 7, echo); RFC 2544, C.2.2 (addresses of measurements).

use alloc::boxed::Box;
use alloc::rc::{Rc, Weak};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Address, Ipv4Packet, Ipv4Repr,
    UdpPacket,
};

use super::{FRAME, HEADER, Interface, MTU, Mac, NotSent};

/// Bytes of the headers of IPv4 and UDP.
const IP: usize = 20;
const UDP: usize = 8;
/// Bytes before a datagram's data.
const BEFORE: usize = HEADER + IP + UDP;
/// Most bytes of a datagram's data.
pub const MOST_BYTES: usize = MTU - IP - UDP;
/// Most packets of a batch: their numbers are a byte.
pub const MOST_DEPTH: u32 = 64;
/// Most batches.
pub const MOST_BATCHES: u32 = 4096;
/// Who sends, and who sends back.
const SENDER: Ipv4Address = Ipv4Address::new(198, 18, 0, 1);
const MIRROR: Ipv4Address = Ipv4Address::new(198, 18, 0, 2);
/// The port of both.
const ECHO: u16 = 7;
const HOPS: u8 = 64;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where the mirror is.
    pub to: Mac,
    /// Bytes of data in a packet.
    pub size: u16,
    /// Packets of a batch.
    pub depth: u32,
    /// How many batches.
    pub batches: u32,
}

impl Plan {
    /// Whether it makes sense.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        !self.to.is_group()
            && (1..=MOST_BYTES).contains(&self.size.into())
            && (1..=MOST_DEPTH).contains(&self.depth)
            && (1..=MOST_BATCHES).contains(&self.batches)
    }
}

/// Why a load has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// A packet came back twice, changed, or before another one that was sent first.
    Wrong,
    /// The interface is gone.
    Gone,
}

/// A load under way.
#[derive(Debug)]
pub struct Load {
    plan: Plan,
    /// What is sent, but for the number.
    frame: Box<[u8; FRAME]>,
    /// What comes in.
    buffer: Box<[u8; FRAME]>,
    /// Packets of this batch that were sent, and those that came back.
    sent: u32,
    back: u32,
    /// Batches that are done.
    done: u32,
}

impl Load {
    /// A load from the address `from`, of which nothing is sent yet. What comes back of loads with another `name` is nothing to it.
    #[must_use]
    pub fn new(plan: Plan, from: Mac, name: u16) -> Self {
        let mut frame = Box::new([0x55; FRAME]);
        write_headers(&mut frame[..BEFORE + usize::from(plan.size)], plan.to, from, name);
        Self {
            plan,
            frame,
            buffer: Box::new([0; FRAME]),
            sent: 0,
            back: 0,
            done: 0,
        }
    }

    /// Goes on as far as it can without waiting; the result when all is done.
    pub fn advance(&mut self, interface: &mut dyn Interface) -> Option<Result<(), Failed>> {
        loop {
            while self.sent < self.plan.depth {
                match self.send(interface) {
                    Ok(()) => self.sent += 1,
                    Err(NotSent::Full) => break,
                    Err(NotSent::Gone | NotSent::Length) => return Some(Err(Failed::Gone)),
                }
            }
            interface.flush();
            while let Some(len) = interface.receive(&mut self.buffer) {
                match self.judge(len) {
                    Ok(is_ours) => self.back += u32::from(is_ours),
                    Err(failed) => return Some(Err(failed)),
                }
            }
            if self.back < self.plan.depth {
                return None;
            }
            self.done += 1;
            if self.done == self.plan.batches {
                return Some(Ok(()));
            }
            (self.sent, self.back) = (0, 0);
        }
    }

    fn len(&self) -> usize {
        BEFORE + usize::from(self.plan.size)
    }

    fn send(&mut self, interface: &mut dyn Interface) -> Result<(), NotSent> {
        let len = self.len();
        // It fits: there are few of a batch.
        let number = self.sent as u8;
        (self.frame[BEFORE], self.frame[len - 1]) = (number, number);
        interface.transmit(&self.frame[..len])
    }

    /// Whether a frame is the next one that is to come back; others' are not ours at all.
    fn judge(&self, len: usize) -> Result<bool, Failed> {
        let (ours, frame) = (&self.frame[..BEFORE], &self.buffer[..len]);
        let Some(headers) = frame.first_chunk::<BEFORE>() else {
            return Ok(false);
        };
        let mut sent_back = *headers;
        turn_round(&mut sent_back);
        // The name is behind version, kind and length.
        const NAMED: core::ops::Range<usize> = HEADER - 2..HEADER + 6;
        if sent_back[NAMED] != ours[NAMED] {
            return Ok(false);
        }
        let number = self.back as u8;
        let is_next = sent_back == *ours
            // Short frames are filled up on the way.
            && len >= self.len()
            && frame[BEFORE] == number
            && frame[self.len() - 1] == number
            && self.back < self.sent;
        is_next.then_some(true).ok_or(Failed::Wrong)
    }
}

fn write_headers(bytes: &mut [u8], to: Mac, from: Mac, name: u16) {
    let mut frame = EthernetFrame::new_unchecked(bytes);
    frame.set_dst_addr(EthernetAddress(to.0));
    frame.set_src_addr(EthernetAddress(from.0));
    frame.set_ethertype(EthernetProtocol::Ipv4);
    let mut packet = Ipv4Packet::new_unchecked(frame.payload_mut());
    let len = packet.as_ref().len() - IP;
    Ipv4Repr {
        src_addr: SENDER,
        dst_addr: MIRROR,
        next_header: IpProtocol::Udp,
        payload_len: len,
        hop_limit: HOPS,
    }
    .emit(&mut packet, &ChecksumCapabilities::default());
    packet.set_ident(name);
    packet.fill_checksum();
    let mut datagram = UdpPacket::new_unchecked(packet.payload_mut());
    datagram.set_src_port(ECHO);
    datagram.set_dst_port(ECHO);
    // No longer than a frame.
    datagram.set_len(len as u16);
    datagram.set_checksum(0);
}

/// Has source and destination change places. No checksum is another one then.
fn turn_round(headers: &mut [u8; BEFORE]) {
    let (to, from) = headers[..12].split_at_mut(6);
    to.swap_with_slice(from);
    let (source, destination) = headers[HEADER + 12..HEADER + 20].split_at_mut(4);
    source.swap_with_slice(destination);
}

/// Sends each packet of a load back, until nobody wants it any more.
#[derive(Debug)]
pub struct Mirror {
    buffer: Box<[u8; FRAME]>,
    /// Bytes of a frame there that the interface had no room for.
    unsent: usize,
}

impl Default for Mirror {
    fn default() -> Self {
        Self {
            buffer: Box::new([0; FRAME]),
            unsent: 0,
        }
    }
}

impl Mirror {
    /// Goes on as far as it can without waiting.
    pub fn advance(&mut self, interface: &mut dyn Interface) {
        loop {
            if self.unsent == 0 {
                let Some(len) = interface.receive(&mut self.buffer) else {
                    interface.flush();
                    return;
                };
                self.unsent = self.turned(len);
            }
            if self.unsent > 0 {
                if interface.transmit(&self.buffer[..self.unsent]) == Err(NotSent::Full) {
                    interface.flush();
                    return;
                }
                self.unsent = 0;
            }
        }
    }

    /// Turns the frame in the buffer round; 0 where it is none of a load.
    fn turned(&mut self, len: usize) -> usize {
        const PLACES: core::ops::Range<usize> = HEADER + 12..HEADER + 24;
        let Some(headers) = self.buffer[..len].first_chunk_mut::<BEFORE>() else {
            return 0;
        };
        let ports = u32::from(ECHO) << 16 | u32::from(ECHO);
        let wanted = [SENDER.octets(), MIRROR.octets(), ports.to_be_bytes()];
        if headers[12..14] != [8, 0] || headers[PLACES] != *wanted.as_flattened() {
            return 0;
        }
        turn_round(headers);
        len
    }
}

/// An interface that its user lends: as long as somebody has the lease, the user leaves it alone.
#[derive(Debug, Default)]
pub struct Lending(Weak<()>);

/// Whoever has it has the interface.
#[derive(Debug)]
pub struct Lease(#[expect(dead_code, reason = "it is counted")] Rc<()>);

impl Lending {
    /// Lends the interface; `None` where somebody has it.
    pub fn lend(&mut self) -> Option<Lease> {
        if self.is_lent() {
            return None;
        }
        let lease = Rc::new(());
        self.0 = Rc::downgrade(&lease);
        Some(Lease(lease))
    }

    /// Whether somebody has it.
    #[must_use]
    pub fn is_lent(&self) -> bool {
        self.0.strong_count() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Wire;
    use super::*;
    use alloc::vec::Vec;

    const ONE: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const OTHER: Mac = Mac([2, 0, 0, 0, 0, 2]);
    const PLAN: Plan = Plan {
        to: OTHER,
        size: 1400,
        depth: 8,
        batches: 3,
    };

    fn wire(room: usize) -> (Wire, Wire) {
        Wire::between(ONE, OTHER, room)
    }

    #[test]
    fn batches_go_there_and_back() {
        for (size, room) in [(1, 8), (1400, 8), (MOST_BYTES as u16, 3)] {
            let (mut here, mut there) = wire(room);
            let mut load = Load::new(Plan { size, ..PLAN }, ONE, 5);
            let mut mirror = Mirror::default();
            let mut rounds = 0;
            let result = loop {
                if let Some(result) = load.advance(&mut here) {
                    break result;
                }
                mirror.advance(&mut there);
                rounds += 1;
            };
            assert_eq!(result, Ok(()));
            assert_eq!(rounds, 3 * 8_u32.div_ceil(room as u32));
        }
    }

    /// Sends a batch, and gives what is to come back of it.
    fn sent(load: &mut Load, here: &mut Wire, there: &mut Wire) -> Vec<Vec<u8>> {
        assert_eq!(load.advance(here), None);
        let mut frames = Vec::new();
        let mut buffer = [0; FRAME];
        while let Some(len) = there.receive(&mut buffer) {
            turn_round(buffer.first_chunk_mut().unwrap());
            frames.push(buffer[..len].to_vec());
        }
        frames
    }

    #[test]
    fn a_frame_is_a_datagram_as_others_read_it() {
        let (mut here, mut there) = wire(8);
        let mut load = Load::new(Plan { size: 9, ..PLAN }, ONE, 0x1234);
        assert_eq!(load.advance(&mut here), None);
        let mut buffer = [0; FRAME];
        let len = there.receive(&mut buffer).unwrap();
        let frame = EthernetFrame::new_checked(&buffer[..len]).unwrap();
        assert_eq!((frame.dst_addr().0, frame.src_addr().0), (OTHER.0, ONE.0));
        let packet = Ipv4Packet::new_checked(frame.payload()).unwrap();
        assert!(packet.verify_checksum() && packet.ident() == 0x1234);
        let datagram = UdpPacket::new_checked(packet.payload()).unwrap();
        assert!(datagram.verify_checksum(&SENDER.into(), &MIRROR.into()));
        assert_eq!(
            (datagram.src_port(), datagram.dst_port(), datagram.payload().len()),
            (7, 7, 9)
        );
    }

    #[test]
    fn what_is_lost_twice_or_changed_is_a_failure() {
        type Harm = fn(&mut Vec<Vec<u8>>);
        let harms: [Harm; 5] = [
            |frames| drop(frames.remove(3)),
            |frames| frames.swap(0, 1),
            |frames| frames.push(frames[7].clone()),
            |frames| *frames[4].last_mut().unwrap() ^= 1,
            |frames| frames[2].truncate(1000),
        ];
        for harm in harms {
            let (mut here, mut there) = wire(16);
            let mut load = Load::new(PLAN, ONE, 5);
            let mut frames = sent(&mut load, &mut here, &mut there);
            harm(&mut frames);
            for frame in frames {
                there.transmit(&frame).unwrap();
            }
            assert_eq!(load.advance(&mut here), Some(Err(Failed::Wrong)));
        }
    }

    #[test]
    fn others_frames_are_nothing_to_it() {
        let (mut here, mut there) = wire(16);
        let mut old = Load::new(PLAN, ONE, 4);
        let strange = sent(&mut old, &mut here, &mut there);
        let mut load = Load::new(Plan { batches: 1, ..PLAN }, ONE, 5);
        let frames = sent(&mut load, &mut here, &mut there);
        let mut mirror = Mirror::default();
        for frame in [&[0_u8; HEADER][..], &[0x55; 100], &strange[0]] {
            there.transmit(frame).unwrap();
            assert_eq!(load.advance(&mut here), None);
            // What came back is not for a mirror either.
            here.transmit(frame).unwrap();
            mirror.advance(&mut there);
            assert_eq!(here.receive(&mut [0; FRAME]), None);
        }
        for frame in frames {
            // Filled up to the least that Ethernet has.
            let mut frame = frame;
            frame.resize(frame.len().max(60), 0);
            there.transmit(&frame).unwrap();
        }
        assert_eq!(load.advance(&mut here), Some(Ok(())));
    }

    #[test]
    fn a_plan_that_makes_no_sense_is_refused() {
        assert!(PLAN.is_sound());
        for bad in [
            Plan {
                to: Mac::BROADCAST,
                ..PLAN
            },
            Plan { size: 0, ..PLAN },
            Plan { size: 1473, ..PLAN },
            Plan { depth: 0, ..PLAN },
            Plan { depth: 65, ..PLAN },
            Plan { batches: 0, ..PLAN },
            Plan {
                batches: 4097,
                ..PLAN
            },
        ] {
            assert!(!bad.is_sound(), "{bad:?}");
        }
    }

    #[test]
    fn an_interface_is_lent_once() {
        let mut lending = Lending::default();
        let lease = lending.lend().unwrap();
        assert!(lending.is_lent() && lending.lend().is_none());
        drop(lease);
        assert!(!lending.is_lent() && lending.lend().is_some());
    }
}
