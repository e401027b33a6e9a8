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

use guest_abi::io::netif::{
    NetStatus, RX_SLOTS, RxFlags, RxResponse, TX_SLOTS, TxFlags, TxRequest, TxResponse,
};
use guest_abi::io::ring::{BackRing, RingError};

use super::bucket::{Bucket, Rate};
use super::judge::{Follows, Slot};
use super::slots::{Rx, Slots, Tx};
use crate::blkif::RingPage;
use crate::net::checksum;

/// Most frames of a step.
pub const BATCH: usize = 16;

/// A frame to be copied out of a granted page.
#[derive(Debug)]
pub struct Fetch<F> {
    /// The page's grant.
    pub gref: u32,
    /// First byte in it; the bytes are inside the page.
    pub offset: u16,
    /// How many.
    pub len: u16,
    /// Its sender has left a checksum to us.
    pub is_blank: bool,
    /// What came of it.
    pub frame: Result<F, NotFetched>,
}

impl<F> Fetch<F> {
    /// The frame as it goes to others: with its checksum.
    fn completed<G: Guest<Frame = F>>(self) -> Result<F, NotFetched> {
        let mut frame = self.frame?;
        if self.is_blank {
            let bytes = G::bytes(&mut frame).ok_or(NotFetched::Memory)?;
            checksum::fill(bytes).map_err(|_| NotFetched::Checksum)?;
        }
        Ok(frame)
    }
}

/// Why there is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFetched {
    /// Nobody tried.
    Untried,
    /// The page is not granted.
    Grant,
    /// There is no memory for it.
    Memory,
    /// Its sender has left a checksum to us, and there is none to compute.
    Checksum,
}

/// A frame to be copied into a granted page, at its beginning.
#[derive(Debug)]
pub struct Deliver<F> {
    /// The page's grant.
    pub gref: u32,
    /// The frame.
    pub frame: F,
    /// Whether it is there.
    pub is_done: bool,
}

/// What the backend needs of the domains.
pub trait Guest {
    /// A frame in memory of its own domain.
    type Frame: AsRef<[u8]>;

    /// The bytes of a frame that was just fetched, which nobody else has yet.
    fn bytes(frame: &mut Self::Frame) -> Option<&mut [u8]>;

    /// Copies frames out of granted pages.
    fn fetch(&mut self, frames: &mut [Fetch<Self::Frame>]);

    /// Copies frames into granted pages.
    fn deliver(&mut self, frames: &mut [Deliver<Self::Frame>]);

    /// Tells the frontend that there are answers.
    fn notify(&mut self);
}

/// The bridge's port.
pub trait Switch<F> {
    /// Takes a frame from the frontend.
    fn pass(&mut self, frame: F);

    /// Whether there is a frame for the frontend.
    fn has_frames(&self) -> bool;

    /// The next one.
    fn take(&mut self) -> Option<F>;
}

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

/// What a backend has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Slots taken from the ring of frames to send.
    pub requests: u64,
    /// Of them, refused as nonsense.
    pub refused: u64,
    /// Grants that were none, of either ring.
    pub bad_grants: u64,
    /// Frames that there was no memory for.
    pub no_memory: u64,
    /// Frames sent.
    pub sent: u64,
    /// Frames received.
    pub received: u64,
    /// How often frames waited and there was no buffer for them.
    pub starved: u64,
    /// How often the frontend had to wait by its rate.
    pub throttled: u64,
    /// Calls that copied frames.
    pub copies: u64,
    /// Events sent.
    pub notified: u64,
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

/// A slot's answer, and the frame that goes with it.
struct Answer<F> {
    id: u16,
    status: NetStatus,
    frame: Option<F>,
}

/// One frontend's backend.
pub struct Backend<G: Guest> {
    /// Copies, tells.
    pub guest: G,
    tx: Half,
    rx: Half,
    follows: Follows,
    bucket: Bucket,
    /// A request that was judged and waits for its turn by the rate.
    unpaid: Option<TxRequest>,
    /// When there is something in the bucket for it.
    paid_at: u64,
    fetched: Vec<Answer<G::Frame>>,
    delivered: Vec<(u16, Option<usize>)>,
    sends_next: bool,
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
            follows: Follows::default(),
            bucket: Bucket::new(rate, now),
            unpaid: None,
            paid_at: 0,
            fetched: Vec::new(),
            delivered: Vec::new(),
            sends_next: false,
            is_broken: false,
            counters: Counters::default(),
        }
    }

    /// What it has done.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
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
            self.answer_sent(switch);
            return Ok(Step::More);
        }
        if !self.delivered.is_empty() {
            self.answer_received();
            return Ok(Step::More);
        }
        self.sends_next = !self.sends_next;
        let first = self.sends_next;
        let mut has_done = false;
        for sends in [first, !first] {
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
        let mut wanted = Vec::new();
        while self.fetched.len() < BATCH {
            let request = match self.unpaid.take() {
                Some(request) => request,
                None => match self.next_frame()? {
                    Some(request) => request,
                    None => break,
                },
            };
            if let Err(at) = self.bucket.take(request.size.into(), now) {
                if self.paid_at != at {
                    self.counters.throttled += 1;
                }
                self.paid_at = at;
                self.unpaid = Some(request);
                break;
            }
            wanted.push(Fetch {
                gref: request.gref,
                offset: request.offset,
                len: request.size,
                is_blank: request.flags.contains(TxFlags::CSUM_BLANK),
                frame: Err(NotFetched::Untried),
            });
            self.fetched.push(Answer {
                id: request.id,
                status: NetStatus::OKAY,
                frame: None,
            });
        }
        if !wanted.is_empty() {
            self.counters.copies += 1;
            self.guest.fetch(&mut wanted);
            self.note_fetched(wanted);
        }
        Ok(!self.fetched.is_empty())
    }

    /// The next request that is to be done. Those before it that are not have their answers noted; `None` where there is none now.
    fn next_frame(&mut self) -> Result<Option<TxRequest>, RingError> {
        while self.fetched.len() < BATCH
            && let Some(slot) = self.tx.take()?
        {
            self.counters.requests += 1;
            let (id, status) = match self.follows.judge(Tx::request(&*self.tx.page, slot)) {
                Slot::Frame(request) => return Ok(Some(request)),
                Slot::Refused(id, _) => {
                    self.counters.refused += 1;
                    (id, NetStatus::ERROR)
                }
                Slot::Extra => (0, NetStatus::NULL),
            };
            let frame = None;
            self.fetched.push(Answer { id, status, frame });
        }
        Ok(None)
    }

    fn note_fetched(&mut self, fetched: Vec<Fetch<G::Frame>>) {
        let mut answers = self
            .fetched
            .iter_mut()
            .filter(|answer| answer.status == NetStatus::OKAY);
        for fetch in fetched {
            let Some(answer) = answers.next() else {
                break;
            };
            match fetch.completed::<G>() {
                Ok(frame) => answer.frame = Some(frame),
                Err(NotFetched::Memory) => {
                    self.counters.no_memory += 1;
                    // Nothing was wrong with it.
                    answer.status = NetStatus::DROPPED;
                }
                Err(NotFetched::Checksum) => {
                    self.counters.refused += 1;
                    answer.status = NetStatus::ERROR;
                }
                Err(NotFetched::Grant | NotFetched::Untried) => {
                    self.counters.bad_grants += 1;
                    answer.status = NetStatus::ERROR;
                }
            }
        }
    }

    /// Passes frames on and answers.
    fn answer_sent(&mut self, switch: &mut impl Switch<G::Frame>) {
        for Answer { id, status, frame } in core::mem::take(&mut self.fetched) {
            if let Some(frame) = frame {
                self.counters.sent += 1;
                switch.pass(frame);
            }
            if let Some(slot) = self.tx.ring.respond() {
                Tx::put_response(&*self.tx.page, slot, TxResponse { id, status });
            }
        }
        let must_notify = self.tx.push();
        self.notify(must_notify);
    }

    /// Copies frames into buffers; `false` where there was nothing to do.
    fn receive(&mut self, switch: &mut impl Switch<G::Frame>) -> Result<bool, RingError> {
        let mut wanted = Vec::new();
        while wanted.len() < BATCH && switch.has_frames() {
            let Some(slot) = self.rx.take()? else {
                if wanted.is_empty() && self.rx.check()? {
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
            wanted.push(Deliver {
                gref: request.gref,
                frame,
                is_done: false,
            });
        }
        if !wanted.is_empty() {
            self.counters.copies += 1;
            self.guest.deliver(&mut wanted);
            for (deliver, (_, len)) in wanted.iter().zip(&mut self.delivered) {
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
        for (id, len) in core::mem::take(&mut self.delivered) {
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
