//! Fair shares of a disk: a queue in front of one whole disk, with a [`Seat`] for each of its users.
//!
//! A seat is a [`Device`]; a partition lies over it. The disk has at most a [`WINDOW`] of work under way, whoever's it is; what does not fit waits at its
//! seat, and a seat that has as much waiting answers Busy, which concerns its own user alone. Free room goes to the seats
//! by start-time fair queueing: each request has a *start*, which is where the last request of the same seat ended, `work / weight` behind its start, but never
//! before the start of what was given to the disk last. The request with the smallest start is next.
//!
//! # What follows
//! - **Shares.** Among seats that always have something waiting the disk's work is divided by weight.
//! - **Nothing is lost.** A share that its user does not ask for goes to the others, and nobody saves up for later.
//! - **The wait of a single request** is at most what the disk has under way when it comes, and one request of each other seat: others'
//!   requests that wait have starts as small as its own at most once each. (A user that has had more than its share waits for as long
//!   as the others need to catch up.) Turns of a quantum each would make that a quantum of each other seat, in proportion to its weight.
//! - **Room is kept** for who has used the disk [lately](LATELY) and has nothing waiting just now: its part of the window by weight, all such parts together at
//!   most [`MOST_KEPT`]. So who asks for one thing after the other does not wait for a whole window each time. The disk never stands still for that.
//!
//! All that holds as far as the disk does what it has in some order that leaves nobody behind. That a driver refuses a request which should fit
//! decides nothing: the same request is the next one when something is complete.
//!
//! What a request takes of the window is in a [`Charge`] inside it, and comes back when the driver drops the request. Nothing polls: whoever takes the
//! disk's event calls [`Shared::serve`] then. A disk that does its work at once, memory, has as much done in one such round as fits into the window; so its users
//! take turns too ([`Shared::has_work`] says that there is more without an event).
//!
//! Order: requests of one seat reach the disk in the order in which they were submitted. That is more than [`super`] asks for; a flush that waits is about more
//! writes then, not fewer.
//!
//! Source: Goyal, Vin, Cheng: Start-time Fair Queuing, SIGCOMM 1996.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use super::{BlockError, Device, Info, Op, Refused, Request, check};

mod charge;
#[cfg(test)]
mod tests;

pub use charge::Charge;

/// What a request costs beside its sectors, in sectors.
const REQUEST_COST: u64 = 8;
/// Sectors of a page.
const PAGE_SECTORS: u64 = 8;
/// Most pieces of a request: nobody has the disk for longer at a time.
pub const MOST_SEGMENTS: usize = 32;
/// Most work of one request, in sectors; a flush is as much.
pub const LARGEST: u64 = MOST_SEGMENTS as u64 * PAGE_SECTORS + REQUEST_COST;
/// Work that a disk has under way at most, in sectors: eight requests of 64 KiB.
pub const WINDOW: u64 = 8 * (128 + REQUEST_COST);
/// What of it is kept for users that have nothing waiting; what is left is room for one request of any size.
pub const MOST_KEPT: u64 = WINDOW * 3 / 4;
/// Whoever has used the disk within so much work done by it has done so lately.
pub const LATELY: u64 = 8 * WINDOW;
/// The ordinary weight of a seat.
pub const WEIGHT: u32 = 100;
/// The largest.
pub const MAX_WEIGHT: u32 = 1000;
/// A sector's length in starts and ends, at weight 1.
const SCALE: u64 = 4096;

const _: () = assert!(
    LARGEST <= WINDOW - MOST_KEPT,
    "one request fits beside what is kept"
);

/// A whole disk with several users.
pub struct Shared {
    device: Rc<dyn Device>,
    /// Least room of a request in the window, so that the driver has a place for each.
    least: u64,
    seats: RefCell<Vec<Rc<Place>>>,
    /// Requests that wait, at all seats.
    waiting: Cell<usize>,
    /// Room that is taken by what the disk has.
    under_way: Cell<u64>,
    /// Room that was taken by what the disk has done at once, until the next round.
    spent: Cell<u64>,
    /// A request is being given to the disk.
    is_giving: Cell<bool>,
    /// The largest start of what was given to the disk.
    now: Cell<u64>,
    /// Work given to the disk so far.
    given: Cell<u64>,
    /// Sectors done so far.
    done: Cell<u64>,
}

/// What a seat is, for the disk.
struct Place {
    disk: Rc<Shared>,
    weight: Cell<u32>,
    queue: RefCell<VecDeque<Box<Request>>>,
    /// Room that what waits will take.
    queued: Cell<u64>,
    /// The start of the first that waits.
    start: Cell<u64>,
    /// Where the last one that was given to the disk ended.
    end: Cell<u64>,
    /// Room taken.
    under_way: Cell<u64>,
    /// How much work the disk had been given when this one gave it something last.
    last: Cell<Option<u64>>,
    /// Sectors done so far.
    done: Cell<u64>,
}

/// One user's way to a shared disk. It goes when its user does; what waits then is complete, as Gone.
pub struct Seat(Rc<Place>);

fn add(to: &Cell<u64>, count: u64) {
    to.set(to.get() + count);
}

fn subtract(from: &Cell<u64>, count: u64) {
    from.set(from.get() - count);
}

/// How much a request has the disk do.
fn work(request: &Request) -> u64 {
    match request.op {
        Op::Flush => LARGEST,
        Op::Read | Op::Write => request.sectors() + REQUEST_COST,
    }
}

impl Shared {
    /// A disk that nobody else uses.
    #[must_use]
    pub fn new(device: Rc<dyn Device>) -> Rc<Self> {
        let depth = device.info().depth.max(1) as u64;
        Rc::new(Self {
            device,
            least: WINDOW.div_ceil(depth),
            seats: RefCell::default(),
            waiting: Cell::new(0),
            under_way: Cell::new(0),
            spent: Cell::new(0),
            is_giving: Cell::new(false),
            now: Cell::new(0),
            given: Cell::new(0),
            done: Cell::new(0),
        })
    }

    /// A seat for one more user, of the ordinary weight.
    #[must_use]
    pub fn seat(self: &Rc<Self>) -> Seat {
        let place = Rc::new(Place {
            disk: self.clone(),
            weight: Cell::new(WEIGHT),
            queue: RefCell::default(),
            queued: Cell::new(0),
            start: Cell::new(0),
            end: Cell::new(0),
            under_way: Cell::new(0),
            last: Cell::new(None),
            done: Cell::new(0),
        });
        self.seats.borrow_mut().push(place.clone());
        Seat(place)
    }

    /// Gives what waits to the disk, as far as there is room. Whoever takes the disk's event calls this; whether anything was given.
    pub fn serve(&self) -> bool {
        self.spent.set(0);
        self.give_waiting()
    }

    /// Whether something waits for which there will be room without an event of the disk.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.waiting.get() > 0 && self.spent.get() > 0
    }

    /// The room that a request takes.
    fn room(&self, request: &Request) -> u64 {
        work(request).max(self.least).min(WINDOW)
    }

    /// Whether there is room for one more request of `place`.
    fn has_room(&self, place: &Rc<Place>, room: u64) -> bool {
        let taken = self.under_way.get() + self.spent.get();
        taken == 0 || taken + room <= WINDOW && taken + room + self.kept(place) <= WINDOW
    }

    /// Room that is kept for others than `place`, which have nothing waiting.
    fn kept(&self, place: &Rc<Place>) -> u64 {
        let seats = self.seats.borrow();
        let is_idle = |seat: &Rc<Place>| !Rc::ptr_eq(seat, place) && seat.queue.borrow().is_empty();
        let present = || {
            let given = self.given.get();
            seats
                .iter()
                .filter(move |seat| Rc::ptr_eq(seat, place) || seat.is_present(given))
        };
        if !present().any(is_idle) {
            return 0;
        }
        let weights: u64 = present().map(|seat| u64::from(seat.weight.get())).sum();
        let parts = present().filter(|seat| is_idle(seat)).map(|seat| {
            let part = WINDOW * u64::from(seat.weight.get()) / weights;
            part.saturating_sub(seat.under_way.get())
        });
        parts.sum::<u64>().min(MOST_KEPT)
    }

    /// The seat whose first request that waits has the smallest start.
    fn next(&self) -> Option<Rc<Place>> {
        let seats = self.seats.borrow();
        let waiting = seats.iter().filter(|seat| !seat.queue.borrow().is_empty());
        waiting.min_by_key(|seat| seat.start.get()).cloned()
    }

    fn give_waiting(&self) -> bool {
        let mut has_given = false;
        while self.waiting.get() > 0
            && let Some(place) = self.next()
            && let Some(request) = place.take_if(|request| self.has_room(&place, self.room(request)))
        {
            let client = request.client.clone();
            match self.give(&place, request, place.start.get()) {
                Ok(()) => client.pass_on(),
                Err(Refused {
                    request,
                    error: BlockError::Busy,
                }) => {
                    // There is a place in the driver when something is complete, for this one and nobody else.
                    place.put_back(request);
                    break;
                }
                Err(Refused { request, error }) => request.complete(Err(error)),
            }
            place.start.set(place.end.get().max(self.now.get()));
            has_given = true;
        }
        has_given
    }

    /// Gives a request to the disk.
    fn give(&self, place: &Rc<Place>, mut request: Box<Request>, start: u64) -> Result<(), Refused> {
        let (work, room) = (work(&request), self.room(&request));
        add(&place.under_way, room);
        add(&self.under_way, room);
        request.charge = Some(Charge {
            place: place.clone(),
            room,
            sectors: request.sectors(),
        });
        self.is_giving.set(true);
        let answer = self.device.submit(request);
        self.is_giving.set(false);
        answer.map_err(|mut refused| {
            if let Some(mut charge) = refused.request.charge.take() {
                charge.sectors = 0;
            }
            refused
        })?;
        self.now.set(self.now.get().max(start));
        place
            .end
            .set(start + work * SCALE / u64::from(place.weight.get()));
        add(&self.given, work);
        place.last.set(Some(self.given.get()));
        Ok(())
    }
}

impl Place {
    /// Whether the disk has something of it, or had lately.
    fn is_present(&self, given: u64) -> bool {
        self.under_way.get() > 0
            || !self.queue.borrow().is_empty()
            || self.last.get().is_some_and(|last| given - last < LATELY)
    }

    fn take_if(&self, is_ready: impl FnOnce(&Request) -> bool) -> Option<Box<Request>> {
        let mut queue = self.queue.borrow_mut();
        if !is_ready(queue.front()?) {
            return None;
        }
        let request = queue.pop_front()?;
        subtract(&self.queued, self.disk.room(&request));
        self.disk.waiting.set(self.disk.waiting.get() - 1);
        Some(request)
    }

    fn note_queued(&self, request: &Request) {
        add(&self.queued, self.disk.room(request));
        self.disk.waiting.set(self.disk.waiting.get() + 1);
    }

    fn put_back(&self, request: Box<Request>) {
        self.note_queued(&request);
        self.queue.borrow_mut().push_front(request);
    }

    /// Lets a request wait, if there is room for that.
    fn keep(&self, request: Box<Request>) -> Result<(), Refused> {
        let mut queue = self.queue.borrow_mut();
        if queue.is_empty() {
            self.start.set(self.end.get().max(self.disk.now.get()));
        } else if self.queued.get() + self.disk.room(&request) > WINDOW {
            let error = BlockError::Busy;
            return Err(Refused { request, error });
        }
        request.client.begin();
        self.note_queued(&request);
        queue.push_back(request);
        Ok(())
    }
}

impl Seat {
    /// A seat for one more user of the same disk, of the ordinary weight.
    #[must_use]
    pub fn beside(&self) -> Self {
        self.0.disk.seat()
    }

    /// Whether it is one of that disk's.
    #[must_use]
    pub fn is_at(&self, disk: &Rc<Shared>) -> bool {
        Rc::ptr_eq(&self.0.disk, disk)
    }

    /// Sets how large its share is, from the next request on; at least 1, at most [`MAX_WEIGHT`].
    pub fn set_weight(&self, weight: u32) {
        self.0.weight.set(weight.clamp(1, MAX_WEIGHT));
    }

    /// Sectors that the disk has done for other seats so far.
    #[must_use]
    pub fn done_for_others(&self) -> u64 {
        self.0.disk.done.get() - self.0.done.get()
    }
}

impl Device for Seat {
    fn info(&self) -> Info {
        let info = self.0.disk.device.info();
        Info {
            max_segments: info.max_segments.min(MOST_SEGMENTS),
            ..info
        }
    }

    fn submit(&self, request: Box<Request>) -> Result<(), Refused> {
        if let Err(error) = check::request(&self.info(), &request) {
            return Err(Refused { request, error });
        }
        let (place, disk) = (&self.0, &self.0.disk);
        if disk.waiting.get() > 0 || !disk.has_room(place, disk.room(&request)) {
            place.keep(request)?;
            disk.give_waiting();
            return Ok(());
        }
        let start = place.end.get().max(disk.now.get());
        disk.give(place, request, start).or_else(|refused| {
            if refused.error == BlockError::Busy {
                place.keep(refused.request)
            } else {
                Err(refused)
            }
        })
    }

    fn is_gone(&self) -> bool {
        self.0.disk.device.is_gone()
    }

    fn seat(&self) -> Option<&Seat> {
        Some(self)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0
            .disk
            .seats
            .borrow_mut()
            .retain(|seat| !Rc::ptr_eq(seat, &self.0));
        while let Some(request) = self.0.take_if(|_| true) {
            request.complete(Err(BlockError::Gone));
        }
    }
}
