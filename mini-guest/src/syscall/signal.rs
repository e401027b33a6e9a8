//! Signals: kill, actions, masks, waiting.

use super::Args;
use crate::kernel::{Kernel, Stop, SysResult};
use crate::linux::Errno;
use crate::linux::signal::{SigAction, SigSet, Signal};
use crate::process::WaitFor;
use crate::traps::TrapFrame;

/// Bytes of a signal set.
const SET_BYTES: u32 = 8;

impl Kernel {
    pub(super) fn sys_sigreturn(&mut self, frame: &mut TrapFrame, with_info: bool) -> SysResult {
        if self.signal_return(frame, with_info).is_err() {
            self.end_process(u32::from(Signal::SEGV.number()));
        }
        Err(Stop::NoResult)
    }

    pub(super) fn signal_call(&mut self, number: u32, args: Args) -> SysResult {
        let [a, b, c, d, ..] = args;
        match number {
            37 => self.sys_kill(a as i32, b),
            238 => self.sys_tgkill(a, b),
            270 if a == b => self.sys_tgkill(b, c),
            270 => Err(Errno::ESRCH.into()),
            174 => self.sys_sigaction(a, b, c, d),
            175 => self.sys_sigprocmask(a, b, c, d),
            176 => {
                check_size(b)?;
                let pending = self.process().signals.pending;
                self.copy_out(a, &pending.bits().to_le_bytes())?;
                Ok(0)
            }
            179 => self.sys_sigsuspend(a, b),
            // pause
            _ => Err(Stop::Wait(WaitFor::empty())),
        }
    }

    fn sys_kill(&mut self, target: i32, number: u32) -> SysResult {
        let signal = signal_or_test(number)?;
        let found = match target {
            0 => {
                let group = self.process().group;
                self.signal_group(group, signal)
            }
            -1 => {
                let current = self.current;
                let all: alloc::vec::Vec<u32> = self
                    .processes
                    .keys()
                    .copied()
                    .filter(|pid| ![1, current].contains(pid))
                    .collect();
                for pid in &all {
                    signal
                        .into_iter()
                        .for_each(|signal| self.send_signal(*pid, signal));
                }
                !all.is_empty()
            }
            pid if pid > 0 => {
                let pid = pid.unsigned_abs();
                signal
                    .into_iter()
                    .for_each(|signal| self.send_signal(pid, signal));
                self.processes.contains_key(&pid)
            }
            group => self.signal_group(group.unsigned_abs(), signal),
        };
        if found { Ok(0) } else { Err(Errno::ESRCH.into()) }
    }

    /// A thread is a process here.
    fn sys_tgkill(&mut self, pid: u32, number: u32) -> SysResult {
        match i32::try_from(pid) {
            Ok(pid) if pid > 0 => self.sys_kill(pid, number),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    fn sys_sigaction(&mut self, number: u32, new: u32, old: u32, size: u32) -> SysResult {
        check_size(size)?;
        let signal = Signal::new(number).ok_or(Errno::EINVAL)?;
        let given = if new == 0 {
            None
        } else {
            Some(SigAction::from_packed(&self.copy_in(new)?))
        };
        if given.is_some() && signal.is_unblockable() {
            return Err(Errno::EINVAL.into());
        }
        let before = self.process().signals.action(signal);
        self.copy_out_if(old, &before.packed())?;
        if let Some(action) = given {
            self.process().signals.set_action(signal, action);
        }
        Ok(0)
    }

    fn sys_sigprocmask(&mut self, how: u32, new: u32, old: u32, size: u32) -> SysResult {
        const BLOCK: u32 = 0;
        const UNBLOCK: u32 = 1;
        const SETMASK: u32 = 2;
        check_size(size)?;
        let before = self.process().signals.blocked;
        let after = if new == 0 {
            before
        } else {
            let given = SigSet::from_bits(u64::from_le_bytes(self.copy_in(new)?));
            match how {
                BLOCK => before.union(given),
                UNBLOCK => before.without(given),
                SETMASK => given,
                _ => return Err(Errno::EINVAL.into()),
            }
        };
        self.copy_out_if(old, &before.bits().to_le_bytes())?;
        self.process().signals.blocked = after.blockable();
        Ok(0)
    }

    fn sys_sigsuspend(&mut self, mask: u32, size: u32) -> SysResult {
        check_size(size)?;
        if self.process().signals.suspended.is_none() {
            let mask = SigSet::from_bits(u64::from_le_bytes(self.copy_in(mask)?)).blockable();
            let signals = &mut self.process().signals;
            signals.suspended = Some(core::mem::replace(&mut signals.blocked, mask));
        }
        Err(Stop::Wait(WaitFor::empty()))
    }
}

fn check_size(size: u32) -> Result<(), Errno> {
    if size == SET_BYTES {
        Ok(())
    } else {
        Err(Errno::EINVAL)
    }
}

/// The signal with this number; 0 is none, and only tests.
fn signal_or_test(number: u32) -> Result<Option<Signal>, Errno> {
    if number == 0 {
        Ok(None)
    } else {
        Signal::new(number).map(Some).ok_or(Errno::EINVAL)
    }
}
