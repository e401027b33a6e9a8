//! Who runs next: round robin with a time slice.

use alloc::collections::VecDeque;

/// How long a process runs while others wait: 10 ms.
pub const SLICE_NS: u64 = 10_000_000;

/// Processes that are ready and not running, in the order in which they will run.
#[derive(Debug, Default)]
pub struct RunQueue {
    ready: VecDeque<u32>,
    slice_end: Option<u64>,
}

impl RunQueue {
    /// Makes room for `count` processes, so that [`RunQueue::push`] never allocates.
    pub fn reserve(&mut self, count: usize) {
        self.ready.reserve(count);
    }

    /// Adds a process at the end, once.
    pub fn push(&mut self, pid: u32) {
        if !self.ready.contains(&pid) {
            self.ready.push_back(pid);
        }
    }

    /// Takes the next process.
    pub fn pop(&mut self) -> Option<u32> {
        self.slice_end = None;
        self.ready.pop_front()
    }

    /// Takes a process out that is gone.
    pub fn remove(&mut self, pid: u32) {
        self.ready.retain(|other| *other != pid);
    }

    /// Whether anybody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ready.len()
    }

    /// When the running process has to give way: only if somebody waits. The slice begins when that is first asked.
    pub fn slice_end(&mut self, now: u64) -> Option<u64> {
        if self.ready.is_empty() {
            self.slice_end = None;
            return None;
        }
        Some(*self.slice_end.get_or_insert(now.saturating_add(SLICE_NS)))
    }

    /// Whether the running process has to give way now.
    #[must_use]
    pub fn is_slice_over(&self, now: u64) -> bool {
        !self.ready.is_empty() && self.slice_end.is_some_and(|end| end <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_turn() {
        let mut queue = RunQueue::default();
        for pid in [1, 2, 3, 2] {
            queue.push(pid);
        }
        let mut turns = Vec::new();
        for _ in 0..6 {
            let next = queue.pop().unwrap();
            turns.push(next);
            queue.push(next);
        }
        assert_eq!(turns, [1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn alone_there_is_no_slice() {
        let mut queue = RunQueue::default();
        assert_eq!(queue.slice_end(5), None);
        queue.push(1);
        assert_eq!(queue.slice_end(5), Some(5 + SLICE_NS));
        assert_eq!(queue.slice_end(100), Some(5 + SLICE_NS));
        assert!(!queue.is_slice_over(SLICE_NS));
        assert!(queue.is_slice_over(SLICE_NS + 5));
        queue.pop();
        assert!(!queue.is_slice_over(u64::MAX));
    }

    #[test]
    fn the_gone_do_not_run() {
        let mut queue = RunQueue::default();
        queue.push(1);
        queue.push(2);
        queue.remove(1);
        assert_eq!((queue.pop(), queue.pop()), (Some(2), None));
    }
}
