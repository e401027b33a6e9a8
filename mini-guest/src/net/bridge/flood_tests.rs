//! A port that several send to: one of them asks for one thing after the other, the others send all they can. What left is the clock.

use super::*;
use crate::net::netif::bucket::Bucket;
use alloc::rc::Rc;
use alloc::vec;

/// Bytes of a ping.
const PING: usize = 98;
/// Nanoseconds of a byte: a gigabit a second.
const BYTE_NS: u64 = 8;

struct World {
    bridge: Bridge<Rc<[u8]>>,
    out: PortId,
    sent: u64,
}

/// Somebody who sends frames of `len` bytes to the port, as many as it may.
struct Sender {
    id: PortId,
    mac: Mac,
    len: usize,
    bucket: Bucket,
    /// It waits until its last one has left.
    is_single: bool,
}

impl World {
    fn new() -> Self {
        let mut bridge = Bridge::default();
        let out = bridge.add(Source::Only(Mac([2, 0, 0, 0, 0, 99]))).unwrap();
        let sent = 0;
        Self { bridge, out, sent }
    }

    fn sender(&mut self, last: u8, len: usize, rate: Option<&str>) -> Sender {
        let mac = Mac([2, 0, 0, 0, 0, last]);
        let rate = rate.map(|rate| rate.parse().unwrap());
        Sender {
            id: self.bridge.add(Source::Only(mac)).unwrap(),
            mac,
            len,
            bucket: Bucket::new(rate, 0),
            is_single: false,
        }
    }

    fn counters(&self, sender: &Sender) -> Counters {
        self.bridge.counters(sender.id).unwrap()
    }

    fn send(&mut self, sender: &mut Sender) {
        let now = self.sent * BYTE_NS;
        // Until the queue drops one of them.
        loop {
            let counters = self.counters(sender);
            let is_waiting = sender.is_single && counters.came > counters.delivered;
            if is_waiting || sender.bucket.take(sender.len, now).is_err() {
                break;
            }
            let mut frame = vec![0; sender.len];
            frame[..6].copy_from_slice(&[2, 0, 0, 0, 0, 99]);
            frame[6..12].copy_from_slice(&sender.mac.0);
            self.bridge.pass(sender.id, frame.into(), now).unwrap();
            if self.counters(sender).dropped > counters.dropped {
                break;
            }
        }
    }

    /// Lets so many bytes leave.
    fn run(&mut self, senders: &mut [Sender], bytes: u64) {
        let end = self.sent + bytes;
        while self.sent < end {
            senders.iter_mut().for_each(|sender| self.send(sender));
            // A wire on which nothing is sent is not one that stands still.
            self.sent += self.bridge.take(self.out).map_or(60, |frame| frame.len() as u64);
        }
    }
}

/// The table of docs/network.md.
#[test]
fn one_ping_after_the_other_beside_a_flood() {
    println!(
        "flooders, their frames, rate | pings per 100000 bytes | longest wait in frames, bytes | in the mean"
    );
    for (flooders, len, rate, pings, frames) in [
        (0, 0, None, 1000, 0),
        (1, FRAME, None, 500, 1),
        (1, 60, None, 500, 2),
        (4, FRAME, None, 200, 4),
        // A tenth of the wire.
        (4, FRAME, Some("3125,1000"), 850, 4),
    ] {
        let mut world = World::new();
        let mut senders: Vec<Sender> = (0..flooders).map(|n| world.sender(n + 1, len, rate)).collect();
        let mut single = world.sender(50, PING, None);
        single.is_single = true;
        senders.push(single);
        world.run(&mut senders, 500_000);
        let counters = world.counters(&senders[senders.len() - 1]);
        let (each, longest) = (counters.delivered / 5, counters.longest_wait);
        let mean = counters.waited.bytes / counters.delivered;
        println!(
            "{flooders} of {len}, {rate:?} | {each} | {}, {} | {mean}",
            longest.frames, longest.bytes
        );
        assert!(each >= pings, "{each} instead of {pings}");
        assert!(longest.frames <= frames, "{longest:?} instead of {frames}");
        assert_eq!((counters.dropped, counters.spoofed), (0, 0));
    }
}

#[test]
fn who_sends_long_frames_has_no_more_bytes_than_who_sends_short_ones() {
    let mut world = World::new();
    let mut senders = [(1, FRAME), (2, 60), (3, 500)].map(|(n, len)| world.sender(n, len, None));
    world.run(&mut senders, 600_000);
    for sender in &senders {
        let bytes = world.counters(sender).delivered * sender.len as u64;
        assert!(
            bytes.abs_diff(200_000) < 6_000,
            "{bytes} in frames of {}",
            sender.len
        );
    }
}

#[test]
fn nobody_saves_up_while_it_is_silent() {
    let mut world = World::new();
    let mut senders = [1, 2].map(|n| world.sender(n, 1000, None));
    world.run(&mut senders[..1], 500_000);
    let before = world.counters(&senders[0]).delivered;
    world.run(&mut senders, 100_000);
    let since = world.counters(&senders[0]).delivered - before;
    assert!((49..=52).contains(&since), "{since} of 100");
}
