//! A load on a network interface, to measure what packets cost, and the mirror that sends its packets back: an ioctl of any socket.
//!
//! As with a [load on a disk](super::load), the kernel itself does it, and the program sleeps meanwhile. The interface is lent by whoever uses it: the stack, or
//! the bridge where it is a card.

use alloc::string::String;

use super::load::Stopwatch;
use crate::kernel::net::Place;
use crate::kernel::{Kernel, Stop, SysResult};
use crate::linux::{Errno, word};
use crate::net::load::{Failed, Lease, Load, Mirror, Plan};
use crate::net::{Interface, Mac};
use crate::process::WaitFor;
use crate::time;

/// The ioctl: `_IOWR('X', 2, …)` of 36 bytes. These are the interface's name (16), the mirror's address (6), of 16 bits the bytes of a packet's data, of 32 bits packets
/// of a batch, batches, and how many milliseconds it may take, 0 without a limit. A mirror has no packets and no batches. The answer is written over the name: of 64
/// bits, ticks of the time-stamp counter, and how often this domain was put on the processor meanwhile.
pub const LOAD: u32 = 0xC024_5802;
/// Bytes of its argument.
const BYTES: usize = 36;
/// Bytes of a name.
const NAME: usize = 16;

/// What is done with an interface.
enum Work {
    Load {
        load: Load,
        time: Stopwatch,
        result: Option<Result<(), Failed>>,
    },
    Mirror(Mirror),
}

/// A load or a mirror, and the interface that it has.
pub struct NetLoad {
    /// What it was begun with.
    argument: [u8; BYTES],
    place: Place,
    work: Work,
    _lease: Lease,
}

impl NetLoad {
    /// Goes on; whether it has ended now.
    fn advance(&mut self, interface: &mut dyn Interface) -> bool {
        match &mut self.work {
            Work::Mirror(mirror) => {
                mirror.advance(interface);
                false
            }
            Work::Load { load, time, result } => {
                if result.is_some() {
                    return false;
                }
                *result = load.advance(interface);
                if result.is_some() {
                    time.stop();
                }
                result.is_some()
            }
        }
    }
}

/// What a program asks for.
struct Wish {
    name: String,
    /// No plan is a mirror.
    plan: Option<Plan>,
    patience_ms: u32,
}

impl Wish {
    fn read(argument: &[u8; BYTES]) -> Result<Self, Errno> {
        let (name, rest) = argument.split_at(NAME);
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        let name = core::str::from_utf8(name).map_err(|_| Errno::EINVAL)?;
        let (to, rest) = rest.split_first_chunk().ok_or(Errno::EINVAL)?;
        let plan = Plan {
            to: Mac(*to),
            size: word(rest, 0) as u16,
            depth: word(rest, 2),
            batches: word(rest, 6),
        };
        let is_mirror = (plan.size, plan.depth, plan.batches) == (0, 0, 0);
        if !is_mirror && !plan.is_sound() {
            return Err(Errno::EINVAL);
        }
        Ok(Self {
            name: name.into(),
            plan: (!is_mirror).then_some(plan),
            patience_ms: word(rest, 10),
        })
    }
}

impl Kernel {
    /// Does a load, and tells what it cost; or is a mirror until the process ends.
    pub(super) fn net_load_request(&mut self, arg: u32) -> SysResult {
        let pid = self.current;
        let argument = self.copy_in(arg)?;
        let wish = Wish::read(&argument)?;
        // One that a signal has interrupted goes on if it is asked for again.
        if self
            .net_loads
            .get(&pid)
            .is_none_or(|load| load.argument != argument)
        {
            self.net_loads.remove(&pid);
            self.begin_net_load(argument, &wish)?;
            self.advance_net_loads();
        }
        let Some(load) = self.net_loads.get(&pid) else {
            return Err(Errno::ENODEV.into());
        };
        if let Work::Load {
            time,
            result: Some(result),
            ..
        } = &load.work
        {
            let (answer, result) = (time.answer(), *result);
            self.net_loads.remove(&pid);
            result.map_err(|failed| match failed {
                Failed::Wrong => Errno::EIO,
                Failed::Gone => Errno::ENODEV,
            })?;
            self.copy_out(arg, &answer)?;
            return Ok(0);
        }
        if wish.patience_ms > 0
            && self.call_deadline(u64::from(wish.patience_ms) * 1_000_000) <= time::now_ns()
        {
            self.net_loads.remove(&pid);
            return Err(Errno::ETIMEDOUT.into());
        }
        Err(Stop::Wait(WaitFor::NETWORK))
    }

    /// # Errors
    /// ENODEV: no such interface; EBUSY: somebody else has it.
    fn begin_net_load(&mut self, argument: [u8; BYTES], wish: &Wish) -> Result<(), Errno> {
        let (place, mac) = self.interface_place(&wish.name).ok_or(Errno::ENODEV)?;
        let lease = self.lend_interface(place).ok_or(Errno::EBUSY)?;
        let work = match wish.plan {
            None => Work::Mirror(Mirror::default()),
            Some(plan) => Work::Load {
                load: Load::new(plan, mac, time::tsc() as u16),
                time: Stopwatch::start(),
                result: None,
            },
        };
        let load = NetLoad {
            argument,
            place,
            work,
            _lease: lease,
        };
        self.net_loads.insert(self.current, load);
        Ok(())
    }

    /// Lets all of them go on. One whose interface has gone waits until its process is ended.
    pub(crate) fn advance_net_loads(&mut self) {
        if self.net_loads.is_empty() {
            return;
        }
        let mut loads = core::mem::take(&mut self.net_loads);
        let mut any = false;
        for load in loads.values_mut() {
            let ended = self.with_interface(load.place, |interface| load.advance(interface));
            any |= ended.unwrap_or(false);
        }
        self.net_loads = loads;
        if any {
            self.wake(WaitFor::NETWORK);
        }
    }
}
