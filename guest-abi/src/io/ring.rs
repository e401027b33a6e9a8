//! Request rings: one page in which a frontend posts requests and a backend answers in the same slots.
//!
//! ```text
//!  0          4            8          12            64
//!  req_prod   req_event    rsp_prod   rsp_event     slots, a power of two of them
//! ```
//!
//! Indices are free-running `u32`; the slot is the index modulo the number of slots. `req_prod` belongs to
//! the frontend and `rsp_prod` to the backend; each side keeps how far it has consumed to itself. A
//! producer writes slots, then moves its index ([`FrontRing::push_requests`],
//! [`BackRing::push_responses`]); a consumer asks to be notified by setting the other side's event index to
//! one past what it has consumed, and looks once more ([`FrontRing::check_responses`],
//! [`BackRing::check_requests`]). Between the write of the one index and the read of the other stands a
//! full fence on both sides, so at least one of them sees the other: no notification is lost.
//!
//! Only indices are touched here. Slots are copied by the caller: *once*, before they are judged, since the
//! other side may change them at any time. An index of the other side is believed only as far as it makes
//! sense ([`RingError`]); after an error the ring is beyond repair.
//!
//! Source: Xen 4.x, `public/io/ring.h`.

#[cfg(not(all(test, loom)))]
use core::sync::atomic::{AtomicU32, Ordering, fence};
#[cfg(all(test, loom))]
use loom::sync::atomic::{AtomicU32, Ordering, fence};

use crate::addr::PAGE_SIZE;

/// Byte offset of the first slot in the page.
pub const SLOTS_OFFSET: usize = 64;

/// How many slots of `bytes` fit into a page: the largest power of two.
#[must_use]
pub const fn slots(bytes: usize) -> u32 {
    let fit = (PAGE_SIZE - SLOTS_OFFSET) / bytes;
    1 << fit.ilog2()
}

/// The indices at the start of the page, as both sides see them.
#[derive(Debug, Default)]
#[repr(C)]
pub struct RingIndices {
    /// Requests posted.
    pub req_prod: AtomicU32,
    /// The backend wants to hear of this request.
    pub req_event: AtomicU32,
    /// Responses given.
    pub rsp_prod: AtomicU32,
    /// The frontend wants to hear of this response.
    pub rsp_event: AtomicU32,
}

#[cfg(not(all(test, loom)))]
layout!(RingIndices, size 16, req_prod @ 0, req_event @ 4, rsp_prod @ 8, rsp_event @ 12);

impl RingIndices {
    /// Makes a page's indices those of an empty ring. For the frontend, before the backend sees the page.
    pub fn init(&self) {
        self.req_prod.store(0, Ordering::Relaxed);
        self.rsp_prod.store(0, Ordering::Relaxed);
        self.req_event.store(1, Ordering::Relaxed);
        self.rsp_event.store(1, Ordering::Release);
    }
}

/// The other side's index makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingError {
    /// The frontend claims more requests than there are slots.
    RequestsOverrun {
        /// How many it claims that have no response yet.
        claimed: u32,
    },
    /// The backend claims more responses than there are requests outstanding.
    ResponsesOverrun {
        /// How many it claims that were not consumed yet.
        claimed: u32,
    },
}

impl core::fmt::Display for RingError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::RequestsOverrun { claimed } => write!(f, "ring claims {claimed} requests"),
            Self::ResponsesOverrun { claimed } => write!(f, "ring claims {claimed} responses"),
        }
    }
}

impl core::error::Error for RingError {}

/// Moves a producer index from `old` to `new` and says whether the other side asked to hear of it.
fn publish(prod: &AtomicU32, event: &AtomicU32, old: u32, new: u32) -> bool {
    prod.store(new, Ordering::Release);
    fence(Ordering::SeqCst);
    // The event index lies in (old, new].
    let event = event.load(Ordering::Relaxed);
    new.wrapping_sub(event) < new.wrapping_sub(old)
}

/// The frontend's side: what it alone knows.
#[derive(Clone, Debug)]
pub struct FrontRing {
    slots: u32,
    req_prod: u32,
    pushed: u32,
    rsp_cons: u32,
}

impl FrontRing {
    /// An empty ring of `slots` slots.
    ///
    /// # Panics
    /// `slots` is not a power of two.
    #[must_use]
    pub const fn new(slots: u32) -> Self {
        assert!(slots.is_power_of_two());
        Self {
            slots,
            req_prod: 0,
            pushed: 0,
            rsp_cons: 0,
        }
    }

    /// How many requests can be posted now.
    #[must_use]
    pub const fn free(&self) -> u32 {
        self.slots - self.outstanding()
    }

    /// How many requests were reserved whose response was not taken yet.
    #[must_use]
    pub const fn outstanding(&self) -> u32 {
        self.req_prod.wrapping_sub(self.rsp_cons)
    }

    /// Reserves the next slot: its number, or `None` if all are in use. The backend sees nothing before
    /// [`Self::push_requests`].
    pub fn reserve(&mut self) -> Option<u32> {
        if self.free() == 0 {
            return None;
        }
        let slot = self.req_prod & (self.slots - 1);
        self.req_prod = self.req_prod.wrapping_add(1);
        Some(slot)
    }

    /// Shows the backend all slots reserved since the last time, which must be filled by now. Returns whether
    /// the backend must be notified.
    #[must_use = "a backend that asked for it must be notified"]
    pub fn push_requests(&mut self, shared: &RingIndices) -> bool {
        let old = core::mem::replace(&mut self.pushed, self.req_prod);
        publish(&shared.req_prod, &shared.req_event, old, self.req_prod)
    }

    /// Takes the next response: its slot's number, or `None` if there is none. The slot must be copied before
    /// the next [`Self::reserve`].
    ///
    /// # Errors
    /// The backend claims more responses than there are requests.
    pub fn take_response(&mut self, shared: &RingIndices) -> Result<Option<u32>, RingError> {
        if self.unconsumed(shared)? == 0 {
            return Ok(None);
        }
        let slot = self.rsp_cons & (self.slots - 1);
        self.rsp_cons = self.rsp_cons.wrapping_add(1);
        Ok(Some(slot))
    }

    /// Asks to be notified of the next response, after all there were are taken. `true`: there is one
    /// already, take it instead of waiting.
    ///
    /// # Errors
    /// The backend claims more responses than there are requests.
    pub fn check_responses(&self, shared: &RingIndices) -> Result<bool, RingError> {
        if self.unconsumed(shared)? != 0 {
            return Ok(true);
        }
        shared
            .rsp_event
            .store(self.rsp_cons.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::SeqCst);
        Ok(self.unconsumed(shared)? != 0)
    }

    fn unconsumed(&self, shared: &RingIndices) -> Result<u32, RingError> {
        let claimed = shared
            .rsp_prod
            .load(Ordering::Acquire)
            .wrapping_sub(self.rsp_cons);
        // Only requests that the backend could see can have been answered.
        let possible = self.pushed.wrapping_sub(self.rsp_cons);
        if claimed > possible {
            Err(RingError::ResponsesOverrun { claimed })
        } else {
            Ok(claimed)
        }
    }
}

/// The backend's side: what it alone knows.
#[derive(Clone, Debug)]
pub struct BackRing {
    slots: u32,
    rsp_prod: u32,
    pushed: u32,
    req_cons: u32,
}

impl BackRing {
    /// A ring of `slots` slots in which nothing was consumed.
    ///
    /// # Panics
    /// `slots` is not a power of two.
    #[must_use]
    pub const fn new(slots: u32) -> Self {
        assert!(slots.is_power_of_two());
        Self {
            slots,
            rsp_prod: 0,
            pushed: 0,
            req_cons: 0,
        }
    }

    /// A ring that another backend served before: everything it answered is done, everything else is to be
    /// consumed (again).
    ///
    /// # Panics
    /// `slots` is not a power of two.
    #[must_use]
    pub fn attach(slots: u32, shared: &RingIndices) -> Self {
        let done = shared.rsp_prod.load(Ordering::Acquire);
        Self {
            rsp_prod: done,
            pushed: done,
            req_cons: done,
            ..Self::new(slots)
        }
    }

    /// How many requests were taken and not answered yet.
    #[must_use]
    pub const fn in_flight(&self) -> u32 {
        self.req_cons.wrapping_sub(self.rsp_prod)
    }

    /// Takes the next request: its slot's number, or `None` if there is none. The slot must be copied before
    /// the next [`Self::respond`].
    ///
    /// # Errors
    /// The frontend claims more requests than there are slots, or took some back.
    pub fn take_request(&mut self, shared: &RingIndices) -> Result<Option<u32>, RingError> {
        if self.unconsumed(shared)? == 0 {
            return Ok(None);
        }
        let slot = self.req_cons & (self.slots - 1);
        self.req_cons = self.req_cons.wrapping_add(1);
        Ok(Some(slot))
    }

    /// Reserves the slot of the next response, or `None` if every request taken is answered. The frontend
    /// sees nothing before [`Self::push_responses`].
    pub fn respond(&mut self) -> Option<u32> {
        if self.in_flight() == 0 {
            return None;
        }
        let slot = self.rsp_prod & (self.slots - 1);
        self.rsp_prod = self.rsp_prod.wrapping_add(1);
        Some(slot)
    }

    /// Shows the frontend all responses reserved since the last time, which must be filled by now. Returns
    /// whether the frontend must be notified.
    #[must_use = "a frontend that asked for it must be notified"]
    pub fn push_responses(&mut self, shared: &RingIndices) -> bool {
        let old = core::mem::replace(&mut self.pushed, self.rsp_prod);
        publish(&shared.rsp_prod, &shared.rsp_event, old, self.rsp_prod)
    }

    /// Asks to be notified of the next request, after all there were are taken. `true`: there is one already,
    /// take it instead of waiting.
    ///
    /// # Errors
    /// The frontend claims more requests than there are slots, or took some back.
    pub fn check_requests(&self, shared: &RingIndices) -> Result<bool, RingError> {
        if self.unconsumed(shared)? != 0 {
            return Ok(true);
        }
        shared
            .req_event
            .store(self.req_cons.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::SeqCst);
        Ok(self.unconsumed(shared)? != 0)
    }

    fn unconsumed(&self, shared: &RingIndices) -> Result<u32, RingError> {
        // Requests without a response shown to the frontend: those taken, and those still to take.
        let claimed = shared.req_prod.load(Ordering::Acquire).wrapping_sub(self.pushed);
        let taken = self.req_cons.wrapping_sub(self.pushed);
        match claimed.checked_sub(taken) {
            Some(new) if claimed <= self.slots => Ok(new),
            _ => Err(RingError::RequestsOverrun { claimed }),
        }
    }
}

#[cfg(all(test, not(loom)))]
#[path = "ring_tests.rs"]
mod tests;

#[cfg(all(test, loom))]
#[path = "ring_loom.rs"]
mod loom_tests;
