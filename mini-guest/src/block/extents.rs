//! A disk that lies in pieces on another one: what a file is to the disk that its file system is on.
//!
//! A request within one piece goes to the other disk as it is. One that crosses the end of a piece becomes several, with the same memory; it is
//! complete when the last of them is, and an error of one is its error. [`Device::go_on`] is where that happens: the parts' completions come to a client of our own.
//!
//! # Invariants
//! - Nothing outside of the pieces is read or written.
//! - Pieces begin and end at the medium's blocks.
//! - A request that the other disk has no room for is refused as a whole, or is begun and goes on as soon as there is room.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::ops::Range;

use super::fair::Seat;
use super::{BlockError, Client, Device, Info, Op, Refused, Request, SECTOR, Segment, check};

/// Most pieces.
pub const MOST: usize = 65_536;

/// Where the sectors of a disk are on another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// The first sector of each piece, and where that is on the other disk; in order, none empty, none the neighbour of the one before.
    pieces: Vec<(u64, u64)>,
    sectors: u64,
}

impl Runs {
    /// Adds `count` sectors from `first` on behind what there is; `false` where there are too many pieces, no memory, or numbers that do not exist.
    #[must_use]
    pub fn push(&mut self, first: u64, count: u64) -> bool {
        let Some((at, _)) = self.sectors.checked_add(count).zip(first.checked_add(count)) else {
            return false;
        };
        let follows = |(begin, there): &(u64, u64)| there + (self.sectors - begin) == first;
        if count > 0 && !self.pieces.last().is_some_and(follows) {
            if self.pieces.len() >= MOST || self.pieces.try_reserve(1).is_err() {
                return false;
            }
            self.pieces.push((self.sectors, first));
        }
        self.sectors = at;
        true
    }

    /// How many sectors.
    #[must_use]
    pub fn sectors(&self) -> u64 {
        self.sectors
    }

    /// The pieces on the other disk, in the order of this one.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> {
        let ends = self.pieces.iter().skip(1).map(|(begin, _)| *begin);
        let ends = ends.chain(core::iter::once(self.sectors));
        let pieces = self.pieces.iter().zip(ends);
        pieces.map(|((begin, there), end)| *there..there + (end - begin))
    }

    /// Where `sector` is, and how many sectors follow there, itself counted.
    fn find(&self, sector: u64) -> Option<(u64, u64)> {
        let next = self.pieces.partition_point(|(begin, _)| *begin <= sector);
        let (begin, there) = self.pieces.get(next.checked_sub(1)?)?;
        let end = self.pieces.get(next).map_or(self.sectors, |(begin, _)| *begin);
        (sector < end).then(|| (there + (sector - begin), end - sector))
    }
}

/// A request that became several.
struct Split {
    request: Box<Request>,
    /// Parts that the other disk has.
    under_way: usize,
    /// Parts that wait for room there.
    waiting: VecDeque<Box<Request>>,
    result: Result<(), BlockError>,
}

/// The disk.
pub struct Extents {
    whole: Rc<dyn Device>,
    runs: Rc<Runs>,
    /// The parts'.
    client: Rc<Client>,
    split: RefCell<BTreeMap<u64, Split>>,
    next: Cell<u64>,
}

impl Extents {
    /// The disk that lies at `runs` of `whole`.
    ///
    /// # Errors
    /// A sentence: `whole` does not have these, or its blocks are larger.
    pub fn new(whole: Rc<dyn Device>, runs: Rc<Runs>) -> Result<Self, &'static str> {
        let info = whole.info();
        let unit = u64::from(info.block_sectors.max(1));
        if runs.sectors == 0 || runs.iter().any(|run| run.end > info.sectors) {
            return Err("a part of it is beyond the disk");
        }
        let is_whole = |run: &Range<u64>| run.start.is_multiple_of(unit) && run.end.is_multiple_of(unit);
        if !runs.iter().all(|run| is_whole(&run)) {
            return Err("it does not lie at whole blocks of the disk");
        }
        Ok(Self {
            whole,
            runs,
            client: Client::new(),
            split: RefCell::default(),
            next: Cell::new(0),
        })
    }

    /// The parts of a request that does not fit into one piece.
    fn parts(&self, request: &Request, id: u64) -> VecDeque<Box<Request>> {
        let mut parts = VecDeque::new();
        let (mut sector, end) = (request.sector, request.sector + request.sectors());
        let mut memory = request.segments.iter().copied().collect::<VecDeque<_>>();
        while let Some((there, follow)) = self.runs.find(sector).filter(|_| sector < end) {
            let count = follow.min(end - sector);
            parts.push_back(Request::new(
                request.op,
                there,
                take(&mut memory, count * SECTOR as u64),
                id,
                self.client.clone(),
            ));
            sector += count;
        }
        parts
    }

    /// Gives the other disk what waits of `split`; an error that is not [`BlockError::Busy`] is the request's.
    fn begin(&self, split: &mut Split) {
        while let Some(part) = split.waiting.pop_front() {
            match self.whole.submit(part) {
                Ok(()) => split.under_way += 1,
                Err(refused) if refused.error == BlockError::Busy => {
                    split.waiting.push_front(refused.request);
                    return;
                }
                Err(refused) => split.fail(refused.error),
            }
        }
    }

    fn end_those_that_are_over(&self) {
        loop {
            let mut splits = self.split.borrow_mut();
            let over = splits
                .iter()
                .find(|(_, split)| split.under_way == 0 && split.waiting.is_empty());
            let Some(id) = over.map(|(id, _)| *id) else {
                return;
            };
            if let Some(split) = splits.remove(&id) {
                split.request.complete(split.result);
            }
        }
    }
}

impl Split {
    /// What has not begun is not done any more.
    fn fail(&mut self, error: BlockError) {
        self.waiting.clear();
        self.result = self.result.and(Err(error));
    }
}

/// Takes the first `bytes` from these pieces of memory.
fn take(memory: &mut VecDeque<Segment>, mut bytes: u64) -> Vec<Segment> {
    let mut taken = Vec::new();
    while bytes > 0
        && let Some(piece) = memory.pop_front()
    {
        let len = u64::from(piece.len()).min(bytes) as u32;
        taken.push(piece.part(0, len));
        if len < piece.len() {
            memory.push_front(piece.part(len, piece.len() - len));
        }
        bytes -= u64::from(len);
    }
    taken
}

impl Device for Extents {
    fn info(&self) -> Info {
        Info {
            sectors: self.runs.sectors,
            ..self.whole.info()
        }
    }

    fn is_gone(&self) -> bool {
        self.whole.is_gone()
    }

    fn seat(&self) -> Option<&Seat> {
        self.whole.seat()
    }

    fn submit(&self, mut request: Box<Request>) -> Result<(), Refused> {
        if let Err(error) = check::request(&self.info(), &request) {
            return Err(Refused { request, error });
        }
        if request.op == Op::Flush {
            return self.whole.submit(request);
        }
        let sector = request.sector;
        if let Some((there, follow)) = self.runs.find(sector)
            && request.sectors() <= follow
        {
            request.sector = there;
            return self.whole.submit(request).map_err(|mut refused| {
                refused.request.sector = sector;
                refused
            });
        }
        let id = self.next.replace(self.next.get() + 1);
        let mut split = Split {
            waiting: self.parts(&request, id),
            request,
            under_way: 0,
            result: Ok(()),
        };
        self.begin(&mut split);
        if split.under_way == 0 {
            let error = split.result.err().unwrap_or(BlockError::Busy);
            let request = split.request;
            return Err(Refused { request, error });
        }
        split.request.client.begin();
        self.split.borrow_mut().insert(id, split);
        // The other disk may have done it already.
        self.go_on();
        Ok(())
    }

    fn go_on(&self) {
        self.whole.go_on();
        while let Some(done) = self.client.take() {
            if let Some(split) = self.split.borrow_mut().get_mut(&done.id) {
                split.under_way -= 1;
                if let Err(error) = done.result {
                    split.fail(error);
                }
            }
        }
        for split in self.split.borrow_mut().values_mut() {
            self.begin(split);
        }
        self.end_those_that_are_over();
    }
}
