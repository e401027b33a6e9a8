//! Rounds of writing everything, each with a flush at its end.
//!
//! A round begins with the blocks that are dirty then, waits until all writes are done, and flushes. Who wants what it has
//! committed to be on the medium waits for the next round that *begins* after that.

use core::cell::Cell;

use super::{BlockError, Cache, Missing, State};
use crate::block::Op;

/// A round that somebody waits for.
pub type Ticket = u64;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Idle,
    Writing,
    Flushing,
}

#[derive(Default)]
pub(super) struct Rounds {
    phase: Cell<Phase>,
    /// The round that runs or ran last; the first is 1.
    round: Cell<u64>,
    /// The last one that somebody waits for.
    wanted: Cell<u64>,
    /// What the round that runs has met.
    trouble: Cell<Option<BlockError>>,
    /// The last round that failed.
    failed: Cell<Option<(u64, BlockError)>>,
}

impl Cache {
    /// Asks that all that is committed by now reaches the medium.
    pub fn begin_sync(&self) -> Ticket {
        let rounds = &self.sync;
        let ticket = rounds.round.get() + 1;
        rounds.wanted.set(ticket);
        self.next_round();
        ticket
    }

    /// Whether it has.
    ///
    /// # Errors
    /// [`Missing::Wait`]: not yet; a block could not be written.
    pub fn poll_sync(&self, ticket: Ticket) -> Result<(), Missing> {
        let rounds = &self.sync;
        let is_over =
            rounds.round.get() > ticket || rounds.round.get() == ticket && rounds.phase.get() == Phase::Idle;
        if !is_over {
            return Err(Missing::Wait);
        }
        match rounds.failed.get() {
            Some((round, error)) if round >= ticket => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Begins a round, where one is wanted and none runs.
    fn next_round(&self) {
        let rounds = &self.sync;
        if rounds.phase.get() != Phase::Idle || rounds.wanted.get() <= rounds.round.get() {
            return;
        }
        rounds.round.set(rounds.round.get() + 1);
        rounds.trouble.set(None);
        rounds.phase.set(Phase::Writing);
        self.write_back();
        self.after_write();
    }

    /// A write or a flush is over.
    pub(super) fn write_ended(&self, op: Op, result: Result<(), BlockError>) {
        let rounds = &self.sync;
        if let Err(error) = result {
            rounds.trouble.set(Some(error));
        }
        if op == Op::Flush {
            self.round_ended();
        } else {
            self.after_write();
        }
    }

    /// Flushes when the last write of the round is done.
    fn after_write(&self) {
        if self.sync.phase.get() == Phase::Writing && !self.is_writing() {
            if self.sync.trouble.get().is_some() {
                self.round_ended();
            } else {
                self.sync.phase.set(Phase::Flushing);
                self.flush();
            }
        }
    }

    fn round_ended(&self) {
        let rounds = &self.sync;
        if rounds.phase.replace(Phase::Idle) == Phase::Idle {
            return;
        }
        if let Some(error) = rounds.trouble.take() {
            rounds.failed.set(Some((rounds.round.get(), error)));
        }
        self.next_round();
    }

    /// Whether there is anything that a round would write.
    #[must_use]
    pub fn has_dirty(&self) -> bool {
        let blocks = self.blocks.borrow();
        blocks.values().any(|block| block.state == State::Dirty)
    }
}
