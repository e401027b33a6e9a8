//! What a backend has done, in numbers.

use core::fmt;

/// What a backend has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests taken from the ring.
    pub requests: u64,
    /// Of them, refused as nonsense.
    pub refused: u64,
    /// Of them, with grants that could not be mapped.
    pub bad_grants: u64,
    /// Of them, that the disk failed to do.
    pub failed: u64,
    /// Requests submitted to the disk.
    pub submitted: u64,
    /// Bytes read and written.
    pub bytes: u64,
    /// Of them, copied by the disk's driver: nothing else copies.
    pub copied: u64,
    /// Frames mapped for requests.
    pub mapped: u64,
    /// Frames that were still mapped when a request named them.
    pub found: u64,
    /// Events sent.
    pub notified: u64,
    /// Requests that the disk did, or failed to do.
    pub done: u64,
    /// Sectors that the disk did for others between the moment such a request came and its answer: of all requests together, and the most of one.
    pub waited: u64,
    /// See above.
    pub longest_wait: u64,
}

impl Counters {
    /// Adds what another one has done.
    pub fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.refused += other.refused;
        self.bad_grants += other.bad_grants;
        self.failed += other.failed;
        self.submitted += other.submitted;
        self.bytes += other.bytes;
        self.copied += other.copied;
        self.mapped += other.mapped;
        self.found += other.found;
        self.notified += other.notified;
        self.done += other.done;
        self.waited += other.waited;
        self.longest_wait = self.longest_wait.max(other.longest_wait);
    }

    /// A request is done; others had so many sectors done since it came.
    pub fn count_wait(&mut self, sectors: u64) {
        self.done += 1;
        self.waited += sectors;
        self.longest_wait = self.longest_wait.max(sectors);
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests ({} refused, {} with bad grants, {} failed), {} to the disk, {} bytes ({} copied), {} events; \
             waited for {} sectors of others at most, {} in the mean; \
             {} frames mapped, {} found mapped",
            self.requests,
            self.refused,
            self.bad_grants,
            self.failed,
            self.submitted,
            self.bytes,
            self.copied,
            self.notified,
            self.longest_wait,
            self.waited / self.done.max(1),
            self.mapped,
            self.found,
        )
    }
}
