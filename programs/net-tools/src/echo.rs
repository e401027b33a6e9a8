//! Echo messages of ICMP (RFC 792), and what came of them.

use alloc::vec;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// Bytes of a message before its data.
const HEADER: usize = 8;
const REPLY: u8 = 0;
const REQUEST: u8 = 8;

/// The Internet's checksum (RFC 1071).
#[must_use]
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match pair {
        [high, low] => u16::from_be_bytes([*high, *low]),
        _ => u16::from_be_bytes([pair[0], 0]),
    });
    let mut sum = words.map(u32::from).sum::<u32>();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}

/// A request with `size` bytes of data.
#[must_use]
pub fn request(identifier: u16, sequence: u16, size: usize) -> Vec<u8> {
    let mut message = vec![0; HEADER + size];
    message[0] = REQUEST;
    message[4..6].copy_from_slice(&identifier.to_be_bytes());
    message[6..8].copy_from_slice(&sequence.to_be_bytes());
    for (index, byte) in message[HEADER..].iter_mut().enumerate() {
        *byte = index as u8;
    }
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// A reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Who replied.
    pub from: Ipv4Addr,
    /// The number of the request.
    pub sequence: u16,
    /// Bytes of the message.
    pub len: usize,
    /// How many hops it may have gone further.
    pub hops: u8,
}

/// The reply to a request with `identifier` that an IP packet is: whole, with the data that was sent.
#[must_use]
pub fn reply(packet: &[u8], identifier: u16) -> Option<Reply> {
    let header = usize::from(packet.first()? & 0xF) * 4;
    let total = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
    let message = packet.get(header..total)?;
    let source = packet.get(12..16)?.first_chunk::<4>()?;
    let is_ours = header >= 20
        && message.len() >= HEADER
        && message[0] == REPLY
        && checksum(message) == 0
        && message[4..6] == identifier.to_be_bytes();
    let data = message.get(HEADER..)?.iter().enumerate();
    let is_whole = data.into_iter().all(|(index, byte)| *byte == index as u8);
    (is_ours && is_whole).then(|| Reply {
        from: Ipv4Addr::from(*source),
        sequence: u16::from_be_bytes([message[6], message[7]]),
        len: message.len(),
        hops: packet[8],
    })
}

/// Sums of what was sent and came back; times in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests.
    pub sent: u32,
    /// Replies.
    pub received: u32,
    /// The shortest time.
    pub least: u64,
    /// The longest.
    pub most: u64,
    sum: u64,
}

impl Tally {
    /// A reply came after so many microseconds.
    pub fn came(&mut self, micros: u64) {
        self.least = if self.received == 0 {
            micros
        } else {
            self.least.min(micros)
        };
        self.most = self.most.max(micros);
        self.sum = self.sum.saturating_add(micros);
        self.received += 1;
    }

    /// How many of a hundred were lost.
    #[must_use]
    pub fn loss(&self) -> u32 {
        let lost = u64::from(self.sent.saturating_sub(self.received));
        (lost * 100).checked_div(self.sent.into()).unwrap_or(0) as u32
    }

    /// The mean time.
    #[must_use]
    pub fn mean(&self) -> u64 {
        self.sum.checked_div(self.received.into()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The packet that answers `message`.
    fn answer(mut message: Vec<u8>) -> Vec<u8> {
        message[0] = REPLY;
        message[2..4].fill(0);
        let sum = checksum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let len = (20 + message.len()) as u16;
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 63, 1, 0, 0, 10, 0, 2, 2, 10, 0, 2, 15];
        packet[2..4].copy_from_slice(&len.to_be_bytes());
        packet.append(&mut message);
        packet
    }

    #[test]
    fn a_reply_is_known() {
        for size in [0, 1, 56, 300] {
            let packet = answer(request(77, 3, size));
            let found = reply(&packet, 77).unwrap();
            assert_eq!((found.sequence, found.len, found.hops), (3, size + 8, 63));
            assert_eq!(found.from, Ipv4Addr::new(10, 0, 2, 2));
            assert_eq!(reply(&packet, 78), None);
            assert_eq!(reply(&packet[..packet.len() - 1], 77), None);
        }
        assert_eq!(checksum(&request(1, 2, 9)), 0);
    }

    #[test]
    fn what_is_no_reply_is_none() {
        let good = answer(request(77, 3, 8));
        for at in [20, 22, 24, 28] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(reply(&bad, 77), None, "byte {at}");
        }
        assert_eq!(reply(&[], 77), None);
        assert_eq!(reply(&[0x4F; 30], 77), None);
    }

    #[test]
    fn losses_are_counted() {
        let mut tally = Tally::default();
        assert_eq!((tally.loss(), tally.mean()), (0, 0));
        tally.sent = 3;
        tally.came(300);
        tally.came(100);
        assert_eq!(
            (tally.least, tally.most, tally.mean(), tally.loss()),
            (100, 300, 200, 33)
        );
    }
}
