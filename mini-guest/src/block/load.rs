//! A load: requests of one size, so many at a time, on a device itself, without a cache or anybody's memory but its own.
//!
//! It measures what a device costs. A batch of requests is submitted, and the next one when all of it is done: so it is known how many are under way
//! whatever the device is, and a batch does the same work each time. A request that is larger than the device takes is several.

use alloc::rc::Rc;
use alloc::vec::Vec;

use super::{BlockError, Client, Device, Op, Request, SECTOR};
use crate::linux::Errno;
use crate::page::{PAGE, Page};

/// Most bytes of a batch: the load has memory for one.
pub const MOST_BYTES: u32 = 4 << 20;
/// Most batches: nothing interrupts a load.
pub const MOST_BATCHES: u32 = 4096;

/// What is asked of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Read, or write zeroes.
    pub op: Op,
    /// Bytes of a request: whole pages.
    pub size: u32,
    /// Requests of a batch.
    pub depth: u32,
    /// How many batches.
    pub batches: u32,
    /// Byte of the device at which the first request begins, and from there to the next one: whole sectors.
    pub first: u64,
    /// See above.
    pub step: u64,
}

impl Plan {
    /// Whether it makes sense; what a device of its own refuses is seen later.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let is_whole = |bytes: u64| bytes.is_multiple_of(SECTOR as u64);
        let bytes = self.size.checked_mul(self.depth);
        let span = self.step.checked_mul(self.depth.into());
        self.op != Op::Flush
            && (1..=MOST_BATCHES).contains(&self.batches)
            && self.size.is_multiple_of(PAGE as u32)
            && bytes.is_some_and(|bytes| (1..=MOST_BYTES).contains(&bytes))
            && is_whole(self.first)
            && is_whole(self.step)
            && span.is_some_and(|span| span.checked_add(self.first).is_some_and(|end| end < u64::MAX / 2))
    }

    /// The byte behind the last one that it touches.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.first + self.step * u64::from(self.depth.saturating_sub(1)) + u64::from(self.size)
    }
}

/// A load under way.
pub struct Load {
    device: Rc<dyn Device>,
    client: Rc<Client>,
    plan: Plan,
    pages: Vec<Page>,
    /// Batches that are done.
    done: u32,
    /// Bytes of this batch that are submitted.
    place: u32,
    error: Option<BlockError>,
}

impl Load {
    /// A load of which nothing is submitted yet.
    ///
    /// # Errors
    /// EINVAL: the plan makes no sense; ENOMEM.
    pub fn new(device: Rc<dyn Device>, plan: Plan) -> Result<Self, Errno> {
        if !plan.is_sound() {
            return Err(Errno::EINVAL);
        }
        let count = (plan.size * plan.depth) as usize / PAGE;
        let pages = (0..count).map(|_| Page::for_disk()).collect::<Result<_, _>>()?;
        Ok(Self {
            device,
            client: Client::new(),
            plan,
            pages,
            done: 0,
            place: 0,
            error: None,
        })
    }

    /// Submits nothing more.
    pub fn stop(&mut self) {
        self.error.get_or_insert(BlockError::Gone);
    }

    /// Goes on as far as it can without waiting; the result when all is done. Nothing is under way then.
    pub fn advance(&mut self) -> Option<Result<(), BlockError>> {
        loop {
            self.device.go_on();
            while let Some(completion) = self.client.take() {
                if let Err(error) = completion.result {
                    self.error.get_or_insert(error);
                }
            }
            let total = self.plan.size * self.plan.depth;
            while self.error.is_none() && self.place < total && self.submit() {}
            if self.client.has_completions() {
                continue;
            }
            if self.client.in_flight() > 0 {
                return None;
            }
            if let Some(error) = self.error {
                return Some(Err(error));
            }
            if self.place < total {
                // The device is busy with others' requests.
                return None;
            }
            self.done += 1;
            if self.done == self.plan.batches {
                return Some(Ok(()));
            }
            self.place = 0;
        }
    }

    /// Submits the next request or part of one; `false` where that has to wait.
    fn submit(&mut self) -> bool {
        let (index, within) = (self.place / self.plan.size, self.place % self.plan.size);
        let most = (self.device.info().max_segments * PAGE).min((self.plan.size - within) as usize);
        let first_page = self.place as usize / PAGE;
        let pages = &mut self.pages[first_page..first_page + most / PAGE];
        // SAFETY: the pages are the load's, which keeps them while requests are under way and looks at none of them.
        let segments = pages.iter_mut().map(|page| unsafe { page.segment(PAGE) });
        let at = self.plan.first + self.plan.step * u64::from(index) + u64::from(within);
        let sector = at / SECTOR as u64;
        let request = Request::new(self.plan.op, sector, segments.collect(), 0, self.client.clone());
        match self.device.submit(request) {
            Ok(()) => self.place += most as u32,
            Err(refused) if refused.error == BlockError::Busy => return false,
            Err(refused) => self.error = Some(refused.error),
        }
        true
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if self.client.in_flight() > 0 {
            // The device still has them: they are lost.
            core::mem::forget(core::mem::take(&mut self.pages));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::testing::TestDisk;

    const PLAN: Plan = Plan {
        op: Op::Write,
        size: 2 * PAGE as u32,
        depth: 3,
        batches: 2,
        first: 4096,
        step: 16384,
    };

    #[test]
    fn a_batch_is_under_way_together_and_then_the_next() {
        let disk = Rc::new(TestDisk::new(256));
        let mut load = Load::new(disk.clone(), PLAN).unwrap();
        for _ in 0..PLAN.batches {
            assert_eq!(load.advance(), None);
            let places: Vec<u64> = disk.queue.borrow().iter().map(|request| request.sector).collect();
            assert_eq!(places, [8, 40, 72]);
            while !disk.queue.borrow().is_empty() {
                assert_eq!(load.advance(), None);
                disk.finish(0);
            }
        }
        assert_eq!(load.advance(), Some(Ok(())));
    }

    #[test]
    fn a_plan_that_makes_no_sense_is_refused() {
        let disk = Rc::new(TestDisk::new(256));
        for bad in [
            Plan { size: 100, ..PLAN },
            Plan { depth: 0, ..PLAN },
            Plan { batches: 0, ..PLAN },
            Plan {
                depth: u32::MAX,
                ..PLAN
            },
            Plan { first: 1, ..PLAN },
            Plan {
                step: u64::MAX - 511,
                ..PLAN
            },
            Plan {
                op: Op::Flush,
                ..PLAN
            },
        ] {
            assert!(Load::new(disk.clone(), bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_error_ends_it_when_nothing_is_under_way() {
        let disk = Rc::new(TestDisk::new(8));
        let mut load = Load::new(disk.clone(), PLAN).unwrap();
        assert_eq!(load.advance(), Some(Err(BlockError::OutOfRange)));
    }
}
