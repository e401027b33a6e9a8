//! The backend: from the rings to the bridge and back.
//!
//! ```text
//! sending    slots ─► copied once, judged, paid for ─► fetched (one call), checksums filled in ─► passed on, answered (one event)
//! receiving  Switch ─► frames with a buffer each ────► delivered (one call) ─► answered (one event)
//! ```
//!
//! [`Backend::step`] does one of these things, for at most [`BATCH`] frames, and comes back; between two steps the object can be dropped. Frames that
//! were on the way then are lost, as on a wire.
//!
//! * A slot is copied once, and what was copied is judged. What the frame's sender writes into its page later may or may not be
//!   in the frame; all that the bridge judges is the copy.
//! * Nonsense in one request is that request's error. An index that makes no sense is the end of these rings.
//! * Sending and receiving take turns, so neither keeps the other from its work.
//! * A frontend without buffers for frames that wait keeps its queue full, and nobody else waits for it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use guest_abi::io::netif::{NetStatus, RX_SLOTS, RxFlags, RxResponse, TX_SLOTS, TxRequest, TxResponse};
use guest_abi::io::ring::{BackRing, RingError};
use zerocopy::FromZeros;

use super::bucket::{Bucket, Rate};
use super::counters::Counters;
use super::guest::{Deliver, Fetch, Guest, NotFetched, Switch};
use super::judge::{Judge, MOST_PIECES, Pieces, Slot};
use super::slots::{Rx, Slots, Tx};
use crate::blkif::RingPage;

/// Most frames of a step.
pub const BATCH: usize = 16;
/// Most pieces of a step's frames.
pub const BATCH_PIECES: usize = BATCH - 1 + MOST_PIECES;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something; there may be more.
    More,
    /// Nothing: an event will come, of the rings or of the bridge.
    Idle,
    /// Nothing before that time: the frontend has sent what it may.
    Later(u64),
    /// The rings make no sense. Nothing more is taken from them.
    Broken,
}

/// What the last step did: where a backend can be killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Point {
    /// It took requests to send, and copied their frames or saw that they make no sense.
    #[default]
    Fetched,
    /// It passed these on, and answered.
    Passed,
    /// It copied frames into the frontend's buffers.
    Delivered,
    /// It answered with these.
    Answered,
}

impl Point {
    /// How many kinds of steps there are.
    pub const COUNT: usize = 4;
}

/// A ring.
struct Half {
    page: Box<dyn RingPage>,
    ring: BackRing,
}

impl Half {
    fn take(&mut self) -> Result<Option<u32>, RingError> {
        self.ring.take_request(self.page.indices())
    }

    fn check(&self) -> Result<bool, RingError> {
        self.ring.check_requests(self.page.indices())
    }

    fn push(&mut self) -> bool {
        self.ring.push_responses(self.page.indices())
    }
}

/// One frontend's backend.
pub struct Backend<G: Guest> {
    /// Copies, tells.
    pub guest: G,
    tx: Half,
    rx: Half,
    judge: Judge,
    bucket: Bucket,
    /// A frame that was judged and waits for its turn by the rate.
    unpaid: Option<Fetch<G::Frame>>,
    /// When there is something in the bucket for it.
    paid_at: u64,
    /// Requests of frames, with what came of them, until they are answered.
    fetched: Vec<Fetch<G::Frame>>,
    /// Frames that are being copied to the frontend; empty between two steps.
    delivering: Vec<Deliver<G::Frame>>,
    /// Buffers, each with how much is in it, until they are answered.
    delivered: Vec<(u16, Option<usize>)>,
    sends_next: bool,
    point: Point,
    is_broken: bool,
    counters: Counters,
}

impl<G: Guest> Backend<G> {
    /// A backend of two rings in which everything without an answer is to be done.
    #[must_use]
    pub fn new(guest: G, tx: Box<dyn RingPage>, rx: Box<dyn RingPage>, rate: Option<Rate>, now: u64) -> Self {
        let half = |page: Box<dyn RingPage>, slots| Half {
            ring: BackRing::attach(slots, page.indices()),
            page,
        };
        Self {
            guest,
            tx: half(tx, TX_SLOTS),
            rx: half(rx, RX_SLOTS),
            judge: Judge::default(),
            bucket: Bucket::new(rate, now),
            unpaid: None,
            paid_at: 0,
            fetched: Vec::with_capacity(BATCH),
            delivering: Vec::with_capacity(BATCH),
            delivered: Vec::with_capacity(BATCH),
            sends_next: false,
            point: Point::default(),
            is_broken: false,
            counters: Counters::default(),
        }
    }

    /// What it has done.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// What the last step did that did something.
    #[must_use]
    pub fn point(&self) -> Point {
        self.point
    }

    /// How much the frontend may send from now on.
    pub fn set_rate(&mut self, rate: Option<Rate>, now: u64) {
        if rate != self.bucket.rate() {
            self.bucket = Bucket::new(rate, now);
            self.paid_at = now;
        }
    }

    /// Does one thing.
    pub fn step(&mut self, switch: &mut impl Switch<G::Frame>, now: u64) -> Step {
        if self.is_broken {
            return Step::Broken;
        }
        self.try_step(switch, now).unwrap_or_else(|_| {
            self.is_broken = true;
            Step::Broken
        })
    }

    fn try_step(&mut self, switch: &mut impl Switch<G::Frame>, now: u64) -> Result<Step, RingError> {
        if !self.fetched.is_empty() {
            self.point = Point::Passed;
            self.answer_sent(switch, now);
            return Ok(Step::More);
        }
        if !self.delivered.is_empty() {
            self.point = Point::Answered;
            self.answer_received();
            return Ok(Step::More);
        }
        self.sends_next = !self.sends_next;
        let first = self.sends_next;
        let mut has_done = false;
        for sends in [first, !first] {
            self.point = if sends { Point::Fetched } else { Point::Delivered };
            has_done = if sends {
                self.send(now)?
            } else {
                self.receive(switch)?
            };
            if has_done {
                break;
            }
        }
        if has_done {
            return Ok(Step::More);
        }
        // Whoever sends while its rate does not allow it need not tell us.
        if self.unpaid.is_some() {
            return Ok(Step::Later(self.paid_at));
        }
        Ok(if self.tx.check()? { Step::More } else { Step::Idle })
    }

    /// Takes requests to send, and copies their frames; `false` where there was nothing to do.
    fn send(&mut self, now: u64) -> Result<bool, RingError> {
        let mut pieces_wanted = 0;
        while self.fetched.len() < BATCH && pieces_wanted < BATCH {
            let fetch = match self.unpaid.take() {
                Some(fetch) => fetch,
                None => match self.next_frame()? {
                    Some(fetch) => fetch,
                    None => break,
                },
            };
            if let Err(at) = self.bucket.take(fetch.len.into(), now) {
                if self.paid_at != at {
                    self.counters.throttled += 1;
                }
                self.paid_at = at;
                self.unpaid = Some(fetch);
                break;
            }
            pieces_wanted += fetch.pieces.count();
            self.fetched.push(fetch);
        }
        if pieces_wanted > 0 {
            self.counters.copies += 1;
            self.guest.fetch(&mut self.fetched);
        }
        for fetch in &mut self.fetched {
            fetch.complete::<G>();
            match fetch.frame {
                Ok(_) | Err(NotFetched::Extra) => {}
                Err(NotFetched::Memory) => self.counters.no_memory += 1,
                Err(NotFetched::Checksum) => self.counters.refused += 1,
                Err(NotFetched::Refused) => self.counters.refused += fetch.pieces.count() as u64,
                Err(NotFetched::Grant | NotFetched::Untried) => self.counters.bad_grants += 1,
            }
        }
        Ok(!self.fetched.is_empty())
    }

    /// The next frame that is to be sent. Requests before it that are not to be done are noted for their answers; `None` where there is none now.
    fn next_frame(&mut self) -> Result<Option<Fetch<G::Frame>>, RingError> {
        while self.fetched.len() < BATCH
            && let Some(slot) = self.tx.take()?
        {
            self.counters.requests += 1;
            match self.judge.judge(Tx::request(&*self.tx.page, slot)) {
                Slot::Frame(pieces) => return Ok(Some(Fetch::new(pieces))),
                Slot::Piece => {}
                Slot::Refused(pieces, _) => {
                    self.fetched.push(Fetch::refused(pieces, NotFetched::Refused));
                }
                Slot::Extra => {
                    let nothing = Pieces::one(TxRequest::new_zeroed());
                    self.fetched.push(Fetch::refused(nothing, NotFetched::Extra));
                }
            }
        }
        Ok(None)
    }

    /// Passes frames on and answers.
    fn answer_sent(&mut self, switch: &mut impl Switch<G::Frame>, now: u64) {
        for fetch in self.fetched.drain(..) {
            let status = fetch.status();
            if let Ok(frame) = fetch.frame {
                self.counters.sent += 1;
                switch.pass(frame, now);
            }
            for piece in fetch.pieces.iter() {
                if let Some(slot) = self.tx.ring.respond() {
                    let id = piece.id;
                    Tx::put_response(&*self.tx.page, slot, TxResponse { id, status });
                }
            }
        }
        let must_notify = self.tx.push();
        self.notify(must_notify);
    }

    /// Copies frames into buffers; `false` where there was nothing to do.
    fn receive(&mut self, switch: &mut impl Switch<G::Frame>) -> Result<bool, RingError> {
        while self.delivering.len() < BATCH && switch.has_frames() {
            let Some(slot) = self.rx.take()? else {
                if self.delivering.is_empty() && self.rx.check()? {
                    continue;
                }
                break;
            };
            let request = Rx::request(&*self.rx.page, slot);
            let Some(frame) = switch.take() else {
                // It said that there is one. The buffer goes back empty.
                self.delivered.push((request.id, None));
                break;
            };
            self.delivered.push((request.id, Some(frame.as_ref().len())));
            self.delivering.push(Deliver {
                gref: request.gref,
                frame,
                is_done: false,
            });
        }
        if !self.delivering.is_empty() {
            self.counters.copies += 1;
            self.guest.deliver(&mut self.delivering);
            for (deliver, (_, len)) in self.delivering.drain(..).zip(&mut self.delivered) {
                if deliver.is_done {
                    self.counters.received += 1;
                } else {
                    self.counters.bad_grants += 1;
                    *len = None;
                }
            }
        } else if switch.has_frames() {
            self.counters.starved += 1;
        }
        Ok(!self.delivered.is_empty())
    }

    /// Answers with what was delivered.
    fn answer_received(&mut self) {
        for (id, len) in self.delivered.drain(..) {
            let Some(slot) = self.rx.ring.respond() else {
                break;
            };
            let len = len.and_then(|len| i16::try_from(len).ok());
            let response = RxResponse {
                id,
                offset: 0,
                flags: RxFlags::empty(),
                status: len.unwrap_or(NetStatus::ERROR.raw()),
            };
            Rx::put_response(&*self.rx.page, slot, response);
        }
        let must_notify = self.rx.push();
        self.notify(must_notify);
    }

    fn notify(&mut self, must: bool) {
        if must {
            self.counters.notified += 1;
            self.guest.notify();
        }
    }
}
