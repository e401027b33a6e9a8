//! The backend: from the ring to the disk and back.
//!
//! ```text
//! ring → taken: copied, judged, mapped → gathered: in the order of sectors → merged, submitted
//!      ← answered ← unmapped ← completed
//! ```
//!
//! [`Backend::step`] does one of these things and comes back; between two steps the object can be dropped, once the device holds
//! nothing of it ([`Backend::in_flight`]). What the frontend then has no answer for it asks for again from whoever comes next.
//!
//! * A slot is copied once, and what was copied is judged. Nothing that the frontend writes later matters.
//! * Requests that are there together are sorted by sector, and neighbours become one for the device: they may be done in any order, since the frontend has
//!   no answer to any of them. Nothing moves across a flush.
//! * The device reads and writes the granted frames themselves: no byte is copied here.
//! * It has a limited number of frames mapped at a time. A request for which that leaves no room stays in the ring: so there is always room for
//!   other domains' requests, however many this one has.
//! * Nonsense in one request is that request's error. An index that makes no sense is the end of this ring.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;

use arrayvec::ArrayVec;
use guest_abi::io::blkif::{BlkOp, BlkStatus, MAX_SEGMENTS, Response64, SLOTS, Segment as Piece};
use guest_abi::io::ring::BackRing;

use super::counters::Counters;
use super::gather::{Gathered, Taken};
use super::judge::{self, MOST_INDIRECT};
use super::kept::Kept;
use super::ring::{Asked, Layout, RingPage};
use crate::block::fair::Seat;
use crate::block::{BlockError, Client, Device, Op, Request};

mod frames;

use frames::Frame;
pub use frames::{Guest, Mapping};

/// Most frames that are mapped: those of all requests that a ring can hold, and more that stay.
pub const MOST_MAPPED: usize = 1024;
/// Frames of one request: those of its segments, and one that says which they are.
pub const REQUEST_FRAMES: usize = MOST_INDIRECT + 1;
const _: () = assert!(MOST_MAPPED >= MAX_SEGMENTS * SLOTS as usize && MOST_MAPPED <= super::kept::MOST);

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something; there may be more.
    More,
    /// Nothing: an event will come, of the ring or of the device.
    Idle,
    /// The ring makes no sense. Nothing more is taken from it.
    Broken,
}

/// What the last step did: where a backend can be killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Point {
    /// Nothing yet.
    #[default]
    Begun,
    /// It took a request from the ring, and mapped it or answered that it makes no sense.
    Took,
    /// It gave requests to the disk.
    Submitted,
    /// It answered requests that the disk had done.
    Answered,
}

/// One frontend's backend.
pub struct Backend<G: Guest> {
    /// Maps, unmaps, tells.
    pub guest: G,
    page: Box<dyn RingPage>,
    layout: Layout,
    ring: BackRing,
    device: Rc<dyn Device>,
    client: Rc<Client>,
    /// Not submitted yet.
    gathered: Gathered,
    under_way: BTreeMap<u64, Vec<Taken>>,
    last_id: u64,
    /// Requests taken so far.
    taken: u64,
    /// Frames that are mapped, by their references, and how many may be.
    frames: Kept<Frame<G::Mapping>>,
    limit: usize,
    /// The frontend uses the same grants again and again: mappings stay.
    keeps: bool,
    /// Most segments of a request that has them in a page.
    most: usize,
    /// The segments of the request that is being taken.
    pieces: Vec<Piece>,
    /// How much the device had done for others when an event of the frontend came, until the end of the turn.
    heard: Option<u64>,
    /// The device takes no more before something of its is done.
    is_full: bool,
    is_broken: bool,
    is_killed: bool,
    point: Point,
    counters: Counters,
}

impl<G: Guest> Backend<G> {
    /// A backend of a ring in which everything without an answer is to be done. Where it `keeps` what it has mapped, the frontend has said that it uses the same
    /// grants again.
    #[must_use]
    pub fn new(
        guest: G,
        page: Box<dyn RingPage>,
        layout: Layout,
        device: Rc<dyn Device>,
        keeps: bool,
    ) -> Self {
        let ring = BackRing::attach(SLOTS, page.indices());
        let most = device.info().max_segments.min(MOST_INDIRECT);
        Self {
            guest,
            page,
            layout,
            ring,
            device,
            client: Client::new(),
            gathered: Gathered::default(),
            under_way: BTreeMap::new(),
            last_id: 0,
            taken: 0,
            frames: Kept::new(),
            limit: MOST_MAPPED,
            keeps,
            most,
            pieces: Vec::new(),
            heard: None,
            is_full: false,
            is_broken: false,
            is_killed: false,
            point: Point::Begun,
            counters: Counters::default(),
        }
    }

    /// What it has done.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How many requests the device holds: while there are any, the object must not go.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.client.in_flight()
    }

    /// Takes nothing more from the ring, and submits nothing more: only what the device has is ended.
    pub fn stop(&mut self) {
        self.is_broken = true;
    }

    /// As if its domain had died here: nothing more is answered either. It goes when the device has nothing of it any more.
    pub fn kill(&mut self) {
        self.is_broken = true;
        self.is_killed = true;
    }

    /// What the last step did.
    #[must_use]
    pub fn point(&self) -> Point {
        self.point
    }

    /// Has at most `frames` mapped from now on, but always room for one request. What no request uses is unmapped for that.
    pub fn set_limit(&mut self, frames: usize) {
        self.limit = frames.clamp(REQUEST_FRAMES, MOST_MAPPED);
        self.make_room(0);
    }

    /// An event of the frontend came: what the next turn finds in the ring has been there since now.
    pub fn heard(&mut self) {
        let now = self.done_for_others();
        self.heard.get_or_insert(now);
    }

    /// A turn is over: what is in the ring from now on counts from when it is taken.
    pub fn turn_is_over(&mut self) {
        self.heard = None;
    }

    /// Sectors that the disk has done for others, as far as it is shared.
    fn done_for_others(&self) -> u64 {
        self.device.seat().map_or(0, Seat::done_for_others)
    }

    /// The device may take more now: something of it is done, perhaps somebody else's.
    pub fn device_has_room(&mut self) {
        self.is_full = false;
    }

    /// Does one thing.
    pub fn step(&mut self) -> Step {
        self.device.go_on();
        if self.client.has_completions() {
            self.is_full = false;
            self.point = Point::Answered;
            self.complete();
            return Step::More;
        }
        if self.is_broken {
            return Step::Broken;
        }
        // What it will need is not known before it is copied.
        let has_room = self.make_room(REQUEST_FRAMES);
        if has_room {
            match self.ring.take_request(self.page.indices()) {
                Err(_) => {
                    self.is_broken = true;
                    return Step::Broken;
                }
                Ok(Some(slot)) => {
                    self.point = Point::Took;
                    self.take(slot);
                    return Step::More;
                }
                Ok(None) => {}
            }
        }
        if !self.is_full && self.submit() {
            self.point = Point::Submitted;
            return Step::More;
        }
        if !has_room {
            // There will be when the device has done something.
            return Step::Idle;
        }
        match self.ring.check_requests(self.page.indices()) {
            Ok(true) => Step::More,
            Ok(false) => Step::Idle,
            Err(_) => {
                self.is_broken = true;
                Step::Broken
            }
        }
    }

    /// Takes one request: copies, judges, maps.
    fn take(&mut self, slot: u32) {
        let mut pieces = core::mem::take(&mut self.pieces);
        let asked = self.layout.request(&*self.page, slot, &mut pieces);
        self.counters.requests += 1;
        self.taken += 1;
        match self.accept(&asked, &mut pieces) {
            Ok(taken) => self.gathered.add(taken),
            Err(status) => self.answer(&[(asked.id, asked.operation)], status),
        }
        self.pieces = pieces;
    }

    /// Judges a request, and holds its memory.
    fn accept(&mut self, asked: &Asked, pieces: &mut Vec<Piece>) -> Result<Taken, BlkStatus> {
        let refuse = |counters: &mut Counters, status| {
            counters.refused += 1;
            status
        };
        let op = judge::operation(asked, self.most).map_err(|status| refuse(&mut self.counters, status))?;
        if asked.is_indirect {
            self.fetch(asked, pieces)?;
        }
        let wanted = judge::judge(op, asked, pieces).map_err(|status| refuse(&mut self.counters, status))?;
        // A read from the disk writes to memory.
        let (segments, own) = self.hold(pieces, op == Op::Read)?;
        Ok(Taken {
            id: asked.id,
            operation: asked.operation,
            op,
            sector: wanted.sector,
            sectors: wanted.sectors,
            segments,
            own,
            number: self.taken,
            is_alone: false,
            came: self.heard.unwrap_or_else(|| self.done_for_others()),
        })
    }

    /// Submits the next request with the neighbours that belong to it; `false` where there is none, or no room.
    fn submit(&mut self) -> bool {
        let Some(run) = self.gathered.next(self.device.info().max_segments) else {
            return false;
        };
        let request = Request::new(
            run.op,
            run.sector,
            run.segments,
            self.last_id + 1,
            self.client.clone(),
        );
        let bytes = request.sectors() * crate::block::SECTOR as u64;
        let answer = match self.device.submit(request) {
            Err(refused) if refused.error == BlockError::Busy => {
                self.gathered.put_back(run.count, refused.request.segments);
                self.is_full = true;
                return false;
            }
            answer => answer,
        };
        self.last_id += 1;
        let parts = self.gathered.take(run.count);
        match answer {
            Ok(()) => {
                self.counters.submitted += 1;
                self.counters.bytes += bytes;
                self.counters.copied += if self.device.info().is_copying { bytes } else { 0 };
                self.under_way.insert(self.last_id, parts);
            }
            Err(refused) => self.failed(parts, refused.error),
        }
        true
    }

    /// Takes all that the device has done, and answers it together: one unmapping, one event.
    fn complete(&mut self) {
        let mut done = Vec::new();
        while let Some(completion) = self.client.take() {
            // The device answers what it was asked, once.
            let Some(parts) = self.under_way.remove(&completion.id) else {
                continue;
            };
            match completion.result {
                Err(error) if !self.is_killed => self.failed(parts, error),
                _ => done.extend(parts),
            }
        }
        if self.is_killed {
            self.release(done.iter().flat_map(|part| &part.own));
        } else if !done.is_empty() {
            self.finish(done, BlkStatus::OKAY);
        }
    }

    /// Requests that the device did not do. What failed together is tried alone, so that each has an answer of its own.
    fn failed(&mut self, parts: Vec<Taken>, error: BlockError) {
        if parts.len() > 1 && error != BlockError::Gone {
            return self.gathered.again_alone(parts);
        }
        self.counters.failed += parts.len() as u64;
        self.finish(parts, BlkStatus::ERROR);
    }

    /// Unmaps what does not stay, and answers.
    fn finish(&mut self, parts: Vec<Taken>, status: BlkStatus) {
        let mut answers = ArrayVec::<_, { SLOTS as usize }>::new();
        let now = self.done_for_others();
        for part in &parts {
            self.counters.count_wait(now - part.came);
            // A request has a slot, and there are no more slots.
            answers.push((part.id, part.operation));
        }
        // All by one call, before anybody is told.
        self.release(parts.iter().flat_map(|part| &part.own));
        self.answer(&answers, status);
    }

    fn answer(&mut self, requests: &[(u64, BlkOp)], status: BlkStatus) {
        for &(id, operation) in requests {
            let Some(slot) = self.ring.respond() else {
                break;
            };
            let response = Response64 {
                id,
                operation,
                pad0: 0,
                status,
                pad1: 0,
            };
            self.layout.put_response(&*self.page, slot, response);
        }
        if self.ring.push_responses(self.page.indices()) {
            self.counters.notified += 1;
            self.guest.notify();
        }
    }
}

impl<G: Guest> Drop for Backend<G> {
    fn drop(&mut self) {
        debug_assert_eq!(
            self.client.in_flight(),
            0,
            "the device still has the frontend's memory"
        );
        let all = self.frames.take_all();
        self.unmap(all.into_iter().map(|frame| frame.mapping).collect());
    }
}

const _: () = assert!(MAX_SEGMENTS <= SLOTS as usize);
