//! The signals of a process: what is pending, blocked and to be done; and, in `frame`, what a handler finds on its stack.

use crate::linux::signal::{ActionFlags, SigAction, SigSet, Signal};

mod frame;

pub use frame::*;

/// How many actions there are: numbers 0 to 64, the first unused.
const ACTIONS: usize = Signal::MAX as usize + 1;

/// The state of one process.
#[derive(Clone, Debug)]
pub struct Signals {
    /// Sent and not yet acted upon.
    pub pending: SigSet,
    /// Not acted upon for now.
    pub blocked: SigSet,
    /// The mask to go back to after the handler that ends an rt_sigsuspend.
    pub suspended: Option<SigSet>,
    actions: [SigAction; ACTIONS],
}

impl Default for Signals {
    fn default() -> Self {
        Self {
            pending: SigSet::EMPTY,
            blocked: SigSet::EMPTY,
            suspended: None,
            actions: [SigAction::default(); ACTIONS],
        }
    }
}

/// What happens to a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Nothing.
    Ignore,
    /// The process ends.
    Terminate,
    /// This handler is called.
    Catch(SigAction),
}

impl Signals {
    /// The action for `signal`.
    #[must_use]
    pub fn action(&self, signal: Signal) -> SigAction {
        self.actions[usize::from(signal.number())]
    }

    /// Changes the action for `signal`. A pending signal that is now ignored is gone.
    pub fn set_action(&mut self, signal: Signal, action: SigAction) {
        self.actions[usize::from(signal.number())] = action;
        if self.disposition(signal) == Disposition::Ignore {
            self.pending.remove(signal);
        }
    }

    /// What would happen to `signal` now, were it not blocked.
    #[must_use]
    pub fn disposition(&self, signal: Signal) -> Disposition {
        let action = self.action(signal);
        match action.handler {
            SigAction::IGNORE => Disposition::Ignore,
            SigAction::DEFAULT if signal.is_ignored_by_default() => Disposition::Ignore,
            SigAction::DEFAULT => Disposition::Terminate,
            _ => Disposition::Catch(action),
        }
    }

    /// Makes `signal` pending, unless it would be ignored. (A blocked signal is kept even if it is ignored now: the
    /// program may wait for it.)
    pub fn send(&mut self, signal: Signal) {
        if self.blocked.contains(signal) || self.disposition(signal) != Disposition::Ignore {
            self.pending.insert(signal);
        }
    }

    /// Whether something is pending that is neither blocked nor ignored: it ends a sleep.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.next_due().is_some()
    }

    fn next_due(&self) -> Option<Signal> {
        let mut due = self.pending.without(self.blocked).iter();
        due.find(|signal| self.disposition(*signal) != Disposition::Ignore)
    }

    /// Takes the next signal that is due, with what is to be done.
    pub fn take(&mut self) -> Option<(Signal, Disposition)> {
        let signal = self.next_due()?;
        self.pending.remove(signal);
        Some((signal, self.disposition(signal)))
    }

    /// What changes when a handler begins: the mask, and the action if it is for once only. Gives the mask that is
    /// to be restored.
    pub fn begin(&mut self, signal: Signal, action: &SigAction) -> SigSet {
        let old = self.suspended.take().unwrap_or(self.blocked);
        let mut mask = self.blocked.union(action.mask);
        if !action.flags.contains(ActionFlags::NODEFER) {
            mask.insert(signal);
        }
        self.blocked = mask.blockable();
        if action.flags.contains(ActionFlags::RESETHAND) {
            self.actions[usize::from(signal.number())] = SigAction::default();
        }
        old
    }

    /// What a new program keeps: the mask, what is pending, and what is ignored.
    pub fn exec(&mut self) {
        for action in &mut self.actions {
            if action.is_caught() {
                *action = SigAction::default();
            }
        }
        self.suspended = None;
    }
}

#[cfg(test)]
mod tests;
