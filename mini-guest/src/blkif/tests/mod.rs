//! Both halves, and what a hostile one does to the other.

use super::frontend::Properties;
use super::judge::MOST_INDIRECT;
use super::*;
use crate::block::testing::TestDisk;
use crate::block::{BlockError, Client, Device, Op, Request, SECTOR, Segment};
use crate::page::PAGE;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::rc::Rc;
use core::cell::{Cell, RefCell, UnsafeCell};
use core::ptr::NonNull;
use guest_abi::io::ring::RingIndices;

mod hostile;
mod kills;
mod lasting;
mod lists;
mod rings;
mod waits;

/// A page that two sides share.
#[derive(Default)]
pub struct SharedPage {
    indices: RingIndices,
    bytes: RefCell<Vec<u8>>,
}

impl SharedPage {
    pub fn new() -> Rc<Self> {
        let page = Self::default();
        page.bytes.borrow_mut().resize(PAGE, 0);
        page.indices.init();
        Rc::new(page)
    }
}

impl RingPage for SharedPage {
    fn indices(&self) -> &RingIndices {
        &self.indices
    }

    fn read(&self, offset: usize, into: &mut [u8]) {
        into.copy_from_slice(&self.bytes.borrow()[offset..offset + into.len()]);
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        self.bytes.borrow_mut()[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}

impl RingPage for Rc<SharedPage> {
    fn indices(&self) -> &RingIndices {
        (**self).indices()
    }

    fn read(&self, offset: usize, into: &mut [u8]) {
        (**self).read(offset, into);
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        (**self).write(offset, bytes);
    }
}

/// The frontend's memory: frame n has machine number n, and lies at a place of its own.
#[derive(Clone)]
pub struct Memory(Rc<Vec<UnsafeCell<[u8; PAGE]>>>);

impl Memory {
    pub fn new(frames: usize) -> Self {
        Self(Rc::new((0..frames).map(|_| UnsafeCell::new([0; PAGE])).collect()))
    }

    pub fn segment(&self, frame: u64, offset: u32, len: u32) -> Segment {
        let at = NonNull::new(self.0[frame as usize].get().cast::<u8>()).unwrap();
        assert!(offset + len <= PAGE as u32);
        // SAFETY: inside the frame.
        let at = unsafe { at.add(offset as usize) };
        // SAFETY: the frame lives as long as the test, and nobody holds a reference into it.
        unsafe { Segment::new((frame << 12) + u64::from(offset), len, at) }
    }

    pub fn fill(&self, frame: u64, byte: u8) {
        self.segment(frame, 0, PAGE as u32).write(&[byte; PAGE]);
    }

    pub fn bytes(&self, frame: u64) -> Vec<u8> {
        let mut bytes = vec![0; PAGE];
        self.segment(frame, 0, PAGE as u32).read(&mut bytes);
        bytes
    }
}

/// A grant: which frame, whether it may be written, how often it is mapped.
#[derive(Debug, Clone, Copy)]
struct Grant {
    frame: u64,
    is_read_only: bool,
    mapped: usize,
    is_withdrawn: bool,
    /// Its frame is held, and goes with it.
    is_kept: bool,
}

/// Two domains and what is between them.
#[derive(Clone)]
pub struct Between {
    memory: Memory,
    grants: Rc<RefCell<BTreeMap<u32, Grant>>>,
    last: Rc<Cell<u32>>,
    /// Events that came: at the backend, at the frontend.
    events: Rc<Cell<(usize, usize)>>,
    /// Most grants at a time.
    most: Rc<Cell<usize>>,
    /// The frontend shows requests when it is told to.
    shows_later: Rc<Cell<bool>>,
    /// Frames from this one on stay with disks.
    lasting: Rc<Cell<u64>>,
    /// Frames for lists of segments.
    lists: Rc<RefCell<Vec<u64>>>,
    /// How many grants hold a frame.
    holds: Rc<RefCell<BTreeMap<u64, usize>>>,
}

impl Between {
    pub fn new(frames: usize) -> Self {
        Self {
            memory: Memory::new(frames + LISTS),
            grants: Rc::default(),
            last: Rc::default(),
            events: Rc::default(),
            most: Rc::new(Cell::new(1000)),
            shows_later: Rc::default(),
            lasting: Rc::default(),
            lists: Rc::new(RefCell::new((frames as u64..(frames + LISTS) as u64).collect())),
            holds: Rc::default(),
        }
    }

    /// Everything that was withdrawn and is not mapped goes.
    fn collect(&self) {
        let is_gone = |grant: &Grant| grant.is_withdrawn && grant.mapped == 0;
        let gone = self
            .grants
            .borrow_mut()
            .extract_if(.., |_, grant| is_gone(grant))
            .collect::<Vec<_>>();
        for (_, grant) in gone {
            if grant.is_kept {
                self.let_go(grant.frame);
            }
        }
    }

    fn withdraw(&self, reference: u32, is_kept: bool) {
        let mut grants = self.grants.borrow_mut();
        let grant = grants.get_mut(&reference).unwrap();
        assert!(!grant.is_withdrawn, "withdrawn twice");
        grant.is_withdrawn = true;
        grant.is_kept = is_kept;
        drop(grants);
        self.collect();
    }

    fn mapped(&self) -> usize {
        self.grants.borrow().values().map(|grant| grant.mapped).sum()
    }
}

impl Host for Between {
    fn grant(&self, frame: u64, is_read_only: bool) -> Result<u32, ()> {
        if self.grants.borrow().len() >= self.most.get() {
            return Err(());
        }
        let reference = self.last.get() + 1;
        self.last.set(reference);
        let grant = Grant {
            frame,
            is_read_only,
            mapped: 0,
            is_withdrawn: false,
            is_kept: false,
        };
        self.grants.borrow_mut().insert(reference, grant);
        Ok(reference)
    }

    fn end(&self, reference: u32) {
        self.withdraw(reference, false);
    }

    fn try_end(&self, reference: u32) -> bool {
        let mut grants = self.grants.borrow_mut();
        let is_mapped = grants.get(&reference).unwrap().mapped > 0;
        if !is_mapped {
            grants.remove(&reference);
        }
        !is_mapped
    }

    fn keep(&self, frame: u64) -> bool {
        let is_lasting = frame >= self.lasting.get();
        if is_lasting {
            *self.holds.borrow_mut().entry(frame).or_default() += 1;
        }
        is_lasting
    }

    fn let_go(&self, frame: u64) {
        let mut holds = self.holds.borrow_mut();
        let count = holds.get_mut(&frame).expect("held");
        *count -= 1;
        holds.retain(|_, count| *count > 0);
    }

    fn page(&self) -> Option<(Box<dyn RingPage>, u32)> {
        let frame = self.lists.borrow_mut().pop()?;
        let Ok(reference) = self.grant(frame, false) else {
            self.lists.borrow_mut().push(frame);
            return None;
        };
        let list = ListPage {
            between: self.clone(),
            frame,
            reference,
        };
        Some((Box::new(list), reference))
    }

    fn end_kept(&self, reference: u32, _: u64) {
        self.withdraw(reference, true);
    }

    fn notify(&self) {
        let (backend, frontend) = self.events.get();
        self.events.set((backend + 1, frontend));
    }

    fn shows_later(&self) -> bool {
        self.shows_later.get()
    }
}

/// Most lists of segments.
const LISTS: usize = 40;

/// A page of the frontend's for such a list.
struct ListPage {
    between: Between,
    frame: u64,
    reference: u32,
}

impl RingPage for ListPage {
    fn indices(&self) -> &RingIndices {
        unreachable!("it is no ring")
    }

    fn read(&self, offset: usize, into: &mut [u8]) {
        let memory = &self.between.memory;
        memory
            .segment(self.frame, offset as u32, into.len() as u32)
            .read(into);
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        let memory = &self.between.memory;
        memory
            .segment(self.frame, offset as u32, bytes.len() as u32)
            .write(bytes);
    }
}

impl Drop for ListPage {
    fn drop(&mut self) {
        self.between.end(self.reference);
        self.between.lists.borrow_mut().push(self.frame);
    }
}

/// A mapped frame.
pub struct Mapped {
    between: Between,
    reference: u32,
    frame: u64,
}

impl Mapping for Mapped {
    fn segment(&self, offset: u32, len: u32) -> Segment {
        self.between.memory.segment(self.frame, offset, len)
    }

    fn read(&self, into: &mut [u8]) {
        self.segment(0, into.len() as u32).read(into);
    }
}

impl Guest for Between {
    type Mapping = Mapped;

    fn map(&mut self, references: &[u32], is_writable: bool) -> Result<Vec<Mapped>, ()> {
        let mut grants = self.grants.borrow_mut();
        let allows = |reference| {
            let grant = grants.get(reference);
            grant.is_some_and(|grant| !(grant.is_withdrawn || is_writable && grant.is_read_only))
        };
        if !references.iter().all(allows) {
            return Err(());
        }
        let map = |reference: &u32| {
            let grant = grants.get_mut(reference).unwrap();
            grant.mapped += 1;
            Mapped {
                between: self.clone(),
                reference: *reference,
                frame: grant.frame,
            }
        };
        Ok(references.iter().map(map).collect())
    }

    fn unmap(&mut self, mappings: Vec<Mapped>) {
        for mapping in mappings {
            let mut grants = self.grants.borrow_mut();
            let grant = grants.get_mut(&mapping.reference).unwrap();
            grant.mapped -= 1;
        }
        self.collect();
    }

    fn notify(&mut self) {
        let (backend, frontend) = self.events.get();
        self.events.set((backend, frontend + 1));
    }
}

/// A disk, both halves, and somebody who uses it.
pub struct World {
    pub between: Between,
    pub disk: Rc<TestDisk>,
    pub page: Rc<SharedPage>,
    pub front: Frontend<Between>,
    pub back: Option<Backend<Between>>,
    pub client: Rc<Client>,
    pub keeps: bool,
}

pub const SECTORS: usize = 512;

fn properties(keeps: bool) -> Properties {
    Properties {
        sectors: SECTORS as u64,
        sector_size: 512,
        is_read_only: false,
        has_flush: true,
        keeps,
        max_segments: if keeps { MOST_INDIRECT } else { 0 },
    }
}

impl World {
    pub fn new() -> Self {
        Self::keeping(false)
    }

    /// Both halves keep grants, or do not.
    pub fn keeping(keeps: bool) -> Self {
        let between = Between::new(64);
        let disk = Rc::new(TestDisk::new(SECTORS));
        let properties = properties(keeps);
        let mut world = Self {
            front: Frontend::new(between.clone(), properties),
            between,
            disk,
            page: SharedPage::new(),
            back: None,
            client: Client::new(),
            keeps,
        };
        world.front.connect(world.page.clone());
        world.start_backend();
        world
    }

    /// What the backend says of the disk.
    pub fn properties(&self) -> Properties {
        properties(self.keeps)
    }

    pub fn start_backend(&mut self) {
        let page = Box::new(self.page.clone());
        let disk = self.disk.clone();
        let backend = Backend::new(self.between.clone(), page, Layout::X86_32, disk, self.keeps);
        self.back = Some(backend);
    }

    pub fn back(&mut self) -> &mut Backend<Between> {
        self.back.as_mut().unwrap()
    }

    /// Asks for something, `pages` frames from `frame` on.
    pub fn submit(&self, op: Op, sector: u64, frame: u64, pages: u64, id: u64) -> Result<(), BlockError> {
        let pieces = (0..pages).map(|n| self.between.memory.segment(frame + n, 0, PAGE as u32));
        let request = Request::new(op, sector, pieces.collect(), id, self.client.clone());
        self.front.submit(request).map_err(|refused| refused.error)
    }

    /// Lets everybody do what there is to do; gives what came of the client's requests.
    pub fn run(&mut self) -> BTreeMap<u64, Result<(), BlockError>> {
        loop {
            while self.back().step() == Step::More {}
            let worked = self.disk.finish(0);
            assert!(self.front.poll());
            if !worked && self.back().step() != Step::More {
                break;
            }
        }
        self.results()
    }

    pub fn results(&self) -> BTreeMap<u64, Result<(), BlockError>> {
        let mut all = BTreeMap::new();
        while let Some(completion) = self.client.take() {
            assert!(
                all.insert(completion.id, completion.result).is_none(),
                "answered twice"
            );
        }
        all
    }
}
