//! Sending signals, and what happens to them when their process runs next.

use super::Kernel;
use crate::linux::signal::{ActionFlags, SigAction, Signal};
use crate::linux::{Errno, word};
use crate::process::fpu::FpuState;
use crate::process::signals::{
    Disposition, FPU_BYTES, RT_SIGRETURN, SIGRETURN, handler_frame, restore_context,
};
use crate::process::{State, WaitFor};
use crate::traps::{TrapFrame, eflags};

/// Calls that are begun again after a handler with `SA_RESTART`: read, write, waitpid, wait4, readv, writev.
const RESTARTABLE: [u32; 6] = [3, 4, 7, 114, 145, 146];

impl Kernel {
    /// Sends `signal` to process `pid`, if there is one that has not ended.
    pub fn send_signal(&mut self, pid: u32, signal: Signal) {
        let Some(process) = self
            .processes
            .get_mut(&pid)
            .filter(|process| !process.is_zombie())
        else {
            return;
        };
        // Process 1 gets only what it catches.
        let spared = pid == 1 && process.signals.disposition(signal) == Disposition::Terminate;
        if spared {
            return;
        }
        process.signals.send(signal);
        let can_wake = matches!(process.state, State::Waiting(on) if on != WaitFor::VFORK);
        if can_wake && process.signals.is_due() {
            process.state = State::Ready;
            self.queue.push(pid);
            self.timer_may_change();
        }
    }

    /// Sends `signal` to every process of a group; `false` where there is none.
    pub fn signal_group(&mut self, group: u32, signal: Option<Signal>) -> bool {
        let members = self
            .processes
            .values()
            .filter(|process| process.group == group && !process.is_zombie());
        let members: alloc::vec::Vec<u32> = members.map(|process| process.pid).collect();
        for pid in &members {
            if let Some(signal) = signal {
                self.send_signal(*pid, signal);
            }
        }
        !members.is_empty()
    }

    /// A signal by an exception of the running process. `true`: its handler will be called; else (there is none, or
    /// the program blocks or ignores the signal) the process has to end.
    pub(super) fn force_signal(&mut self, signal: Signal) -> bool {
        let signals = &mut self.process().signals;
        let caught =
            !signals.blocked.contains(signal) && matches!(signals.disposition(signal), Disposition::Catch(_));
        if caught {
            signals.pending.insert(signal);
        }
        caught
    }

    /// Acts upon one signal that is due for the running process; `false` where there is none.
    pub(super) fn deliver_signal(&mut self, frame: &mut TrapFrame) -> bool {
        match self.process().signals.take() {
            None => return false,
            Some((_, Disposition::Ignore)) => {}
            Some((signal, Disposition::Terminate)) => self.end_process(u32::from(signal.number())),
            Some((signal, Disposition::Catch(action))) => {
                if self.call_handler(frame, signal, &action).is_err() {
                    // Its stack is unusable, or it has nothing to return to.
                    self.end_process(u32::from(Signal::SEGV.number()));
                }
            }
        }
        true
    }

    fn call_handler(
        &mut self,
        frame: &mut TrapFrame,
        signal: Signal,
        action: &SigAction,
    ) -> Result<(), Errno> {
        if !action.flags.contains(ActionFlags::RESTORER) {
            return Err(Errno::EFAULT);
        }
        let fpu = *self.fpu_state().bytes();
        let mask = self.process().signals.begin(signal, action);
        let made = handler_frame(frame, signal, action, mask, &fpu).ok_or(Errno::EFAULT)?;
        self.process()
            .memory()
            .borrow_mut()
            .copy_out(made.esp, &made.bytes)?;
        frame.esp = made.esp;
        frame.eip = action.handler;
        frame.eax = u32::from(signal.number());
        (frame.edx, frame.ecx) = made.pointers;
        frame.eflags &= !(eflags::DF | eflags::TF);
        Ok(())
    }

    /// The system call that `frame`'s process slept in is over because of a signal: it failed with EINTR, or is to be
    /// begun again after the handler.
    pub(crate) fn interrupt_call(&mut self, frame: &mut TrapFrame) {
        let process = self.process();
        let done = process.call.done;
        process.call = Default::default();
        let restarts = process
            .signals
            .clone()
            .take()
            .is_some_and(|(_, disposition)| match disposition {
                Disposition::Catch(action) => action.flags.contains(ActionFlags::RESTART),
                _ => false,
            });
        if done > 0 {
            frame.eax = done;
        } else if restarts && RESTARTABLE.contains(&frame.eax) {
            // `int 0x80` is two bytes long, and EAX still holds the number.
            frame.eip = frame.eip.wrapping_sub(2);
        } else {
            frame.eax = Errno::EINTR.to_eax();
        }
    }

    /// Ends a handler: the registers, the mask and the FPU registers are as they were.
    pub(crate) fn signal_return(&mut self, frame: &mut TrapFrame, with_info: bool) -> Result<(), Errno> {
        let (context_at, mask_at) = if with_info { RT_SIGRETURN } else { SIGRETURN };
        let memory = self.process().memory();
        let mut memory = memory.borrow_mut();
        let at = |offset: u32| frame.esp.checked_add(offset).ok_or(Errno::EFAULT);
        let mut context = [0; 88];
        memory.copy_in(at(context_at)?, &mut context)?;
        let mut mask = [0; 8];
        memory.copy_in(at(mask_at)?, &mut mask)?;
        let mut restored = *frame;
        let mut saved = restore_context(&mut restored, &context);
        let upper = if with_info { word(&mask, 4) } else { word(&mask, 0) };
        saved.mask = crate::linux::signal::SigSet::from_bits(saved.mask.bits() | u64::from(upper) << 32);
        let fpu = if saved.fpu_at == 0 {
            None
        } else {
            let mut image = [0; FPU_BYTES];
            memory.copy_in(saved.fpu_at, &mut image)?;
            Some(FpuState::from_bytes(image))
        };
        drop(memory);
        if let Some(fpu) = fpu {
            self.set_fpu_state(fpu);
        }
        self.process().signals.blocked = saved.mask.blockable();
        *frame = restored;
        Ok(())
    }
}
