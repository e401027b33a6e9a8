//! Making processes, ending them, and telling their parents.

use alloc::rc::Rc;
use core::cell::RefCell;

use guest_abi::sched::ShutdownReason;

use super::{Kernel, MAX_PROCESSES};
use crate::linux::Errno;
use crate::linux::process::MAX_PID;
use crate::linux::signal::{ActionFlags, SigAction, Signal};
use crate::mm::exchange;
use crate::process::{Process, SharedSpace, State, WaitFor};
use crate::traps::TrapFrame;
use crate::{hypercall, println, time};

/// How a child is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForkOptions {
    /// It uses our memory, and we sleep until it starts a program or ends.
    pub vfork: bool,
    /// Its ESP; 0 for ours.
    pub stack: u32,
}

impl Kernel {
    /// Makes a child of the running process, which was interrupted in `frame`.
    ///
    /// # Errors
    /// EAGAIN: too many processes; ENOMEM.
    pub(crate) fn fork(&mut self, frame: &TrapFrame, options: ForkOptions) -> Result<u32, Errno> {
        crate::fs::enough_memory()?;
        if self.processes.len() >= MAX_PROCESSES {
            return Err(Errno::EAGAIN);
        }
        let memory = self.process().memory();
        let space: SharedSpace = if options.vfork {
            memory
        } else {
            let copy = memory.borrow_mut().fork()?;
            Rc::new(RefCell::new(copy))
        };
        let pid = self.free_pid().ok_or(Errno::EAGAIN)?;
        let mut registers = *frame;
        registers.eax = 0;
        if options.stack != 0 {
            registers.esp = options.stack;
        }
        let fpu = self.fpu_state().clone();
        let mut child = self.process().child(pid, registers, space, fpu, time::now_ns());
        child.is_vfork = options.vfork;
        self.processes.insert(pid, child);
        self.queue.push(pid);
        self.timer_may_change();
        Ok(pid)
    }

    fn free_pid(&mut self) -> Option<u32> {
        for _ in 0..MAX_PID {
            self.last_pid = self.last_pid % MAX_PID + 1;
            let pid = self.last_pid;
            // Not the number of a group or session that still has members.
            let in_use = self
                .processes
                .values()
                .any(|other| [other.pid, other.group, other.session].contains(&pid));
            if pid > 1 && !in_use {
                return Some(pid);
            }
        }
        None
    }

    /// Ends the running process with this wait status.
    pub(crate) fn end_process(&mut self, status: u32) {
        let pid = self.current;
        self.account();
        if pid == 1 {
            self.end_of_init(status);
        }
        let root = self.fs.root();
        let process = self.process();
        if process.clear_tid != 0 {
            // Nobody is told of a bad address here.
            let _ = process.memory().borrow_mut().copy_out(process.clear_tid, &[0; 4]);
        }
        process.state = State::Zombie(status);
        process.files = Default::default();
        process.directory = root;
        process.command_line.clear();
        process.call = Default::default();
        process.alarm = Default::default();
        self.syncs.remove(&pid);
        self.loads.remove(&pid);
        self.net_loads.remove(&pid);
        let process = self.process();
        let was_vfork = core::mem::take(&mut process.is_vfork);
        let parent = process.parent;
        let space = process.space.take();
        self.drop_fpu(pid);
        drop(space);
        self.files_closed();
        if was_vfork {
            self.wake(WaitFor::VFORK);
        }
        self.release_terminal(pid);
        self.orphan_children(pid);
        self.tell_parent(pid, parent);
    }

    /// The terminal of a session belongs to nobody when the session's first process has left.
    fn release_terminal(&mut self, pid: u32) {
        if self.tty.session == pid {
            let foreground = core::mem::take(&mut self.tty.foreground);
            self.tty.session = 0;
            self.signal_group(foreground, Some(Signal::HUP));
        }
    }

    /// Process 1 has left: there is nothing to run any more.
    fn end_of_init(&mut self, status: u32) -> ! {
        let (signal, code) = (status & 0x7F, status >> 8);
        self.flush_devices();
        if signal != 0 {
            println!("mini-guest: process 1 was killed by signal {signal}");
            hypercall::shutdown(ShutdownReason::CRASH);
        }
        println!("mini-guest: process 1 exited with status {code}");
        hypercall::shutdown(if code == 0 {
            ShutdownReason::POWEROFF
        } else {
            ShutdownReason::CRASH
        });
    }

    fn orphan_children(&mut self, pid: u32) {
        let mut zombie = false;
        for child in self.processes.values_mut().filter(|child| child.parent == pid) {
            child.parent = 1;
            zombie |= child.is_zombie();
        }
        if zombie {
            self.send_signal(1, Signal::CHLD);
            self.wake(WaitFor::CHILD);
        }
    }

    fn tell_parent(&mut self, pid: u32, parent: u32) {
        let wants_none = self.processes.get(&parent).is_none_or(|parent| {
            let action = parent.signals.action(Signal::CHLD);
            action.handler == SigAction::IGNORE || action.flags.contains(ActionFlags::NOCLDWAIT)
        });
        if wants_none {
            self.reap(pid);
        }
        self.send_signal(parent, Signal::CHLD);
        self.wake(WaitFor::CHILD);
    }

    /// Forgets a process that has ended, its time going to its parent.
    pub(crate) fn reap(&mut self, pid: u32) {
        if let Some(process) = self.processes.remove(&pid)
            && let Some(parent) = self.processes.get_mut(&process.parent)
        {
            parent.children_ns += process.cpu_ns + process.children_ns;
        }
        self.queue.remove(pid);
        // It may have left what the balloon waits for.
        exchange::approach();
    }

    /// Whether `process` is one that wait4 with `which` of process `parent` is about.
    #[must_use]
    pub(crate) fn is_waited_for(process: &Process, parent: &Process, which: i32) -> bool {
        process.parent == parent.pid
            && match which {
                -1 => true,
                0 => process.group == parent.group,
                pid if pid > 0 => process.pid == pid.unsigned_abs(),
                group => process.group == group.unsigned_abs(),
            }
    }

    /// Wakes who may wait for something that depends on closed files.
    pub(crate) fn files_closed(&mut self) {
        self.wake(WaitFor::PIPE);
        self.events_closed();
        self.consoles_closed();
        self.store_closed();
        self.sockets_closed();
        self.disks_are_free();
    }
}
