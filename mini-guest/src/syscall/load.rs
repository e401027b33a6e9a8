//! A load on a disk, to measure what its requests cost: an ioctl of the disk's file.
//!
//! The kernel itself submits the requests, and the next batch as soon as one is done; the program sleeps meanwhile. So what is measured is the disk's
//! driver and the way of its events, and no system call. Before and behind the measured part the kernel asks for the hypervisor's version, which it does at no
//! other time: a log of hypercalls shows by that where it begins and ends.

use crate::block::load::{Load, Plan};
use crate::block::{BlockError, Op, Volume};
use crate::fat::errno;
use crate::kernel::{Kernel, SysResult};
use crate::linux::Errno;
use crate::linux::file::OpenFlags;
use crate::{hypercall, shared, time};

/// The ioctl: `_IOWR('X', 1, …)` of nine words, which are whether it writes, bytes of a request, requests of a batch, batches, a zero, then of 64 bits the
/// first byte and the step from one request to the next. The answer is written over these: of 64 bits, ticks of the time-stamp counter, and how often this domain
/// was put on the processor meanwhile.
pub const LOAD: u32 = 0xC024_5801;
/// Bytes of its argument.
const BYTES: usize = 36;
/// Where the answer is written.
const ANSWER_AT: u32 = 20;

/// A load, and when it began.
pub struct Measured {
    load: Load,
    time: Stopwatch,
    /// What came of it.
    result: Option<Result<(), BlockError>>,
}

impl Measured {
    fn new(load: Load) -> Self {
        let mut this = Self {
            load,
            time: Stopwatch::start(),
            result: None,
        };
        this.advance();
        this
    }

    /// Goes on; whether it has ended now.
    pub(crate) fn advance(&mut self) -> bool {
        if self.result.is_some() {
            return false;
        }
        self.result = self.load.advance();
        if self.result.is_some() {
            self.time.stop();
        }
        self.result.is_some()
    }
}

/// What a load takes: ticks of the time-stamp counter, and how often the hypervisor has put this domain on the processor: it renews the record of time then.
///
/// The hypervisor is asked for its version at the beginning and at the end, which a log of hypercalls shows.
#[derive(Clone, Copy)]
pub(super) struct Stopwatch {
    ticks: u64,
    runs: u32,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        mark();
        Self::now()
    }

    fn now() -> Self {
        Self {
            ticks: time::tsc(),
            runs: shared::time_record().version1,
        }
    }

    /// From now on it says what was taken until now.
    pub(super) fn stop(&mut self) {
        let now = Self::now();
        mark();
        *self = Self {
            ticks: now.ticks - self.ticks,
            runs: now.runs.wrapping_sub(self.runs),
        };
    }

    /// What programs are told.
    pub(super) fn answer(self) -> [u8; 16] {
        let mut answer = [0; 16];
        answer[..8].copy_from_slice(&self.ticks.to_le_bytes());
        answer[8..].copy_from_slice(&u64::from(self.runs).to_le_bytes());
        answer
    }
}

/// What a log of hypercalls shows.
fn mark() {
    // It has no errors.
    let _ = hypercall::xen_version();
}

impl Kernel {
    /// Does a load, and tells what it cost.
    pub(super) fn load_request(&mut self, volume: &Volume, flags: OpenFlags, arg: u32) -> SysResult {
        let pid = self.current;
        if !self.loads.contains_key(&pid) {
            let plan = plan(&self.copy_in(arg)?)?;
            let may = match plan.op {
                Op::Write => flags.can_write(),
                _ => flags.can_read(),
            };
            if !may {
                return Err(Errno::EBADF.into());
            }
            // What the cache has of the disk would be older than the disk, or newer.
            if plan.op == Op::Write {
                if !volume.cache.is_idle() {
                    return Err(Errno::EBUSY.into());
                }
                let sectors = volume.first..volume.first + volume.sectors;
                volume.cache.forget(core::slice::from_ref(&sectors));
            }
            let load = Load::new(volume.device.clone(), plan)?;
            self.loads.insert(pid, Measured::new(load));
        }
        let Some(Measured {
            time,
            result: Some(result),
            ..
        }) = self.loads.get(&pid)
        else {
            return Err(Errno::EIOCBQUEUED.into());
        };
        let (answer, result) = (time.answer(), *result);
        self.loads.remove(&pid);
        result.map_err(|error| errno(error.into()))?;
        let at = arg.checked_add(ANSWER_AT).ok_or(Errno::EFAULT)?;
        self.copy_out(at, &answer)?;
        Ok(0)
    }
}

fn plan(argument: &[u8; BYTES]) -> Result<Plan, Errno> {
    let word = |index: usize| {
        let bytes = argument[4 * index..].first_chunk();
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    };
    let long = |index| u64::from(word(index)) | u64::from(word(index + 1)) << 32;
    let op = match word(0) {
        0 => Op::Read,
        1 => Op::Write,
        _ => return Err(Errno::EINVAL),
    };
    let plan = Plan {
        op,
        size: word(1),
        depth: word(2),
        batches: word(3),
        first: long(5),
        step: long(7),
    };
    if plan.is_sound() && word(4) == 0 {
        Ok(plan)
    } else {
        Err(Errno::EINVAL)
    }
}
