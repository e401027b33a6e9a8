//! Two domains ring each other without end, beside one that computes and one that waits for a device.

use super::*;
use crate::{
    exit::{BeforeGuest, before_guest},
    sched::policy::ChosenPolicy,
    testing::ring1_regs,
};
use guest_abi::physdev::{IrqUnmaskNotify, PhysdevOp};

const RINGERS: [usize; 2] = [0, 1];
const WORKER: usize = 2;
const WAITER: usize = 3;
const LINE: u8 = 5;
/// How long a ringer takes from its event to its answer, and the waiter for its device.
const STEP_NS: u64 = 20_000;
const INTERRUPT_EVERY_NS: u64 = 7_300_000;
const TEST_NS: u64 = 500_000_000;

/// What a ringer does when it has sent.
#[derive(Clone, Copy)]
enum Then {
    Block,
    Yield,
    GoOn,
}

struct Storm {
    world: World,
    ports: [u32; 2],
    line_port: u32,
    ran_ns: [u64; 4],
    next_interrupt_ns: u64,
    interrupted_ns: Option<u64>,
    longest_ns: u64,
}

impl Storm {
    fn new(policy: &str) -> Self {
        let mut world = World::running();
        world.hv.sched.policy = ChosenPolicy::by_name(policy).expect("a policy");
        for n in 1..4 {
            world.add_domain(DomId(n), false);
        }
        let port0 = unbound(&mut world, WireId::new(1));
        world.hv.current = 1;
        let ends = interdomain((SELF, 0), (WireId::new(0), port0));
        let port1 = op(&mut world, &ends).port1;
        world.domain(WAITER).io.lines = 1 << LINE;
        world.hv.current = WAITER;
        let request = BindPirq {
            pirq: LINE.into(),
            flags: 0,
            port: 0,
        };
        let line_port = op(&mut world, &request).port;
        world.hv.current = 0;
        let now = world.machine.now_ns.get();
        sched::request_pick(&mut world.hv, &world.machine);
        Self {
            world,
            ports: [port0, port1],
            line_port,
            ran_ns: [0; 4],
            next_interrupt_ns: now + INTERRUPT_EVERY_NS,
            interrupted_ns: None,
            longest_ns: 0,
        }
    }

    fn now(&self) -> u64 {
        self.world.machine.now_ns.get()
    }

    fn exit(&mut self) {
        assert_ne!(before_guest(&mut self.world.cx()), BeforeGuest::Idle);
        self.world.regs = ring1_regs();
        // The guests look at their bits when they run.
        let shared = self.world.shared(self.world.hv.current);
        for flag in [offset::EVTCHN_UPCALL_PENDING, offset::EVTCHN_UPCALL_MASK] {
            self.world.machine.store_u8(shared, flag, 0);
        }
        for word in [offset::EVTCHN_PENDING_SEL, offset::EVTCHN_PENDING] {
            self.world.machine.store_u32(shared, word, 0);
        }
    }

    /// The running domain computes for `ns`, or until it is interrupted; whether it got that far.
    fn compute(&mut self, ns: u64) -> bool {
        let slot = self.world.hv.current;
        let (now, end) = (self.now(), self.now() + ns);
        let timer = self.world.machine.timer.get().unwrap_or(u64::MAX);
        let until = end.min(timer).min(self.next_interrupt_ns).max(now);
        self.ran_ns[slot] += until - now;
        self.world.machine.now_ns.set(until);
        if until == timer {
            self.world.hv.time.has_fired = true;
        }
        if until == self.next_interrupt_ns {
            self.next_interrupt_ns += INTERRUPT_EVERY_NS;
            if self.world.machine.devices.is_open(LINE) {
                self.world.machine.mask_line(LINE);
                raise_line(&mut self.world.hv, &self.world.machine, LINE);
                self.interrupted_ns = Some(until);
            }
        }
        until == end
    }

    fn run(&mut self, then: Then) {
        let end = self.now() + TEST_NS;
        let mut left = STEP_NS;
        while self.now() < end {
            let slot = self.world.hv.current;
            if slot == WAITER
                && let Some(since) = self.interrupted_ns.take()
            {
                self.longest_ns = self.longest_ns.max(self.now() - since);
            }
            let before = self.ran_ns[slot];
            if slot == WORKER {
                self.compute(u64::MAX / 2);
            } else if self.compute(left) {
                left = STEP_NS;
                self.act(slot, then);
            } else {
                left -= self.ran_ns[slot] - before;
            }
            self.exit();
            if self.world.hv.current != slot {
                left = STEP_NS;
            }
        }
    }

    /// The running domain is done with its event.
    fn act(&mut self, slot: usize, then: Then) {
        if slot == WAITER {
            self.world.write(ARGS, &PhysdevOp::new(&IrqUnmaskNotify {}));
            assert_eq!(self.world.hypercall(19, [ARGS, 0, 0, 0, 0]), 0);
            assert_eq!(self.world.hypercall(6, [1, 0, 0, 0, 0]), 0);
            return;
        }
        let local_port = self.ports[slot];
        op(&mut self.world, &Send { local_port });
        match then {
            Then::Block => assert_eq!(self.world.hypercall(6, [1, 0, 0, 0, 0]), 0),
            Then::Yield => assert_eq!(self.world.hypercall(6, [0, 0, 0, 0, 0]), 0),
            Then::GoOn => {}
        }
    }
}

#[test]
fn a_storm_of_events_leaves_others_their_share_and_their_events() {
    for policy in ChosenPolicy::NAMES {
        for then in [Then::Block, Then::Yield, Then::GoOn] {
            let mut storm = Storm::new(policy);
            storm.run(then);
            let ran: u64 = storm.ran_ns.iter().sum();
            // Three want all they can get.
            let fair = ran / 3;
            assert!(
                storm.ran_ns[WORKER] * 10 >= fair * 9,
                "{policy}: {:?}",
                storm.ran_ns
            );
            assert!(storm.ran_ns[RINGERS[0]] > 0 && storm.ran_ns[RINGERS[1]] > 0);
            // Every runnable domain may have one slice (10 ms at most) first.
            assert!(
                storm.longest_ns <= 3 * 10_000_000,
                "{policy}: {} ns",
                storm.longest_ns
            );
            assert!(storm.ran_ns[WAITER] > 0 && storm.line_port > 0);
        }
    }
}
