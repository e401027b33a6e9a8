//! For tests: requests over ordinary memory, and a disk whose completions the test decides about.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::cell::{Cell, RefCell};
use core::ptr::NonNull;

use super::{BlockError, Client, Device, Info, Op, Refused, Request, SECTOR, Segment, check};
use crate::page::PAGE;

/// The pieces of `memory`, which must live until the request is complete; their machine addresses are those that a page-aligned
/// copy would have at 4 GiB.
pub fn segments(memory: &mut [u8]) -> Vec<Segment> {
    let pieces = memory.chunks_mut(PAGE).enumerate();
    pieces
        .map(|(n, piece)| {
            let at = NonNull::new(piece.as_mut_ptr()).unwrap();
            // SAFETY: the tests keep the memory and complete each request before they look.
            unsafe { Segment::new((1 << 32) + (n * PAGE) as u64, piece.len() as u32, at) }
        })
        .collect()
}

/// Does one request on a device that completes at once.
pub fn submit_one(device: &dyn Device, op: Op, sector: u64, memory: &mut [u8]) -> Result<(), BlockError> {
    let client = Client::new();
    let request = Request::new(op, sector, segments(memory), 77, client.clone());
    device.submit(request).map_err(|refused| refused.error)?;
    let completion = client.take().expect("it completes at once");
    assert_eq!((completion.id, client.in_flight()), (77, 0));
    completion.result
}

/// Reads `len` bytes.
pub fn read(device: &dyn Device, sector: u64, len: usize) -> Result<Vec<u8>, BlockError> {
    let mut memory = vec![0xEE; len];
    submit_one(device, Op::Read, sector, &mut memory)?;
    Ok(memory)
}

/// Writes bytes.
pub fn write(device: &dyn Device, sector: u64, bytes: &[u8]) -> Result<(), BlockError> {
    submit_one(device, Op::Write, sector, &mut bytes.to_vec())
}

/// A disk that does a request when the test says so, in the order that it says, and keeps writes in a cache until a flush.
pub struct TestDisk {
    /// What has reached the medium.
    pub medium: RefCell<Vec<u8>>,
    /// What a read finds.
    pub cached: RefCell<Vec<u8>>,
    /// Requests under way, oldest first.
    pub queue: RefCell<VecDeque<Box<Request>>>,
    /// Most requests under way.
    pub depth: Cell<usize>,
}

impl TestDisk {
    /// A disk of zeroes.
    #[must_use]
    pub fn new(sectors: usize) -> Self {
        Self::holding(vec![0; sectors * SECTOR])
    }

    /// A disk with this content.
    #[must_use]
    pub fn holding(bytes: Vec<u8>) -> Self {
        Self {
            medium: RefCell::new(bytes.clone()),
            cached: RefCell::new(bytes),
            queue: RefCell::default(),
            depth: Cell::new(8),
        }
    }

    /// Does request `index` of the queue; `false` where there is none.
    pub fn finish(&self, index: usize) -> bool {
        self.end(index, Ok(()))
    }

    /// Lets request `index` of the queue fail, with nothing of it done.
    pub fn fail(&self, index: usize) -> bool {
        self.end(index, Err(BlockError::Io))
    }

    fn end(&self, index: usize, result: Result<(), BlockError>) -> bool {
        let Some(request) = self.queue.borrow_mut().remove(index) else {
            return false;
        };
        if result.is_ok() {
            self.run(&request);
        }
        request.complete(result);
        true
    }

    fn run(&self, request: &Request) {
        let mut cached = self.cached.borrow_mut();
        if request.op == Op::Flush {
            self.medium.borrow_mut().copy_from_slice(&cached);
        }
        let mut at = request.sector as usize * SECTOR;
        for segment in &request.segments {
            let piece = &mut cached[at..at + segment.len() as usize];
            if request.op == Op::Read {
                segment.write(piece);
            } else {
                segment.read(piece);
            }
            at += segment.len() as usize;
        }
    }
}

impl Device for TestDisk {
    fn info(&self) -> Info {
        Info {
            sectors: (self.cached.borrow().len() / SECTOR) as u64,
            block_sectors: 1,
            is_read_only: false,
            has_cache: true,
            max_segments: 32,
            is_copying: false,
            depth: self.depth.get(),
        }
    }

    fn submit(&self, request: Box<Request>) -> Result<(), Refused> {
        let error = match check::request(&self.info(), &request) {
            Err(error) => error,
            Ok(()) if self.queue.borrow().len() >= self.depth.get() => BlockError::Busy,
            Ok(()) => {
                request.client.begin();
                self.queue.borrow_mut().push_back(request);
                return Ok(());
            }
        };
        Err(Refused { request, error })
    }
}
