//! The alarm clock of a process: alarm, setitimer, getitimer (the one that counts real time).

use super::Args;
use crate::kernel::{Kernel, SysResult};
use crate::linux::time::NS_PER_SEC;
use crate::linux::{Errno, Packed, word};
use crate::process::Alarm;
use crate::time;

/// The timer of real time.
const ITIMER_REAL: u32 = 0;
const NS_PER_US: u64 = 1000;

impl Kernel {
    pub(super) fn alarm_call(&mut self, number: u32, args: Args) -> SysResult {
        let [a, b, c, ..] = args;
        match number {
            27 => {
                let old = self.set_alarm(u64::from(a) * NS_PER_SEC, 0);
                // What is left, never 0 where there is something.
                Ok(u32::try_from(old.0.div_ceil(NS_PER_SEC)).unwrap_or(u32::MAX))
            }
            104 => {
                real(a)?;
                let (first, interval) = if b == 0 { (0, 0) } else { self.timer_in(b)? };
                let old = self.set_alarm(first, interval);
                self.timer_out(c, old)
            }
            _ => {
                real(a)?;
                let old = self.alarm_left();
                self.timer_out(b, old)
            }
        }
    }

    /// Nanoseconds until the alarm, and between alarms.
    fn alarm_left(&self) -> (u64, u64) {
        let alarm = self.process_ref().alarm;
        let left = alarm.at.map(|at| at.saturating_sub(time::now_ns()).max(1));
        (left.unwrap_or(0), alarm.interval)
    }

    fn set_alarm(&mut self, first: u64, interval: u64) -> (u64, u64) {
        let old = self.alarm_left();
        let at = (first > 0).then(|| time::now_ns().saturating_add(first));
        self.process().alarm = Alarm { at, interval };
        self.timer_may_change();
        old
    }

    /// `struct itimerval`: interval and value, each seconds and microseconds. Gives value and interval.
    fn timer_in(&mut self, at: u32) -> Result<(u64, u64), Errno> {
        let block = self.copy_in::<16>(at)?;
        let ns = |at| {
            let seconds = u64::try_from(word(&block, at) as i32).ok()?;
            let micros = Some(word(&block, at + 4)).filter(|micros| *micros < 1_000_000)?;
            Some(seconds * NS_PER_SEC + u64::from(micros) * NS_PER_US)
        };
        ns(8).zip(ns(0)).ok_or(Errno::EINVAL)
    }

    fn timer_out(&mut self, to: u32, (left, interval): (u64, u64)) -> SysResult {
        let seconds = |ns: u64| u32::try_from(ns / NS_PER_SEC).unwrap_or(i32::MAX as u32);
        let micros = |ns: u64| (ns % NS_PER_SEC / NS_PER_US) as u32;
        let packed = Packed::<16>::new()
            .u32(seconds(interval))
            .u32(micros(interval))
            .u32(seconds(left))
            .u32(micros(left))
            .finish();
        self.copy_out_if(to, &packed)?;
        Ok(0)
    }
}

fn real(which: u32) -> Result<(), Errno> {
    if which == ITIMER_REAL {
        Ok(())
    } else {
        Err(Errno::EINVAL)
    }
}
