//! A machine on which time passes: domains with habits, driven through the scheduler's and the timers' own paths.

use crate::{
    domain::DomId,
    event::{self, Virq},
    hypervisor::Hypervisor,
    platform::FrameMemory,
    sched::{self, policy::ChosenPolicy, share::BvtParams},
    testing::{Machine, World},
    time,
};
use guest_abi::shared_info::offset;

/// What the change from one domain to another takes.
pub const SWITCH_NS: u64 = 500;
pub const US: u64 = 1_000;
pub const MS: u64 = 1_000_000;
pub const SEC: u64 = 1_000_000_000;

/// What a domain does with the processor.
#[derive(Clone, Copy, Debug)]
pub enum Habit {
    /// Computes.
    Hog,
    /// Computes for `run` and yields.
    Yielder { run: u64 },
    /// Asks for its timer every `run`, `ahead` from then.
    Flooder { run: u64, ahead: u64 },
    /// Computes for `run`, then waits until `every` after it last woke; in the last `rest` of each `period` it sleeps.
    Interactive {
        run: u64,
        every: u64,
        period: u64,
        rest: u64,
    },
    /// Computes for `run`, then rings the domain in slot `peer` and waits for an event.
    Ringer { run: u64, peer: usize },
}

#[derive(Clone, Debug)]
struct Guest {
    habit: Habit,
    /// Until it does something.
    left: u64,
    /// When it last asked to be woken.
    alarm: Option<u64>,
    latencies: Vec<u64>,
}

pub struct Sim {
    pub world: World,
    guests: Vec<Guest>,
    pub switches: u64,
    pub idle: u64,
    switching: u64,
    began: u64,
}

impl Sim {
    /// Domain by domain, from slot 0; Domain0 counts as one.
    pub fn new(policy: &str, habits: &[Habit]) -> Self {
        let mut world = World::running();
        world.hv.sched.policy = ChosenPolicy::by_name(policy).expect("a policy");
        for id in 1..habits.len() {
            world.add_domain(DomId(id as u16), false);
        }
        sched::request_pick(&mut world.hv, &world.machine);
        let began = world.machine.now_ns.get();
        sched::account(&mut world.hv, &world.machine);
        world.domain(0).run.cpu_time_ns = 0;
        let guests = habits.iter().map(|&habit| Guest {
            habit,
            left: first_run(habit),
            alarm: None,
            latencies: Vec::new(),
        });
        Self {
            guests: guests.collect(),
            world,
            switches: 0,
            idle: 0,
            switching: 0,
            began,
        }
    }

    fn parts(&mut self) -> (&mut Hypervisor, &Machine) {
        (&mut self.world.hv, &self.world.machine)
    }

    pub fn set_params(&mut self, slot: usize, change: impl FnOnce(&mut BvtParams)) {
        let mut params = self.world.domain(slot).run.share.params;
        change(&mut params);
        let (hv, machine) = self.parts();
        sched::control::set_params(hv, machine, slot, params).expect("good parameters");
    }

    pub fn now(&self) -> u64 {
        self.world.machine.now_ns.get()
    }

    fn pass(&self, ns: u64) {
        self.world.machine.now_ns.set(self.now() + ns);
    }

    pub fn run(&mut self, ns: u64) {
        let end = self.now() + ns;
        while self.now() < end {
            let alarm = self.world.machine.timer.get().unwrap_or(u64::MAX);
            if alarm <= self.now() {
                let (hv, machine) = self.parts();
                hv.time.has_fired = true;
                time::run_timers(hv, machine);
                continue;
            }
            if self.world.hv.sched.wants_pick || self.world.hv.sched.is_idle {
                self.pick();
                if self.world.hv.sched.is_idle {
                    let alarm = self.world.machine.timer.get().unwrap_or(end).min(end);
                    self.idle += alarm - self.now();
                    self.world.machine.now_ns.set(alarm);
                }
                continue;
            }
            let slot = self.world.hv.current;
            let ran = self.guests[slot]
                .left
                .min(alarm - self.now())
                .min(end - self.now());
            self.pass(ran);
            self.guests[slot].left -= ran;
            if self.guests[slot].left == 0 {
                self.act(slot);
            }
        }
        let (hv, machine) = self.parts();
        sched::account(hv, machine);
        self.check();
    }

    fn pick(&mut self) {
        let current = self.world.hv.current;
        let (hv, machine) = self.parts();
        let Some(next) = sched::pick(hv, machine, machine.now_ns.get()) else {
            return;
        };
        if next != current {
            self.world.hv.current = next;
            self.switches += 1;
            self.switching += SWITCH_NS;
            self.pass(SWITCH_NS);
        }
        let now = self.now();
        let guest = &mut self.guests[next];
        if let Some(alarm) = guest.alarm.take_if(|alarm| *alarm <= now) {
            guest.latencies.push(now - alarm);
        }
    }

    fn act(&mut self, slot: usize) {
        let now = self.now();
        let habit = self.guests[slot].habit;
        let (hv, machine) = self.parts();
        match habit {
            Habit::Hog => {}
            Habit::Yielder { .. } => sched::yield_to_others(hv, machine),
            Habit::Flooder { ahead, .. } => time::set_timer(hv, machine, now + ahead),
            Habit::Interactive {
                every, period, rest, ..
            } => {
                let mut alarm = now - now % every + every;
                if alarm % period >= period - rest {
                    alarm = alarm - alarm % period + period;
                }
                time::set_timer(hv, machine, alarm);
                self.guests[slot].alarm = Some(alarm);
                self.wait(slot);
            }
            Habit::Ringer { peer, .. } => {
                event::send_virq(hv, machine, peer, Virq::Debug);
                self.wait(slot);
            }
        }
        self.guests[slot].left = first_run(habit);
    }

    /// Waits for an event, having seen all there were.
    fn wait(&mut self, slot: usize) {
        let shared = self.world.shared(slot);
        let (hv, machine) = self.parts();
        machine.store_u32(shared, offset::EVTCHN_PENDING, 0);
        machine.store_u32(shared, offset::EVTCHN_PENDING_SEL, 0);
        machine.store_u8(shared, offset::EVTCHN_UPCALL_PENDING, 0);
        sched::block(hv, machine);
    }

    /// How much of the time so far each domain had.
    pub fn shares(&mut self) -> Vec<f64> {
        let all = (self.now() - self.began) as f64;
        (0..self.guests.len())
            .map(|slot| self.world.domain(slot).run.cpu_time_ns as f64 / all)
            .collect()
    }

    /// The longest time from when a domain was to wake to when it ran, and the mean.
    pub fn latency(&self, slot: usize) -> (u64, u64) {
        let all = &self.guests[slot].latencies;
        assert!(all.len() > 10, "it woke often");
        let sum: u64 = all.iter().sum();
        (all.iter().copied().max().unwrap_or(0), sum / all.len() as u64)
    }

    /// All time is accounted for, and those that can run are where they belong.
    pub fn check(&mut self) {
        let mut used = self.idle;
        for slot in 0..self.guests.len() {
            used += self.world.domain(slot).run.cpu_time_ns;
            let runs = self.world.hv.current == slot && !self.world.hv.sched.is_idle;
            let can_run = self.world.domain(slot).run.is_runnable();
            assert_eq!(
                can_run && !runs,
                self.world.hv.sched.is_queued(slot),
                "slot {slot}"
            );
        }
        assert_eq!(used, self.now() - self.began, "every ns is somebody's");
    }
}

const fn first_run(habit: Habit) -> u64 {
    match habit {
        Habit::Hog => u64::MAX,
        Habit::Yielder { run }
        | Habit::Flooder { run, .. }
        | Habit::Interactive { run, .. }
        | Habit::Ringer { run, .. } => run,
    }
}
