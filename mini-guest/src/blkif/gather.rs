//! Requests that wait for the disk in a backend: in the order of their sectors, so that neighbours can become one request.
//!
//! They may be done in any order, since the frontend has no answer to any of them. Nothing moves across a flush, so they lie in groups.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use guest_abi::io::blkif::BlkOp;

use super::backend::Mapping;
use super::judge::Wanted;
use crate::block::{Op, Segment};

/// A request on its way.
#[derive(Debug)]
pub(super) struct Taken<M> {
    /// The frontend's number.
    pub id: u64,
    pub operation: BlkOp,
    pub wanted: Wanted,
    pub mappings: Vec<M>,
    /// It failed together with others and is done alone now.
    pub is_alone: bool,
    /// How much the disk had done for others when it came.
    pub came: u64,
}

impl<M: Mapping> Taken<M> {
    fn segments(&self) -> impl Iterator<Item = Segment> {
        let pieces = self.wanted.pieces.iter().zip(&self.mappings);
        pieces.map(|(piece, mapping)| mapping.segment(piece.offset, piece.len))
    }

    fn end(&self) -> u64 {
        // Judged not to wrap around.
        self.wanted.sector.saturating_add(self.wanted.sectors())
    }

    fn is_flush(&self) -> bool {
        self.wanted.op == Op::Flush
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
#[derive(Debug)]
pub(super) struct Gathered<M> {
    groups: VecDeque<Vec<Taken<M>>>,
}

impl<M> Default for Gathered<M> {
    fn default() -> Self {
        Self {
            groups: VecDeque::new(),
        }
    }
}

impl<M: Mapping> Gathered<M> {
    /// Adds a request where it belongs.
    pub fn add(&mut self, taken: Taken<M>) {
        match self.groups.back_mut() {
            Some(group) if !taken.is_flush() && !group.iter().any(Taken::is_flush) => {
                let at = group.partition_point(|other| other.wanted.sector <= taken.wanted.sector);
                group.insert(at, taken);
            }
            _ => self.groups.push_back(Vec::from([taken])),
        }
    }

    /// The first request with the neighbours that belong to it, of at most `most` pieces if they are several.
    pub fn next(&self, most: usize) -> Option<Run> {
        let group = self.groups.front()?;
        let (first, rest) = group.split_first()?;
        let (mut last, mut count) = (first, 1);
        let mut segments: Vec<Segment> = first.segments().collect();
        for next in rest {
            let fits = segments.len() + next.wanted.pieces.len() <= most;
            let is_neighbour = last.end() == next.wanted.sector && last.wanted.op == next.wanted.op;
            if !fits || !is_neighbour || last.is_alone || next.is_alone {
                break;
            }
            segments.extend(next.segments());
            (last, count) = (next, count + 1);
        }
        Some(Run {
            op: first.wanted.op,
            sector: first.wanted.sector,
            segments,
            count,
        })
    }

    /// Takes what a [`Run`] is made of.
    pub fn take(&mut self, count: usize) -> Vec<Taken<M>> {
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
    pub fn again_alone(&mut self, mut parts: Vec<Taken<M>>) {
        parts.iter_mut().for_each(|part| part.is_alone = true);
        self.groups.push_front(parts);
    }
}

impl<M> Gathered<M> {
    /// Takes all.
    pub fn take_all(&mut self) -> impl Iterator<Item = Taken<M>> + use<M> {
        core::mem::take(&mut self.groups).into_iter().flatten()
    }
}
