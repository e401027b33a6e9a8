//! What a frontend has under way: requests with their grants, those that wait, and the ring.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use alloc::vec::Vec;

use guest_abi::io::blkif;
use guest_abi::io::ring::FrontRing;
use zerocopy::IntoBytes;

use super::granting::{Grant, MOST_KEPT};
use super::{LAYOUT, operation};
use crate::blkif::kept::{Kept, Slot};
use crate::blkif::ring::{Asked, RingPage};
use crate::block::Request;

/// A request in the ring.
pub(super) struct Shadow {
    pub(super) request: Box<Request>,
    /// The grants of its pieces.
    pub(super) grants: Vec<Slot>,
    /// Some of them are this request's alone.
    pub(super) has_own: bool,
    /// Where they are listed, if they are too many for a slot.
    pub(super) list: Option<List>,
}

/// A page for a list of segments, and its reference.
pub(super) type List = (Box<dyn RingPage>, u32);

/// What is between connections, too.
pub(super) struct State {
    /// By its number in the ring; the numbers of one connection ascend.
    pub(super) shadows: BTreeMap<u64, Shadow>,
    pub(super) last_id: u64,
    pub(super) waiting: VecDeque<Box<Request>>,
    pub(super) connection: Option<Connection>,
    /// What is granted, by frame.
    pub(super) grants: Kept<Grant>,
    /// How many there may be before some are withdrawn.
    pub(super) limit: usize,
    /// There are some that stay no longer.
    pub(super) has_hidden: bool,
    /// The segments of the request that is put into the ring.
    pub(super) pieces: Vec<blkif::Segment>,
    /// Pages for lists of segments that no request uses.
    pub(super) lists: Vec<List>,
    /// The backend keeps what it has mapped.
    pub(super) keeps: bool,
}

impl State {
    pub(super) fn new(keeps: bool) -> Self {
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
    pub(super) fn oldest(&self) -> u64 {
        self.shadows.first_key_value().map_or(u64::MAX, |(id, _)| *id)
    }
}

pub(super) struct Connection {
    pub(super) page: Rc<dyn RingPage>,
    pub(super) ring: FrontRing,
}

impl Connection {
    /// Puts a request with these segments into the next slot, which is free.
    pub(super) fn put(&mut self, id: u64, shadow: &Shadow, segments: &[blkif::Segment]) {
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
