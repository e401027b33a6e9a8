//! Who submits requests, and the queue of what came of them.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};

use super::BlockError;

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The number that the request had.
    pub id: u64,
    /// Whether all of it was done. After an error any part of it may have been.
    pub result: Result<(), BlockError>,
}

/// Somebody who submits requests.
#[derive(Debug, Default)]
pub struct Client {
    done: RefCell<VecDeque<Completion>>,
    in_flight: Cell<usize>,
}

impl Client {
    /// A client with nothing under way.
    #[must_use]
    pub fn new() -> Rc<Self> {
        Rc::new(Self::default())
    }

    /// Takes the oldest completion.
    pub fn take(&self) -> Option<Completion> {
        self.done.borrow_mut().pop_front()
    }

    /// Whether there is a completion to take.
    #[must_use]
    pub fn has_completions(&self) -> bool {
        !self.done.borrow().is_empty()
    }

    /// Requests that devices hold: begun, not complete.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.get()
    }

    /// A driver has taken a request of this client.
    pub fn begin(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
    }

    /// A queue that had begun a request has given it on to a driver, which has begun it too.
    pub(super) fn pass_on(&self) {
        self.in_flight.set(self.in_flight.get() - 1);
    }

    /// A driver is done with request `id`.
    pub(super) fn complete(&self, id: u64, result: Result<(), BlockError>) {
        self.in_flight.set(self.in_flight.get() - 1);
        self.done.borrow_mut().push_back(Completion { id, result });
    }
}
