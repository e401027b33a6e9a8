//! Exceptions of programs: pages brought in, FPU registers exchanged, segments reshaped; everything else is a signal.

use core::fmt;

use guest_abi::trap::{PageFaultCode, Vector};

use super::Kernel;
use crate::linux::signal::Signal;
use crate::mm::layout::USER_END;
use crate::process::fpu::FpuState;
use crate::process::space::FaultError;
use crate::process::tls;
use crate::traps::TrapFrame;

/// What a fatal exception was, for the line that says so.
struct Cause<'a> {
    vector: Vector,
    frame: &'a TrapFrame,
}

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.vector == Vector::PAGE_FAULT {
            let code = PageFaultCode::from_bits_retain(self.frame.error);
            let access = if code.contains(PageFaultCode::FETCH) {
                "execution of"
            } else if code.contains(PageFaultCode::WRITE) {
                "write to"
            } else {
                "read of"
            };
            return write!(f, "{access} {:#010x}", self.frame.cr2);
        }
        write!(f, "{}", self.vector)?;
        if self.vector.has_error_code() {
            write!(f, " with error code {:#x}", self.frame.error)
        } else {
            Ok(())
        }
    }
}

/// The signal for an exception.
fn signal_for(vector: Vector) -> Signal {
    match vector {
        Vector::DIVIDE_ERROR | Vector::X87_ERROR | Vector::SIMD_ERROR => Signal::FPE,
        Vector::DEBUG | Vector::BREAKPOINT => Signal::TRAP,
        Vector::INVALID_OPCODE => Signal::ILL,
        Vector::ALIGNMENT_CHECK => Signal::BUS,
        _ => Signal::SEGV,
    }
}

impl Kernel {
    pub(super) fn exception(&mut self, frame: &mut TrapFrame, vector: Vector) {
        let signal = match vector {
            Vector::DEVICE_NOT_AVAILABLE => return self.take_fpu(),
            Vector::PAGE_FAULT => match self.page_fault(frame) {
                Ok(()) => return,
                Err(signal) => signal,
            },
            Vector::GENERAL_PROTECTION | Vector::STACK_FAULT if self.reshape_segment(frame) => return,
            other => signal_for(other),
        };
        let caught = self.force_signal(signal);
        if !caught {
            let process = self.process();
            crate::println!(
                "mini-guest: pid {} ({}) killed by {}: {} at eip {:#010x}",
                process.pid,
                process.short_name().escape_ascii(),
                signal.name(),
                Cause { vector, frame },
                frame.eip
            );
            self.end_process(u32::from(signal.number()));
        }
    }

    fn page_fault(&mut self, frame: &TrapFrame) -> Result<(), Signal> {
        let code = PageFaultCode::from_bits_retain(frame.error);
        if frame.cr2 >= USER_END {
            return Err(Signal::SEGV);
        }
        let process = self.process();
        let space = process.memory();
        let brought_in = space
            .borrow_mut()
            .fault(frame.cr2, code.contains(PageFaultCode::WRITE));
        match brought_in {
            Ok(()) => {
                process.faults = process.faults.wrapping_add(1);
                Ok(())
            }
            Err(FaultError::NotAllowed) => Err(Signal::SEGV),
            Err(FaultError::OutOfMemory) => {
                crate::println!("mini-guest: no memory for a page of pid {}", process.pid);
                Err(Signal::KILL)
            }
        }
    }

    /// #NM: the processor's FPU registers become the running process's.
    fn take_fpu(&mut self) {
        let current = self.current;
        if self.fpu_owner == Some(current) {
            return;
        }
        self.save_fpu();
        self.process().fpu.load();
        self.fpu_owner = Some(current);
    }

    /// Stores the FPU registers with whom they belong to; the processor's are nobody's then.
    fn save_fpu(&mut self) {
        if let Some(owner) = self.fpu_owner.take().and_then(|pid| self.processes.get_mut(&pid)) {
            owner.fpu.save();
        }
    }

    /// The running process's FPU registers.
    pub(super) fn fpu_state(&mut self) -> &FpuState {
        if self.fpu_owner == Some(self.current) {
            self.process().fpu.save();
        }
        &self.process().fpu
    }

    /// Gives the running process other FPU registers.
    pub(super) fn set_fpu_state(&mut self, state: FpuState) {
        self.process().fpu = state;
        if self.fpu_owner == Some(self.current) {
            self.process().fpu.load();
        }
    }

    /// Forgets whose FPU registers the processor has, where it is `pid`.
    pub(super) fn drop_fpu(&mut self, pid: u32) {
        self.fpu_owner = self.fpu_owner.filter(|owner| *owner != pid);
    }

    /// #GP of an access through a thread-local segment: gives the segment its other shape and says `true`, unless that
    /// was tried at this very point before.
    fn reshape_segment(&mut self, frame: &TrapFrame) -> bool {
        let current = self.current;
        let Some(process) = self.processes.get_mut(&current) else {
            return false;
        };
        let mut now = *frame;
        now.spare = Default::default();
        if frame.error != 0 || process.last_flip == Some(now) {
            return false;
        }
        let mut reshaped = false;
        for index in [frame.gs, frame.fs].into_iter().filter_map(tls::index_of) {
            if let Some(entry) = &mut process.tls[index]
                && entry.flip()
            {
                // Both shapes were judged when the segment was made; a refusal leaves the fault as it is.
                reshaped |= self.gdt.write(index, entry.descriptor()).is_ok();
            }
        }
        if reshaped {
            process.last_flip = Some(now);
        }
        reshaped
    }
}
