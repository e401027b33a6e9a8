//! Sleeping, waking, switching and idling.

use alloc::rc::Rc;
use alloc::vec::Vec;

use arrayvec::ArrayVec;
use guest_abi::hypercall::CallNumber;
use guest_abi::mmu::{Extended, MmuUpdate};
use guest_abi::multicall::MulticallEntry;

use super::Kernel;
use crate::evtchn::EventPorts;
use crate::linux::signal::Signal;
use crate::mm::translate::mfn;
use crate::process::{Process, State, WaitFor};
use crate::traps::TrapFrame;
use crate::{events, hypercall, shared, time};

/// How long lines of other domains wait while a program runs.
const LINES_NS: u64 = 1_000_000;
/// How long ends of domains are gathered before it is looked whose they were: each look asks about every console's domain.
const ENDS_NS: u64 = 20_000_000;

/// When programs are to go on, and other domains to be served again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProgramsTurn {
    /// None has gone on since the last turn for others.
    is_next: bool,
    /// The end of their moment.
    until: u64,
}

impl Kernel {
    /// Brings the running process (or another one) to where it can go on in ring 3; `frame` is what will run.
    pub(super) fn resume(&mut self, frame: &mut TrapFrame) {
        loop {
            self.take_events();
            if !self.is_programs_turn() {
                self.work_for_others();
                self.note_turn();
            }
            self.show_requests();
            self.show_consoles();
            let can_run = self
                .processes
                .get(&self.current)
                .is_some_and(|process| process.state == State::Ready);
            if !can_run || self.must_yield {
                self.switch(frame);
                continue;
            }
            if self.process().call.is_active {
                self.continue_call(frame);
            } else if !self.deliver_signal(frame) {
                break;
            }
        }
        self.arm_timer();
    }

    /// Whether programs go on before more is done for other domains. However much these ask for, there is a moment for programs behind each turn
    /// that left something to do; and they go on at least once, even if the moment was over before this domain had the processor again. An
    /// event could be there each time, and nobody would ever end the domains that send them.
    fn is_programs_turn(&mut self) -> bool {
        let is_first = core::mem::take(&mut self.programs.is_next);
        self.has_work_for_others() && (is_first || time::now_ns() < self.programs.until)
    }

    /// A turn for other domains is over.
    fn note_turn(&mut self) {
        if self.has_work_for_others() {
            self.programs = ProgramsTurn {
                is_next: true,
                until: time::now_ns() + LINES_NS,
            };
        }
    }

    /// Gives way to whoever is ready, the running process staying ready itself.
    pub fn yield_now(&mut self, frame: &mut TrapFrame) {
        if !self.queue.is_empty() {
            self.switch(frame);
        }
    }

    /// Makes another process the running one, sleeping until there is one.
    fn switch(&mut self, frame: &mut TrapFrame) {
        let old = self.current;
        self.account();
        if let Some(process) = self.processes.get_mut(&old) {
            process.frame = *frame;
            if process.state == State::Ready {
                self.queue.push(old);
            }
        }
        let next = loop {
            // One that was woken before it had given way is in the queue although it went on, and may have ended.
            let is_ready = |process: &Process| process.state == State::Ready;
            match self.queue.pop() {
                Some(next) if self.processes.get(&next).is_some_and(|next| is_ready(next)) => break next,
                Some(_) => {}
                None => self.idle(),
            }
        };
        self.must_yield = false;
        self.armed.1 = true;
        self.current = next;
        *frame = self.process().frame;
        if next != old {
            self.switches += 1;
            self.load_current();
        }
    }

    /// Loads what belongs to the running process and lies in the processor, in one hypercall.
    pub(super) fn load_current(&mut self) {
        let Some(process) = self.processes.get(&self.current) else {
            return;
        };
        let mut calls = ArrayVec::<MulticallEntry, 5>::new();
        calls.extend(self.gdt.switch(&process.tls));
        // The first FPU instruction finds out whose registers those in the processor are.
        calls.push(MulticallEntry::new(CallNumber::FPU_TASKSWITCH, [0; 5]));
        let space = process.memory();
        let (root, is_loaded) = space.borrow().root();
        let base = [MmuUpdate::extended(Extended::NewBasePtr { l3: mfn(root).addr() })];
        if !is_loaded {
            calls.push(MulticallEntry::new(
                CallNumber::MMU_UPDATE,
                [base.as_ptr() as u32, 1, 0, 0, 0],
            ));
            space.borrow().note_loaded();
        }
        // SAFETY: descriptors of programs, a trap that the kernel expects, and a root that maps the kernel like every
        // other; the kernel holds no reference into user space.
        let answer = unsafe { hypercall::multicall(&mut calls) };
        let refused = calls.iter().find(|call| call.result() != 0);
        if answer.is_err() || refused.is_some() {
            panic!(
                "switch to process {} refused: {answer:?} {refused:x?}",
                self.current
            );
        }
    }

    /// Adds the time since the last switch to who ran.
    pub(super) fn account(&mut self) {
        let now = time::now_ns();
        let ran = now.saturating_sub(core::mem::replace(&mut self.switched_at, now));
        if let Some(process) = self.processes.get_mut(&self.current) {
            process.cpu_ns += ran;
        }
    }

    /// Brings the running process's time up to date.
    pub(crate) fn account_now(&mut self) {
        self.account();
    }

    /// Sleeps until something happens.
    fn idle(&mut self) {
        self.write_disks();
        self.show_requests();
        if !self.backend.may_show && !self.has_work_for_others() {
            self.arm_timer();
            events::wait();
        }
        self.take_events();
        self.work_for_others();
        self.show_consoles();
        let now = time::now_ns();
        self.idle_ns += now.saturating_sub(core::mem::replace(&mut self.switched_at, now));
    }

    /// Looks at what has happened: time, typing.
    pub(super) fn take_events(&mut self) {
        let (mut timer, mut console) = (false, false);
        let (timer_port, console_port) = (self.timer_port, self.console_port);
        let mut others = Vec::new();
        events::poll(|port| {
            if port == timer_port {
                timer = true;
            } else if Some(port) == console_port {
                console = true;
            } else {
                others.push(port);
            }
        });
        let has_events = !others.is_empty();
        if has_events {
            // Perhaps a disk has done something for a backend.
            self.backends_may_work();
        }
        for port in others {
            if Some(port) == self.ends_port {
                self.domain_ended(port);
            } else if !self.console_event(port)
                && !self.store_event(port)
                && !self.devices.lines.event(port)
                && !self.front_event(port)
            {
                self.program_event(port);
            }
        }
        self.disk_news();
        self.serial_news();
        self.network_late();
        if has_events || timer {
            self.network_news();
        }
        if timer {
            // It comes for other reasons too; what is due is armed again then.
            self.armed = (None, true);
            self.wake_due();
            self.must_yield = self.queue.is_slice_over(time::now_ns());
        }
        if self.backend.look_at.is_some_and(|at| at <= time::now_ns()) {
            self.backend.look_at = None;
            self.detach_dead_consoles();
        }
        if console {
            self.take_requests();
            self.random.stir(time::tsc());
            self.read_console();
            self.show_echo();
            self.wake(WaitFor::OUTPUT);
        }
    }

    /// Some domain has ended, or was ended.
    fn domain_ended(&mut self, port: u32) {
        self.backend.look_at.get_or_insert(time::now_ns() + ENDS_NS);
        self.armed.1 = true;
        if self.event_files.iter().any(|file| file.has(port)) {
            self.program_event(port);
        }
    }

    /// An event came at a port that programs hold, or that nobody does any more.
    fn program_event(&mut self, port: u32) {
        let mut masks = true;
        for file in &self.event_files {
            masks &= file.fire(port).unwrap_or(true);
        }
        if masks {
            shared::set_port_mask(port, true);
        }
        self.wake(WaitFor::EVENT);
    }

    /// Gives back the ports of `/dev/xen/evtchn` files that were closed.
    pub(super) fn events_closed(&mut self) {
        let closed: Vec<Rc<EventPorts>> = self
            .event_files
            .extract_if(.., |file| Rc::strong_count(file) == 1)
            .collect();
        for port in closed.iter().flat_map(|file| file.all()) {
            self.release_port(port);
        }
    }

    /// Closes a port, unless another file or the kernel has it too.
    pub(crate) fn release_port(&self, port: u32) {
        let is_held = Some(port) == self.ends_port || self.event_files.iter().any(|file| file.has(port));
        if !is_held {
            // It may be gone already, with the domain at the other end.
            let _ = events::close(port);
        }
    }

    /// Wakes the processes whose time has come.
    fn wake_due(&mut self) {
        self.ring_alarms();
        let now = time::now_ns();
        for (pid, process) in &mut self.processes {
            if matches!(process.state, State::Waiting(_)) && process.call.deadline.is_some_and(|at| at <= now)
            {
                process.state = State::Ready;
                self.queue.push(*pid);
            }
        }
    }

    /// Sends SIGALRM where a clock is due.
    fn ring_alarms(&mut self) {
        let now = time::now_ns();
        let mut due = Vec::new();
        for (pid, process) in &mut self.processes {
            let alarm = &mut process.alarm;
            if alarm.at.is_some_and(|at| at <= now) {
                alarm.at = (alarm.interval > 0).then(|| now.saturating_add(alarm.interval));
                due.push(*pid);
            }
        }
        for pid in due {
            self.send_signal(pid, Signal::ALRM);
        }
    }

    /// Wakes the processes that wait for one of `what`.
    pub fn wake(&mut self, what: WaitFor) {
        for (pid, process) in &mut self.processes {
            if matches!(process.state, State::Waiting(on) if on.intersects(what)) {
                process.state = State::Ready;
                self.queue.push(*pid);
                self.armed.1 = true;
            }
        }
    }

    /// Puts a process to sleep, or notes that one may run: the timer is looked at again.
    pub(crate) fn timer_may_change(&mut self) {
        self.armed.1 = true;
    }

    /// Asks for the timer event when the next process is to be woken or the running one to give way.
    fn arm_timer(&mut self) {
        let has_work = self.has_work_for_others();
        self.armed.1 |= self.backend.may_show || has_work;
        if !core::mem::take(&mut self.armed.1) {
            return;
        }
        let now = time::now_ns();
        let sleepers = self
            .processes
            .values()
            .filter(|process| matches!(process.state, State::Waiting(_)));
        let first = sleepers.filter_map(|process| process.call.deadline).min();
        let alarm = self
            .processes
            .values()
            .filter_map(|process| process.alarm.at)
            .min();
        // A program that runs alone is interrupted where lines wait to be shown.
        let lines = (self.backend.may_show || has_work).then_some(now + LINES_NS);
        let network = self.net.stack.borrow_mut().poll_at();
        let wanted = [
            first,
            self.queue.slice_end(now),
            lines,
            self.backend.look_at,
            network,
            alarm,
            self.store.vifs.wake_at,
        ]
        .into_iter()
        .flatten()
        .min();
        if wanted != self.armed.0 && time::set_timer(wanted).is_ok() {
            self.armed.0 = wanted;
        }
    }
}
