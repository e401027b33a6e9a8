//! Requests that wait for the disk in a backend: in the order of their sectors, so that neighbours can become one request.
//!
//! They may be done in any order, since the frontend has no answer to any of them. Nothing moves across a flush, so they lie in groups.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use guest_abi::io::blkif::BlkOp;

use super::kept::Slot;
use crate::block::{Op, Segment};

/// A request on its way.
#[derive(Debug)]
pub(super) struct Taken {
    /// The frontend's number.
    pub id: u64,
    pub operation: BlkOp,
    pub op: Op,
    pub sector: u64,
    pub sectors: u64,
    /// The memory; the disk's request has it while that is made of this one alone.
    pub segments: Vec<Segment>,
    /// Frames that are mapped for this request alone.
    pub own: Vec<Slot>,
    /// Its number among all that were taken.
    pub number: u64,
    /// It failed together with others and is done alone now.
    pub is_alone: bool,
    /// How much the disk had done for others when it came.
    pub came: u64,
}

impl Taken {
    fn end(&self) -> u64 {
        // Judged not to wrap around.
        self.sector.saturating_add(self.sectors)
    }

    fn is_flush(&self) -> bool {
        self.op == Op::Flush
    }
}

/// The next request for the disk: made of the first `count` that wait.
#[derive(Debug)]
pub(super) struct Run {
    pub op: Op,
    pub sector: u64,
    pub segments: Vec<Segment>,
    pub count: usize,
}

/// What waits. No group is empty, and a flush is alone in its group.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    groups: VecDeque<VecDeque<Taken>>,
}

impl Gathered {
    /// Adds a request where it belongs.
    pub fn add(&mut self, taken: Taken) {
        match self.groups.back_mut() {
            Some(group) if !taken.is_flush() && !group.front().is_some_and(Taken::is_flush) => {
                if group.back().is_none_or(|last| last.sector <= taken.sector) {
                    return group.push_back(taken);
                }
                let at = group.partition_point(|other| other.sector <= taken.sector);
                group.insert(at, taken);
            }
            _ => self.groups.push_back(VecDeque::from([taken])),
        }
    }

    /// The first request with the neighbours that belong to it, of at most `most` pieces if they are several. One alone gives its memory away.
    pub fn next(&mut self, most: usize) -> Option<Run> {
        let group = self.groups.front_mut()?;
        let first = group.front()?;
        let (op, sector) = (first.op, first.sector);
        let (mut last, mut count, mut pieces) = (first, 1, first.segments.len());
        for next in group.iter().skip(1) {
            let fits = pieces + next.segments.len() <= most;
            let is_neighbour = last.end() == next.sector && last.op == next.op;
            if !fits || !is_neighbour || last.is_alone || next.is_alone {
                break;
            }
            pieces += next.segments.len();
            (last, count) = (next, count + 1);
        }
        let segments = if count == 1 {
            core::mem::take(&mut group.front_mut()?.segments)
        } else {
            let mut segments = Vec::with_capacity(pieces);
            let parts = group.iter().take(count);
            parts.for_each(|part| segments.extend_from_slice(&part.segments));
            segments
        };
        Some(Run {
            op,
            sector,
            segments,
            count,
        })
    }

    /// The disk had no room for what [`Self::next`] gave.
    pub fn put_back(&mut self, count: usize, segments: Vec<Segment>) {
        let first = self.groups.front_mut().and_then(VecDeque::front_mut);
        if count == 1
            && let Some(first) = first
        {
            first.segments = segments;
        }
    }

    /// The oldest that waits.
    pub fn oldest(&self) -> Option<u64> {
        self.groups.iter().flatten().map(|taken| taken.number).min()
    }

    /// Takes what a [`Run`] is made of.
    pub fn take(&mut self, count: usize) -> Vec<Taken> {
        let Some(group) = self.groups.front_mut() else {
            return Vec::new();
        };
        let parts = group.drain(..count).collect();
        if group.is_empty() {
            self.groups.pop_front();
        }
        parts
    }

    /// Puts requests that failed together in front of all others, to be tried one by one.
    pub fn again_alone(&mut self, mut parts: Vec<Taken>) {
        parts.iter_mut().for_each(|part| part.is_alone = true);
        self.groups.push_front(parts.into());
    }
}
