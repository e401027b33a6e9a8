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
//! who needs one for a disk. There are at most [`MOST_KEPT`] such grants; beyond that those go that no request uses and that the backend does not have mapped, and where
//! it has all of them, there are more: so their number follows what the backend keeps.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use guest_abi::io::blkif::{self, BlkOp, BlkStatus, LAST_SECTOR_OF_PAGE, MAX_SEGMENTS, SLOTS};
use guest_abi::io::ring::FrontRing;
use zerocopy::IntoBytes;

use super::judge::MOST_INDIRECT;
use super::kept::{Kept, Slot};
use super::ring::{Asked, Layout, RingPage};
use crate::block::{BlockError, Device, Info, Op, Refused, Request, SECTOR, Segment, check};

/// Most requests that the frontend holds, in the ring or waiting for room there.
const DEPTH: usize = 2 * SLOTS as usize;
/// Grants of frames that stay, as long as the backend lets go of others.
const MOST_KEPT: usize = 768;
/// So many of them are looked at for some that can go; where there are none, there are so many more before it is looked again.
const LOOKS: usize = 64;
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

/// A request in the ring.
struct Shadow {
    request: Box<Request>,
    /// The grants of its pieces.
    grants: Vec<Slot>,
    /// Some of them are this request's alone.
    has_own: bool,
    /// Where they are listed, if they are too many for a slot.
    list: Option<List>,
}

/// A page for a list of segments, and its reference.
type List = (Box<dyn RingPage>, u32);

/// A granted frame.
#[derive(Clone, Copy, Debug)]
struct Grant {
    reference: u32,
    frame: u32,
    /// It stays.
    is_kept: bool,
}

/// What is between connections, too.
struct State {
    /// By its number in the ring; the numbers of one connection ascend.
    shadows: BTreeMap<u64, Shadow>,
    last_id: u64,
    waiting: VecDeque<Box<Request>>,
    connection: Option<Connection>,
    /// What is granted, by frame.
    grants: Kept<Grant>,
    /// How many there may be before some are withdrawn.
    limit: usize,
    /// There are some that stay no longer.
    has_hidden: bool,
    /// The segments of the request that is put into the ring.
    pieces: Vec<blkif::Segment>,
    /// Pages for lists of segments that no request uses.
    lists: Vec<List>,
    /// The backend keeps what it has mapped.
    keeps: bool,
}

impl State {
    fn new(keeps: bool) -> Self {
        Self {
            shadows: BTreeMap::new(),
            last_id: 0,
            waiting: VecDeque::new(),
            connection: None,
            grants: Kept::new(),
            limit: MOST_KEPT,
            has_hidden: false,
            pieces: Vec::new(),
            lists: Vec::new(),
            keeps,
        }
    }

    /// The oldest request that has no answer: what was used before is not in use.
    fn oldest(&self) -> u64 {
        self.shadows.first_key_value().map_or(u64::MAX, |(id, _)| *id)
    }
}

struct Connection {
    page: Rc<dyn RingPage>,
    ring: FrontRing,
}

impl Connection {
    /// Puts a request with these segments into the next slot, which is free.
    fn put(&mut self, id: u64, shadow: &Shadow, segments: &[blkif::Segment]) {
        let request = &shadow.request;
        let asked = Asked {
            operation: operation(request.op),
            count: segments.len() as u16,
            id,
            sector: request.sector,
            is_indirect: shadow.list.is_some(),
            page: shadow.list.as_ref().map_or(0, |(_, reference)| *reference),
        };
        if let Some((page, _)) = &shadow.list {
            page.write(0, segments.as_bytes());
        }
        if let Some(slot) = self.ring.reserve() {
            LAYOUT.put(&*self.page, slot, &asked, segments);
        }
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

    /// Grants all frames of the next request, or none; its segments are in `state.pieces` then. Whether some of the grants are its own.
    fn grant(&self, state: &mut State, request: &Request) -> Option<(Vec<Slot>, bool)> {
        let now = state.last_id + 1;
        let mut granted = Vec::with_capacity(request.segments.len());
        let mut has_own = false;
        state.pieces.clear();
        for segment in &request.segments {
            // Machine frames have 32-bit numbers.
            let frame = (segment.address() >> PAGE_SHIFT) as u32;
            if let Some((slot, grant)) = state.grants.take_up(frame, now, |_| true) {
                state.pieces.push(to_segment(segment, grant.reference));
                granted.push(slot);
                continue;
            }
            let Some(grant) = self.grant_anew(state, frame, request.op == Op::Write) else {
                self.release_own(&mut state.grants, &granted);
                return None;
            };
            state.pieces.push(to_segment(segment, grant.reference));
            has_own |= !grant.is_kept;
            granted.push(state.grants.add(frame, grant, now, grant.is_kept));
        }
        Some((granted, has_own))
    }

    #[cold]
    fn grant_anew(&self, state: &mut State, frame: u32, is_read_only: bool) -> Option<Grant> {
        let is_kept = state.keeps && self.host.keep(frame.into());
        if is_kept && state.grants.len() >= state.limit && !self.withdraw(state, LOOKS) {
            state.limit += LOOKS;
        }
        // Who keeps a mapping may have it used for both.
        let grant = || self.host.grant(frame.into(), is_read_only && !state.keeps);
        let mut reference = grant();
        if reference.is_err() && self.withdraw(state, state.grants.len()) {
            reference = self.host.grant(frame.into(), is_read_only && !state.keeps);
        }
        let Ok(reference) = reference else {
            if is_kept {
                self.host.let_go(frame.into());
            }
            return None;
        };
        Some(Grant {
            reference,
            frame,
            is_kept,
        })
    }

    /// Withdraws grants that no request uses and the backend does not have mapped, of so many; whether there were any.
    fn withdraw(&self, state: &mut State, looks: usize) -> bool {
        let mut are_some = false;
        // Those of the request that is being granted are younger than all of these.
        let oldest = state.oldest().min(state.last_id + 1);
        for slot in state.grants.oldest(oldest, looks) {
            if state
                .grants
                .get(slot)
                .is_some_and(|grant| self.host.try_end(grant.reference))
                && let Some(grant) = state.grants.remove(slot)
            {
                self.host.let_go(grant.frame.into());
                are_some = true;
            }
        }
        are_some
    }

    /// A request is over.
    fn release(&self, grants: &mut Kept<Grant>, shadow: &Shadow) {
        if shadow.has_own {
            self.release_own(grants, &shadow.grants);
        }
    }

    /// Ends those of these grants that do not stay.
    fn release_own(&self, grants: &mut Kept<Grant>, granted: &[Slot]) {
        for slot in granted {
            if grants.get(*slot).is_some_and(|grant| !grant.is_kept)
                && let Some(grant) = grants.remove(*slot)
            {
                self.end(grant);
            }
        }
    }

    /// Ends those that stay no longer, and that no request uses.
    fn end_hidden(&self, state: &mut State) {
        let oldest = state.oldest();
        let hidden = state.grants.hidden().filter(|(.., grant)| grant.is_kept);
        let hidden: Vec<(Slot, u64)> = hidden.map(|(slot, last, _)| (slot, last)).collect();
        state.has_hidden = hidden.iter().any(|(_, last)| *last >= oldest);
        for (slot, _) in hidden.into_iter().filter(|(_, last)| *last < oldest) {
            if let Some(grant) = state.grants.remove(slot) {
                self.end(grant);
            }
        }
    }

    fn end(&self, grant: Grant) {
        if grant.is_kept {
            self.host.end_kept(grant.reference, grant.frame.into());
        } else {
            self.host.end(grant.reference);
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
