//! A model of a disk with users that want much and users that want little; the disk's work is the clock.

use super::*;
use crate::block::{Client, Segment};
use core::ptr::NonNull;

mod flood;
mod shares;

/// A disk that does nothing but count, one request after the other.
struct Counting {
    queue: RefCell<VecDeque<Box<Request>>>,
    /// What it says that it takes, and what it takes.
    says: usize,
    takes: usize,
    /// It does everything at once.
    is_memory: bool,
}

impl Device for Counting {
    fn info(&self) -> Info {
        Info {
            sectors: 1 << 30,
            block_sectors: 1,
            is_read_only: false,
            has_cache: true,
            max_segments: 256,
            is_copying: false,
            depth: self.says,
        }
    }

    fn submit(&self, request: Box<Request>) -> Result<(), Refused> {
        if self.queue.borrow().len() >= self.takes {
            let error = BlockError::Busy;
            return Err(Refused { request, error });
        }
        request.client.begin();
        if self.is_memory {
            request.complete(Ok(()));
        } else {
            self.queue.borrow_mut().push_back(request);
        }
        Ok(())
    }
}

/// What a user asks for next: pages, or a flush where there are none.
type Wish = Box<dyn FnMut() -> usize>;

/// A user, who has a number of requests under way at a time, or as many as the disk takes.
struct User {
    seat: Seat,
    client: Rc<Client>,
    depth: usize,
    wish: Wish,
    /// How much had been done for others when its request came, if it has one.
    came: Option<u64>,
    requests: u64,
    worst: u64,
}

impl User {
    fn new(disk: &Rc<Shared>, weight: u32, depth: usize, wish: Wish) -> Self {
        let seat = disk.seat();
        seat.set_weight(weight);
        Self {
            seat,
            client: Client::new(),
            depth,
            wish,
            came: None,
            requests: 0,
            worst: 0,
        }
    }

    /// Asks for as much as it may; takes what is done.
    fn turn(&mut self) {
        while let Some(completion) = self.client.take() {
            assert_eq!(completion.result, Ok(()));
            self.requests += 1;
            if let Some(came) = self.came.take() {
                self.worst = self.worst.max(self.seat.done_for_others() - came);
            }
        }
        while self.client.in_flight() < self.depth {
            let request = ask((self.wish)(), &self.client);
            self.came = (self.depth == 1).then(|| self.seat.done_for_others());
            if self.seat.submit(request).is_err() {
                break;
            }
        }
    }

    fn work(&self) -> u64 {
        self.seat.0.done.get() + self.requests * REQUEST_COST
    }
}

fn ask(pages: usize, client: &Rc<Client>) -> Box<Request> {
    // SAFETY: nobody looks there.
    let piece = unsafe { Segment::new(0, 4096, NonNull::dangling()) };
    let op = if pages == 0 { Op::Flush } else { Op::Read };
    Request::new(op, 0, vec![piece; pages], 0, client.clone())
}

fn always(pages: usize) -> Wish {
    Box::new(move || pages)
}

struct World {
    device: Rc<Counting>,
    disk: Rc<Shared>,
}

impl World {
    fn new(says: usize, takes: usize, is_memory: bool) -> Self {
        let device = Rc::new(Counting {
            queue: RefCell::default(),
            says,
            takes,
            is_memory,
        });
        let disk = Shared::new(device.clone());
        Self { device, disk }
    }

    fn disk() -> Self {
        Self::new(64, 64, false)
    }

    /// The disk does a request and its event comes; whether it had one.
    fn event(&self) -> bool {
        let request = self.device.queue.borrow_mut().pop_front();
        let had_one = request.is_some();
        if let Some(request) = request {
            request.complete(Ok(()));
        }
        self.disk.serve();
        let is_at_work = self.device.is_memory || !self.device.queue.borrow().is_empty();
        assert!(is_at_work || self.disk.waiting.get() == 0, "it stands still");
        had_one
    }

    /// Lets the users go on until the disk has done so many sectors; those first in the list have their turn first.
    fn run(&self, users: &mut [User], sectors: u64) {
        let end = self.disk.done.get() + sectors;
        while self.disk.done.get() < end {
            users.iter_mut().for_each(User::turn);
            self.event();
        }
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}
