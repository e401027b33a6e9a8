//! What a backend counts.

use core::fmt;

/// What a backend has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Slots taken from the ring of frames to send.
    pub requests: u64,
    /// Of them, refused as nonsense.
    pub refused: u64,
    /// Grants that were none, of either ring.
    pub bad_grants: u64,
    /// Frames that there was no memory for.
    pub no_memory: u64,
    /// Frames sent.
    pub sent: u64,
    /// Frames received.
    pub received: u64,
    /// How often frames waited and there was no buffer for them.
    pub starved: u64,
    /// How often the frontend had to wait by its rate.
    pub throttled: u64,
    /// Calls that copied frames.
    pub copies: u64,
    /// Events sent.
    pub notified: u64,
}

impl Counters {
    /// Adds what another one has done.
    pub fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.refused += other.refused;
        self.bad_grants += other.bad_grants;
        self.no_memory += other.no_memory;
        self.sent += other.sent;
        self.received += other.received;
        self.starved += other.starved;
        self.throttled += other.throttled;
        self.copies += other.copies;
        self.notified += other.notified;
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests ({} refused, {} with bad grants, {} without memory), {} frames sent, {} received, {} calls that copy, {} events",
            self.requests,
            self.refused,
            self.bad_grants,
            self.no_memory,
            self.sent,
            self.received,
            self.copies,
            self.notified
        )
    }
}
