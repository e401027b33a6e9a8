//! The frontend: a disk whose requests another domain does.
//!
//! Every request has a place in a table, and the place's number is what goes through the ring; the request stays there until its answer came. So when the backend goes
//! and another one comes, all that has no answer is asked for again ([`Frontend::connect`]), and while there is
//! none, requests wait. Writes may so be done twice, with the same bytes at the same place, and never after something that
//! was begun when they had been answered.
//!
//! The backend is believed as far as it makes sense: an answer to nothing, or to another operation, is the end of this ring.
//!
//! # Grants that stay
//! Frames that belong to disks ([`Host::keep`] says which) are granted once, to be read and written, and the grant is found again by the frame: nothing is withdrawn and granted
//! for each request, and a backend that knows of it has nothing to map. Such a frame is nobody else's as long as its grant is there: whoever gives the page back gives it to the next one
//! who needs one for a disk. There are at most `MOST_KEPT` such grants; beyond that those go that no request uses and that the backend does not have mapped, and where
//! it has all of them, there are more: so their number follows what the backend keeps.

use alloc::boxed::Box;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};

use guest_abi::io::blkif::{self, BlkOp, BlkStatus, LAST_SECTOR_OF_PAGE, MAX_SEGMENTS, SLOTS};
use guest_abi::io::ring::FrontRing;

use super::judge::MOST_INDIRECT;
use super::ring::{Layout, RingPage};
use crate::block::{BlockError, Device, Info, Op, Refused, Request, SECTOR, Segment, check};

mod granting;
mod state;

use state::{Connection, Shadow, State};

/// Most requests that the frontend holds, in the ring or waiting for room there.
const DEPTH: usize = 2 * SLOTS as usize;

/// What the frontend needs of its domain.
pub trait Host {
    /// Grants the backend a frame, by its machine number; gives the reference.
    ///
    /// # Errors
    /// There are no more.
    #[expect(clippy::result_unit_err, reason = "there is one reason")]
    fn grant(&self, frame: u64, is_read_only: bool) -> Result<u32, ()>;

    /// Takes that back. The backend may still have it mapped; then it ends when that does.
    fn end(&self, reference: u32);

    /// Withdraws a grant at once, unless the backend has it mapped; whether it is gone.
    fn try_end(&self, reference: u32) -> bool;

    /// Whether that frame is one of those that stay with disks. From then on it is nobody else's, until [`Host::let_go`] or [`Host::end_kept`].
    fn keep(&self, frame: u64) -> bool;

    /// Nobody has a grant of the frame any more.
    fn let_go(&self, frame: u64);

    /// Takes back the grant of a frame that stays; the frame is somebody else's when the backend has it no longer mapped.
    fn end_kept(&self, reference: u32, frame: u64);

    /// A page that is granted until it is dropped, and its reference; none where there is no memory or no reference.
    fn page(&self) -> Option<(Box<dyn RingPage>, u32)>;

    /// Tells the backend that there are requests.
    fn notify(&self);

    /// Whether it calls [`Frontend::show`] itself, when it has nothing else to do: so that many requests are one event.
    fn shows_later(&self) -> bool {
        false
    }
}

/// A disk made of a ring.
pub struct Frontend<H: Host> {
    host: H,
    state: RefCell<State>,
    info: Cell<Info>,
    is_gone: Cell<bool>,
    /// There may be requests in the ring that the backend has not been shown.
    is_hidden: Cell<bool>,
    /// Nothing is under way, and there is no grant for what waits.
    is_starved: Cell<bool>,
}

/// What a backend said of its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Properties {
    /// Sectors of 512 bytes.
    pub sectors: u64,
    /// Bytes of a sector of the medium.
    pub sector_size: u32,
    /// Writes are refused.
    pub is_read_only: bool,
    /// It takes flushes.
    pub has_flush: bool,
    /// The backend keeps what it has mapped.
    pub keeps: bool,
    /// Most segments of a request: more than fit into a slot, where it takes requests that have them in a page.
    pub max_segments: usize,
}

impl<H: Host> Frontend<H> {
    /// A disk that nobody is behind yet: requests wait.
    #[must_use]
    pub fn new(host: H, properties: Properties) -> Self {
        Self {
            host,
            state: RefCell::new(State::new(properties.keeps)),
            info: Cell::new(info(properties)),
            is_gone: Cell::new(false),
            is_hidden: Cell::new(false),
            is_starved: Cell::new(false),
        }
    }

    /// Begins to use a ring page, which is made an empty ring: what had no answer is asked for again, then what waited.
    pub fn connect(&self, page: Rc<dyn RingPage>) {
        page.indices().init();
        let mut state = self.state.borrow_mut();
        state.connection = Some(Connection {
            page,
            ring: FrontRing::new(SLOTS),
        });
        // In the order in which they were asked for.
        let shadows = core::mem::take(&mut state.shadows);
        for (id, shadow) in shadows {
            if shadow.request.segments.len() > self.info.get().max_segments {
                // The backend before took larger ones.
                self.release(&mut state.grants, &shadow);
                shadow.request.complete(Err(BlockError::Io));
                continue;
            }
            let State {
                connection: Some(connection),
                grants,
                pieces,
                ..
            } = &mut *state
            else {
                break;
            };
            pieces.clear();
            for (segment, slot) in shadow.request.segments.iter().zip(&shadow.grants) {
                // The request uses it. Nobody grants 0, which is the console's.
                let reference = grants.get(*slot).map_or(0, |grant| grant.reference);
                pieces.push(to_segment(segment, reference));
            }
            connection.put(id, &shadow, pieces);
            state.shadows.insert(id, shadow);
        }
        drop(state);
        self.push();
    }

    /// Stops using the ring, as the backend goes.
    pub fn disconnect(&self) {
        self.state.borrow_mut().connection = None;
    }

    /// Whether there is a ring.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.state.borrow().connection.is_some()
    }

    /// The disk will not come back: everything fails, now and from now on.
    pub fn give_up(&self) {
        self.is_gone.set(true);
        let mut state = self.state.replace(State::new(false));
        state
            .grants
            .take_all()
            .into_iter()
            .for_each(|grant| self.end(grant));
        for shadow in state.shadows.into_values() {
            shadow.request.complete(Err(BlockError::Gone));
        }
        for request in state.waiting {
            request.complete(Err(BlockError::Gone));
        }
    }

    /// Takes answers, as many as there are. `false`: the ring makes no sense, and is used no more.
    pub fn poll(&self) -> bool {
        loop {
            match self.next_answer() {
                Err(()) => {
                    self.disconnect();
                    return false;
                }
                Ok(None) => break,
                Ok(Some((shadow, status))) => {
                    let mut state = self.state.borrow_mut();
                    if shadow.has_own {
                        self.release(&mut state.grants, &shadow);
                    }
                    state.lists.extend(shadow.list);
                    if state.has_hidden {
                        self.end_hidden(&mut state);
                    }
                    drop(state);
                    let result = match status {
                        BlkStatus::OKAY => Ok(()),
                        _ => Err(BlockError::Io),
                    };
                    shadow.request.complete(result);
                }
            }
        }
        self.push();
        true
    }

    /// The next answer with what it answers; `None` where there is none, and an event will tell of the next one.
    fn next_answer(&self) -> Result<Option<(Shadow, BlkStatus)>, ()> {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let Some(connection) = &mut state.connection else {
            return Ok(None);
        };
        let indices = connection.page.indices();
        let slot = loop {
            if let Some(slot) = connection.ring.take_response(indices).map_err(drop)? {
                break slot;
            }
            if !connection.ring.check_responses(indices).map_err(drop)? {
                return Ok(None);
            }
        };
        let response = LAYOUT.response(&*connection.page, slot);
        let shadow = state.shadows.remove(&response.id).ok_or(())?;
        if operation(shadow.request.op) == response.operation {
            return Ok(Some((shadow, response.status)));
        }
        state.shadows.insert(response.id, shadow);
        Err(())
    }

    /// Whether what waits has no grant, and none will be free as long as the backend has all of them mapped: a fresh connection helps. Asked once.
    pub fn is_starved(&self) -> bool {
        self.is_starved.take()
    }

    /// Shows the backend what is in the ring.
    pub fn show(&self) {
        if !self.is_hidden.take() {
            return;
        }
        let mut state = self.state.borrow_mut();
        let Some(connection) = &mut state.connection else {
            return;
        };
        if connection.ring.push_requests(connection.page.indices()) {
            self.host.notify();
        }
    }

    /// Moves what waits into the ring, as far as there is room, and shows it to the backend, now or later.
    fn push(&self) {
        self.fill();
        if !self.host.shows_later() {
            self.show();
        }
    }

    /// Moves what waits into the ring.
    fn fill(&self) {
        self.is_hidden.set(true);
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let has_room = |connection: &Connection| connection.ring.free() > 0;
        while state.connection.as_ref().is_some_and(has_room)
            && let Some(request) = state.waiting.pop_front()
        {
            let has_list = request.segments.len() > MAX_SEGMENTS;
            if has_list && state.lists.is_empty() {
                state.lists.extend(self.host.page());
            }
            let granted = if has_list && state.lists.is_empty() {
                None
            } else {
                self.grant(state, &request)
            };
            let Some((grants, has_own)) = granted else {
                // There are pages and references again when something else is answered.
                state.waiting.push_front(request);
                let has_kept = state.grants.len() > 0;
                self.is_starved.set(has_kept && state.shadows.is_empty());
                break;
            };
            let list = if has_list { state.lists.pop() } else { None };
            state.last_id += 1;
            let shadow = Shadow {
                request,
                grants,
                has_own,
                list,
            };
            if let Some(connection) = &mut state.connection {
                connection.put(state.last_id, &shadow, &state.pieces);
            }
            state.shadows.insert(state.last_id, shadow);
        }
    }

    /// What the disk is, as a new backend says.
    pub fn set_properties(&self, properties: Properties) {
        self.info.set(info(properties));
        let mut state = self.state.borrow_mut();
        state.keeps = properties.keeps;
        if !properties.keeps {
            // What requests use goes with them.
            state.grants.hide_all();
            self.end_hidden(&mut state);
        }
    }
}

impl<H: Host> Device for Frontend<H> {
    fn info(&self) -> Info {
        self.info.get()
    }

    fn submit(&self, request: Box<Request>) -> Result<(), Refused> {
        let refused = |request, error| Err(Refused { request, error });
        if self.is_gone.get() {
            return refused(request, BlockError::Gone);
        }
        if let Err(error) = check::request(&self.info.get(), &request) {
            return refused(request, error);
        }
        let mut state = self.state.borrow_mut();
        if state.waiting.len() + state.shadows.len() >= DEPTH {
            return refused(request, BlockError::Busy);
        }
        request.client.begin();
        if request.op == Op::Flush && !self.info.get().has_cache {
            // Nothing is kept back that a flush could write.
            request.complete(Ok(()));
            return Ok(());
        }
        state.waiting.push_back(request);
        drop(state);
        self.push();
        Ok(())
    }

    fn is_gone(&self) -> bool {
        self.is_gone.get()
    }
}

/// How this frontend lays out its slots.
const LAYOUT: Layout = Layout::X86_32;

fn info(properties: Properties) -> Info {
    Info {
        sectors: properties.sectors,
        block_sectors: (properties.sector_size / SECTOR as u32).max(1),
        is_read_only: properties.is_read_only,
        has_cache: properties.has_flush,
        max_segments: properties.max_segments.clamp(MAX_SEGMENTS, MOST_INDIRECT),
        is_copying: false,
        depth: DEPTH,
    }
}

fn operation(op: Op) -> BlkOp {
    match op {
        Op::Read => BlkOp::READ,
        Op::Write => BlkOp::WRITE,
        Op::Flush => BlkOp::FLUSH_DISKCACHE,
    }
}

/// The piece in sectors of its frame; it was checked to be whole ones of one frame.
fn to_segment(segment: &Segment, gref: u32) -> blkif::Segment {
    let first = (segment.address() & 0xFFF) as usize / SECTOR;
    let count = segment.len() as usize / SECTOR;
    blkif::Segment {
        gref,
        first_sect: first as u8,
        last_sect: (first + count - 1).min(usize::from(LAST_SECTOR_OF_PAGE)) as u8,
        pad: 0,
    }
}
