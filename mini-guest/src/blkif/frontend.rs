//! The frontend: a disk whose requests another domain does.
//!
//! Every request has a place in a table, and the place's number is what goes through the ring; the request stays there until its answer came. So when the backend goes
//! and another one comes, all that has no answer is asked for again ([`Frontend::connect`]), and while there is
//! none, requests wait. Writes may so be done twice, with the same bytes at the same place, and never after something that
//! was begun when they had been answered.
//!
//! The backend is believed as far as it makes sense: an answer to nothing, or to another operation, is the end of this ring.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use guest_abi::io::blkif::{self, BlkOp, BlkStatus, LAST_SECTOR_OF_PAGE, MAX_SEGMENTS, Request64, SLOTS};
use guest_abi::io::ring::FrontRing;

use super::ring::{Layout, RingPage};
use crate::block::{BlockError, Device, Info, Op, Refused, Request, SECTOR, Segment, check};

/// Most requests that the frontend holds, in the ring or waiting for room there.
const DEPTH: usize = 2 * SLOTS as usize;
/// Bits of an address inside its frame.
const PAGE_SHIFT: u32 = 12;

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

    /// Tells the backend that there are requests.
    fn notify(&self);

    /// Whether it calls [`Frontend::show`] itself, when it has nothing else to do: so that many requests are one event.
    fn shows_later(&self) -> bool {
        false
    }
}

/// A request in the ring.
struct Shadow {
    request: Box<Request>,
    references: Vec<u32>,
}

/// What is between connections, too.
#[derive(Default)]
struct State {
    /// By its number in the ring; the numbers of one connection ascend.
    shadows: BTreeMap<u64, Shadow>,
    last_id: u64,
    waiting: VecDeque<Box<Request>>,
    connection: Option<Connection>,
}

struct Connection {
    page: Rc<dyn RingPage>,
    ring: FrontRing,
}

/// A disk made of a ring.
pub struct Frontend<H: Host> {
    host: H,
    state: RefCell<State>,
    info: Cell<Info>,
    is_gone: Cell<bool>,
    /// There may be requests in the ring that the backend has not been shown.
    is_hidden: Cell<bool>,
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
}

impl<H: Host> Frontend<H> {
    /// A disk that nobody is behind yet: requests wait.
    #[must_use]
    pub fn new(host: H, properties: Properties) -> Self {
        Self {
            host,
            state: RefCell::default(),
            info: Cell::new(info(properties)),
            is_gone: Cell::new(false),
            is_hidden: Cell::new(false),
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
            let asked = to_wire(id, &shadow.request, &shadow.references);
            let Some(connection) = &mut state.connection else {
                break;
            };
            if let Some(slot) = connection.ring.reserve() {
                LAYOUT.put_request(&*connection.page, slot, asked);
            }
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
        let state = core::mem::take(&mut *self.state.borrow_mut());
        for shadow in state.shadows.into_values() {
            shadow
                .references
                .iter()
                .for_each(|reference| self.host.end(*reference));
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
                    shadow
                        .references
                        .iter()
                        .for_each(|reference| self.host.end(*reference));
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
        let Some(connection) = &mut state.connection else {
            return;
        };
        while connection.ring.free() > 0
            && let Some(request) = state.waiting.pop_front()
        {
            let Some(references) = self.grant(&request) else {
                // There are references again when something else is answered.
                state.waiting.push_front(request);
                break;
            };
            let Some(slot) = connection.ring.reserve() else {
                break;
            };
            state.last_id += 1;
            let asked = to_wire(state.last_id, &request, &references);
            LAYOUT.put_request(&*connection.page, slot, asked);
            let shadow = Shadow { request, references };
            state.shadows.insert(state.last_id, shadow);
        }
    }

    /// Grants all frames of a request, or none.
    fn grant(&self, request: &Request) -> Option<Vec<u32>> {
        let mut references = Vec::new();
        for segment in &request.segments {
            let frame = segment.address() >> PAGE_SHIFT;
            match self.host.grant(frame, request.op == Op::Write) {
                Ok(reference) => references.push(reference),
                Err(()) => {
                    references.iter().for_each(|reference| self.host.end(*reference));
                    return None;
                }
            }
        }
        Some(references)
    }

    /// What the disk is, as a new backend says.
    pub fn set_properties(&self, properties: Properties) {
        self.info.set(info(properties));
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
        max_segments: MAX_SEGMENTS,
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

fn to_wire(id: u64, request: &Request, references: &[u32]) -> Request64 {
    let mut asked = Request64 {
        operation: operation(request.op),
        nr_segments: request.segments.len() as u8,
        id,
        sector_number: request.sector,
        ..Request64::default()
    };
    let pieces = request.segments.iter().zip(references);
    for (slot, (segment, reference)) in asked.seg.iter_mut().zip(pieces) {
        *slot = to_segment(segment, *reference);
    }
    asked
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
