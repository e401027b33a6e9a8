//! Frames that wait to leave a port: a queue for each port they came from, served by start-time fair queueing in bytes.
//!
//! A frame's start is where the last one from the same port ended, its length behind its start, but never before the start of the frame that left last; the
//! smallest start is next. So those who send much have the same number of bytes each, however long their frames are, and a frame of a port that sends little waits
//! for at most one frame of each other port, however many those have waiting. Where there are too many altogether, the newest of the longest queue is dropped: who
//! floods drops its own.
//!
//! Each frame is told, as it leaves, how much of others left before it since it came: what isolation comes to is counted, not timed.
//!
//! Source: Goyal, Vin, Cheng: Start-time Fair Queuing, SIGCOMM 1996.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};

use super::PortId;

/// Most frames that wait to leave one port.
pub const MOST_WAITING: usize = 128;

/// Frames, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many frames.
    pub frames: u64,
    /// How many bytes.
    pub bytes: u64,
}

impl Amount {
    fn add(&mut self, bytes: u64) {
        self.frames += 1;
        self.bytes += bytes;
    }

    fn since(self, earlier: Self) -> Self {
        Self {
            frames: self.frames - earlier.frames,
            bytes: self.bytes - earlier.bytes,
        }
    }
}

/// A frame that leaves.
#[derive(Debug, PartialEq, Eq)]
pub struct Leaving<F> {
    /// The frame.
    pub frame: F,
    /// The port it came from.
    pub from: PortId,
    /// What left of others' while it waited.
    pub waited: Amount,
}

/// What came from one port.
#[derive(Debug)]
struct Queue<F> {
    /// With what had left of others' when they came.
    frames: VecDeque<(F, Amount)>,
    /// The start of the first; where nothing waits, the end of the last that left.
    start: u64,
    /// What has left.
    left: Amount,
}

/// What waits to leave one port.
#[derive(Debug)]
pub struct OutQueue<F> {
    /// By where they came from; with those from where nothing waits, but came lately.
    queues: BTreeMap<PortId, Queue<F>>,
    /// From where something waits, by the start of the first.
    turns: BTreeSet<(u64, PortId)>,
    count: usize,
    /// The start of the frame that left last.
    now: u64,
    left: Amount,
}

impl<F> Default for OutQueue<F> {
    fn default() -> Self {
        Self {
            queues: BTreeMap::new(),
            turns: BTreeSet::new(),
            count: 0,
            now: 0,
            left: Amount::default(),
        }
    }
}

impl<F: AsRef<[u8]>> OutQueue<F> {
    /// How many frames wait.
    pub fn waiting(&self) -> usize {
        self.count
    }

    /// Adds a frame. Gives the port whose frame was dropped instead: `from` itself, unless another has more here.
    pub fn push(&mut self, from: PortId, frame: F) -> Option<PortId> {
        let mut dropped = None;
        if self.count >= MOST_WAITING {
            let own = self.queues.get(&from).map_or(0, |queue| queue.frames.len());
            let longest = self.queues.iter().max_by_key(|(_, queue)| queue.frames.len());
            let victim = longest
                .filter(|(_, queue)| queue.frames.len() > own + 1)
                .map(|(port, _)| *port);
            // As long as the longest itself: the newest is the one that comes.
            let Some(victim) = victim else {
                return Some(from);
            };
            self.drop_newest(victim);
            dropped = Some(victim);
        }
        let queue = self.queues.entry(from).or_insert_with(|| Queue {
            frames: VecDeque::new(),
            start: self.now,
            left: Amount::default(),
        });
        if queue.frames.is_empty() {
            queue.start = queue.start.max(self.now);
            self.turns.insert((queue.start, from));
        }
        queue.frames.push_back((frame, self.left.since(queue.left)));
        self.count += 1;
        dropped
    }

    /// Takes the next frame.
    pub fn pop(&mut self) -> Option<Leaving<F>> {
        let (start, from) = self.turns.pop_first()?;
        let queue = self.queues.get_mut(&from)?;
        let (frame, came) = queue.frames.pop_front()?;
        let waited = self.left.since(queue.left).since(came);
        let len = frame.as_ref().len() as u64;
        self.count -= 1;
        self.now = start;
        queue.start = start + len;
        queue.left.add(len);
        self.left.add(len);
        if !queue.frames.is_empty() {
            self.turns.insert((queue.start, from));
        }
        if self.queues.len() > MOST_WAITING {
            // Whoever has nothing here begins from now as well.
            let now = self.now;
            self.queues
                .retain(|_, queue| !queue.frames.is_empty() || queue.start > now);
        }
        Some(Leaving { frame, from, waited })
    }

    fn drop_newest(&mut self, from: PortId) {
        if let Some(queue) = self.queues.get_mut(&from)
            && queue.frames.pop_back().is_some()
        {
            self.count -= 1;
            if queue.frames.is_empty() {
                self.turns.remove(&(queue.start, from));
            }
        }
    }
}
