//! Frames that wait to leave a port: a queue for each port they came from, served in turn.
//!
//! So a frame of a port that sends little waits for at most one frame of each other port, however many those have waiting. Where there are too
//! many altogether, the newest of the longest queue is dropped: who floods drops its own.

use alloc::collections::{BTreeMap, VecDeque};

use super::PortId;

/// Most frames that wait to leave one port.
pub const MOST_WAITING: usize = 128;

/// What waits to leave one port.
#[derive(Debug)]
pub struct OutQueue<F> {
    /// By where they came from; none of these is empty.
    queues: BTreeMap<PortId, VecDeque<F>>,
    /// Who has frames here, in the order of their turns.
    turns: VecDeque<PortId>,
    count: usize,
}

impl<F> Default for OutQueue<F> {
    fn default() -> Self {
        Self {
            queues: BTreeMap::new(),
            turns: VecDeque::new(),
            count: 0,
        }
    }
}

impl<F> OutQueue<F> {
    /// How many frames wait.
    pub fn waiting(&self) -> usize {
        self.count
    }

    /// Adds a frame. Gives the port whose frame was dropped instead: `from` itself, unless another has more here.
    pub fn push(&mut self, from: PortId, frame: F) -> Option<PortId> {
        let mut dropped = None;
        if self.count >= MOST_WAITING {
            let own = self.queues.get(&from).map_or(0, VecDeque::len);
            let longest = self.queues.iter().max_by_key(|(_, queue)| queue.len());
            let victim = longest
                .filter(|(_, queue)| queue.len() > own + 1)
                .map(|(port, _)| *port);
            // As long as the longest itself: the newest is the one that comes.
            let Some(victim) = victim else {
                return Some(from);
            };
            self.drop_newest(victim);
            dropped = Some(victim);
        }
        let queue = self.queues.entry(from).or_default();
        if queue.is_empty() {
            self.turns.push_back(from);
        }
        queue.push_back(frame);
        self.count += 1;
        dropped
    }

    /// Takes the next frame.
    pub fn pop(&mut self) -> Option<F> {
        let from = self.turns.pop_front()?;
        let queue = self.queues.get_mut(&from)?;
        let frame = queue.pop_front()?;
        self.count -= 1;
        if queue.is_empty() {
            self.queues.remove(&from);
        } else {
            self.turns.push_back(from);
        }
        Some(frame)
    }

    fn drop_newest(&mut self, from: PortId) {
        if let Some(queue) = self.queues.get_mut(&from)
            && queue.pop_back().is_some()
        {
            self.count -= 1;
            if queue.is_empty() {
                self.queues.remove(&from);
                self.turns.retain(|turn| *turn != from);
            }
        }
    }
}
