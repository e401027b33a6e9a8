//! Clocks and sleep.

use super::Args;
use crate::kernel::{Kernel, Stop, SysResult};
use crate::linux::time::{NS_PER_SEC, TimeSpec, ticks};
use crate::linux::{Errno, Packed, word};
use crate::process::WaitFor;
use crate::time;

/// Flag of clock_nanosleep: until, not for.
const ABSTIME: u32 = 1;

impl Kernel {
    pub(super) fn time_call(&mut self, number: u32, args: Args) -> SysResult {
        let [a, b, c, d, ..] = args;
        match number {
            13 => {
                let now = self.wall_time().seconds as u32;
                self.copy_out_if(a, &now.to_le_bytes())?;
                Ok(now)
            }
            25 => {
                let block = self.copy_in::<4>(a)?;
                set_wall(i64::from(word(&block, 0) as i32), 0)
            }
            43 => self.sys_times(a),
            78 => {
                let now = self.wall_time();
                let packed = Packed::<8>::new()
                    .u32(now.seconds as u32)
                    .u32(now.nanos / 1000)
                    .finish();
                self.copy_out_if(a, &packed)?;
                self.copy_out_if(b, &[0; 8])?;
                Ok(0)
            }
            79 => {
                // A time zone is not kept; a call that gives one alone changes nothing.
                if a == 0 {
                    return Ok(0);
                }
                let block = self.copy_in::<8>(a)?;
                let micros = i64::from(word(&block, 4) as i32);
                set_wall(i64::from(word(&block, 0) as i32), micros.saturating_mul(1000))
            }
            264 => {
                let block = self.copy_in::<8>(b)?;
                only_wall(a)?;
                set_wall(
                    i64::from(word(&block, 0) as i32),
                    i64::from(word(&block, 4) as i32),
                )
            }
            404 => {
                let block = self.copy_in::<16>(b)?;
                only_wall(a)?;
                let long = |at| u64::from(word(&block, at)) | u64::from(word(&block, at + 4)) << 32;
                set_wall(long(0).cast_signed(), long(8).cast_signed())
            }
            162 => self.sys_sleep(1, 0, a, b),
            267 => self.sys_sleep(a, b, c, d),
            265 => {
                let now = self.clock(a)?;
                self.copy_out(b, &now.packed32())?;
                Ok(0)
            }
            403 => {
                let now = self.clock(a)?;
                self.copy_out(b, &now.packed64())?;
                Ok(0)
            }
            266 => {
                self.clock(a)?;
                self.copy_out_if(b, &TimeSpec { seconds: 0, nanos: 1 }.packed32())?;
                Ok(0)
            }
            _ => {
                self.clock(a)?;
                self.copy_out_if(b, &TimeSpec { seconds: 0, nanos: 1 }.packed64())?;
                Ok(0)
            }
        }
    }

    /// What clock `id` shows.
    fn clock(&mut self, id: u32) -> Result<TimeSpec, Errno> {
        match id {
            0 | 5 => Ok(self.wall_time()),
            1 | 4 | 6 | 7 => Ok(TimeSpec::from_ns(self.uptime_ns())),
            2 | 3 => {
                self.account_now();
                Ok(TimeSpec::from_ns(self.process().cpu_ns))
            }
            _ => Err(Errno::EINVAL),
        }
    }

    fn sys_sleep(&mut self, clock: u32, flags: u32, request: u32, rest: u32) -> SysResult {
        if clock > 1 || flags & !ABSTIME != 0 {
            return Err(Errno::EINVAL.into());
        }
        let request = self.copy_in::<8>(request)?;
        let (seconds, nanos) = (word(&request, 0) as i32, word(&request, 4) as i32);
        let ns = TimeSpec::checked_ns(seconds.into(), nanos.into()).ok_or(Errno::EINVAL)?;
        let span = if flags & ABSTIME != 0 {
            let shown = self.clock(clock)?;
            ns.saturating_sub(shown.seconds.saturating_mul(NS_PER_SEC) + u64::from(shown.nanos))
        } else {
            ns
        };
        let deadline = self.call_deadline(span);
        let left = deadline.saturating_sub(time::now_ns());
        if left == 0 {
            return Ok(0);
        }
        if flags & ABSTIME == 0 && rest != 0 {
            // Should a signal end the sleep, this is what is left; later attempts make it less.
            self.copy_out(rest, &TimeSpec::from_ns(left).packed32())?;
        }
        Err(Stop::Wait(WaitFor::empty()))
    }

    fn sys_times(&mut self, to: u32) -> SysResult {
        self.account_now();
        let process = self.process();
        let (own, children) = (ticks(process.cpu_ns) as u32, ticks(process.children_ns) as u32);
        let packed = Packed::<16>::new().u32(own).u32(0).u32(children).u32(0).finish();
        self.copy_out_if(to, &packed)?;
        Ok(ticks(self.uptime_ns()) as u32)
    }
}

/// Clocks other than the wall clock cannot be set.
fn only_wall(clock: u32) -> Result<(), Errno> {
    if clock == 0 { Ok(()) } else { Err(Errno::EINVAL) }
}

/// Sets the wall clock, which Domain0 may.
fn set_wall(seconds: i64, nanos: i64) -> SysResult {
    TimeSpec::checked_ns(seconds, nanos).ok_or(Errno::EINVAL)?;
    let seconds = u32::try_from(seconds).map_err(|_| Errno::EINVAL)?;
    time::set_wall_clock(seconds, (nanos / 1000) as u32).map_err(Errno::from_hypervisor)?;
    Ok(0)
}
