//! Both halves, and what a hostile one does to the other.

use super::backend::{BATCH, BATCH_PIECES};
use super::frontend::{PAGES, RX_BUFFERS, TX_BUFFERS};
use super::guest::{Deliver, Fetch, NotFetched};
use super::slots::{Rx, Slots, Tx};
use super::*;
use crate::blkif::RingPage;
use crate::blkif::tests::SharedPage;
use crate::net::{FRAME, HEADER, Interface, Mac, NotSent};
use crate::page::PAGE;
use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

mod blank;
mod hostile;
mod kills;
mod pieces;
mod rings;

/// From a page of the pool to its grant.
const FIRST_REFERENCE: u32 = 100;

/// A frontend's pool of pages, as both sides reach it, and the events.
#[derive(Clone)]
pub struct Between {
    pages: Rc<RefCell<Vec<[u8; PAGE]>>>,
    /// Grants that are none any more.
    withdrawn: Rc<RefCell<BTreeSet<u32>>>,
    /// Events that came: at the backend, at the frontend.
    events: Rc<Cell<(usize, usize)>>,
    /// Calls that copied.
    copies: Rc<Cell<usize>>,
    has_memory: Rc<Cell<bool>>,
}

impl Between {
    pub fn new() -> Self {
        Self {
            pages: Rc::new(RefCell::new(vec![[0; PAGE]; PAGES])),
            withdrawn: Rc::default(),
            events: Rc::default(),
            copies: Rc::default(),
            has_memory: Rc::new(Cell::new(true)),
        }
    }

    fn page(&self, gref: u32, is_writable: bool) -> Option<usize> {
        let page = gref.checked_sub(FIRST_REFERENCE)? as usize;
        let is_granted = page < PAGES && !self.withdrawn.borrow().contains(&gref);
        (is_granted && (!is_writable || page < RX_BUFFERS)).then_some(page)
    }
}

impl Host for Between {
    fn reference(&self, page: usize) -> u32 {
        FIRST_REFERENCE + page as u32
    }

    fn read(&self, page: usize, offset: usize, into: &mut [u8]) {
        into.copy_from_slice(&self.pages.borrow()[page][offset..offset + into.len()]);
    }

    fn write(&self, page: usize, offset: usize, bytes: &[u8]) {
        self.pages.borrow_mut()[page][offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    fn notify(&self) {
        let (back, front) = self.events.get();
        self.events.set((back + 1, front));
    }
}

pub type TestFrame = Rc<[u8]>;

impl Guest for Between {
    type Frame = TestFrame;

    fn bytes(frame: &mut TestFrame) -> Option<&mut [u8]> {
        Rc::get_mut(frame)
    }

    fn fetch(&mut self, frames: &mut [Fetch<TestFrame>]) {
        let wanted = || frames.iter().filter(|fetch| fetch.is_wanted());
        assert!(wanted().count() > 0 && frames.len() <= BATCH);
        assert!(wanted().map(|fetch| fetch.pieces.count()).sum::<usize>() <= BATCH_PIECES);
        self.copies.update(|count| count + 1);
        for fetch in frames.iter_mut().filter(|fetch| fetch.is_wanted()) {
            let mut bytes = vec![];
            for piece in fetch.pieces.iter() {
                // What the hypervisor would refuse, and what the backend is to judge before.
                let (offset, len) = (usize::from(piece.offset), usize::from(piece.size));
                assert!(offset + len <= PAGE && len > 0);
                let Some(page) = self.page(piece.gref, false) else {
                    fetch.frame = Err(NotFetched::Grant);
                    break;
                };
                bytes.extend_from_slice(&self.pages.borrow()[page][offset..offset + len]);
            }
            if fetch.frame == Err(NotFetched::Grant) {
                continue;
            }
            assert!((HEADER..=FRAME).contains(&bytes.len()) && bytes.len() == usize::from(fetch.len));
            fetch.frame = if self.has_memory.get() {
                Ok(bytes.into())
            } else {
                Err(NotFetched::Memory)
            };
        }
    }

    fn deliver(&mut self, frames: &mut [Deliver<TestFrame>]) {
        assert!(!frames.is_empty() && frames.len() <= BATCH);
        self.copies.update(|count| count + 1);
        for deliver in frames {
            if let Some(page) = self.page(deliver.gref, true) {
                self.pages.borrow_mut()[page][..deliver.frame.len()].copy_from_slice(&deliver.frame);
                deliver.is_done = true;
            }
        }
    }

    fn notify(&mut self) {
        let (back, front) = self.events.get();
        self.events.set((back, front + 1));
    }
}

/// The bridge's port: what came, and what is to go.
#[derive(Default)]
pub struct Port {
    came: Vec<TestFrame>,
    going: VecDeque<TestFrame>,
}

impl Switch<TestFrame> for Port {
    fn pass(&mut self, frame: TestFrame, _: u64) {
        self.came.push(frame);
    }

    fn has_frames(&self) -> bool {
        !self.going.is_empty()
    }

    fn take(&mut self) -> Option<TestFrame> {
        self.going.pop_front()
    }
}

/// Both halves, connected.
pub struct World {
    between: Between,
    tx: Rc<SharedPage>,
    rx: Rc<SharedPage>,
    front: Frontend<Between>,
    back: Backend<Between>,
    port: Port,
}

pub const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

impl World {
    pub fn new() -> Self {
        let between = Between::new();
        let (tx, rx) = (SharedPage::new(), SharedPage::new());
        let mut front = Frontend::new(between.clone(), MAC);
        front.connect(tx.clone(), rx.clone());
        let back = Backend::new(
            between.clone(),
            Box::new(tx.clone()),
            Box::new(rx.clone()),
            None,
            0,
        );
        Self {
            between,
            tx,
            rx,
            front,
            back,
            port: Port::default(),
        }
    }

    /// Lets the backend go on until it has nothing to do; what it says then.
    pub fn settle(&mut self) -> Step {
        for _ in 0..10_000 {
            match self.back.step(&mut self.port, 0) {
                Step::More => {}
                rest => return rest,
            }
        }
        panic!("it never comes to rest");
    }

    /// Marks of the frames that came at the frontend.
    pub fn received(&mut self) -> Vec<u16> {
        let mut buffer = [0; FRAME];
        core::iter::from_fn(|| self.front.receive(&mut buffer).map(|len| mark(&buffer[..len]))).collect()
    }
}

/// A frame with a number, and bytes that follow from it.
pub fn frame(mark: u16, len: usize) -> TestFrame {
    let mut bytes = vec![mark as u8; len];
    bytes[12..14].copy_from_slice(&mark.to_be_bytes());
    bytes.into()
}

/// The number of a frame, whose bytes are as they were.
pub fn mark(bytes: &[u8]) -> u16 {
    let mark = u16::from_be_bytes([bytes[12], bytes[13]]);
    assert_eq!(*frame(mark, bytes.len()), *bytes);
    mark
}
