mod shares;
mod sim;

use super::*;
use crate::{domain::DomId, platform::FrameMemory, testing::World};
use guest_abi::shared_info::offset;

fn pending(world: &World, slot: usize) -> u32 {
    world.shared_u32(slot, offset::EVTCHN_PENDING)
}

fn can_run(world: &World, slot: usize) -> bool {
    world.hv.sched.is_queued(slot) || world.hv.current == slot && !world.hv.sched.is_idle
}

/// What the exit path does after a long time, but for the registers.
fn next(world: &mut World) -> Option<usize> {
    world.machine.now_ns.set(world.machine.now_ns.get() + 20_000_000);
    let now = world.machine.now_ns.get();
    let next = pick(&mut world.hv, &world.machine, now);
    if let Some(slot) = next {
        world.hv.current = slot;
    }
    next
}

fn hold(world: &mut World, slot: usize, paused: bool) {
    change(&mut world.hv, &world.machine, slot, |run| {
        run.held.set(Held::PAUSED, paused)
    });
}

#[test]
fn round_robin_goes_round() {
    let mut world = World::running();
    world.hv.sched.policy = ChosenPolicy::by_name("rrobin").expect("a policy");
    assert_eq!(next(&mut world), Some(0), "alone");
    let [a, b] = [1, 2].map(|id| world.add_domain(DomId(id), false));
    assert_eq!([(); 5].map(|()| next(&mut world)), [a, b, 0, a, b].map(Some));
    hold(&mut world, a, true);
    assert_eq!([(); 3].map(|()| next(&mut world)), [0, b, 0].map(Some));
    hold(&mut world, a, false);
    assert_eq!(
        [(); 3].map(|()| next(&mut world)),
        [b, a, 0].map(Some),
        "to the end"
    );
    for slot in [0, a, b] {
        hold(&mut world, slot, true);
    }
    assert_eq!([(); 2].map(|()| next(&mut world)), [None; 2]);
    assert!(world.hv.sched.is_idle);
    hold(&mut world, b, false);
    assert_eq!(next(&mut world), Some(b));
    assert!(!world.hv.sched.is_idle);
}

#[test]
fn a_domain_that_goes_away_is_not_picked() {
    let mut world = World::running();
    let other = world.add_domain(DomId(1), false);
    change(&mut world.hv, &world.machine, other, |run| run.held = Held::DYING);
    world.hv.remove(other);
    assert_eq!(next(&mut world), Some(0));
}

#[test]
fn a_new_domain_waits_for_its_controller() {
    assert!(!RunState::new().is_runnable());
}

#[test]
fn yield_stays_runnable_and_asks_for_a_pick_if_there_is_a_choice() {
    let mut world = World::running();
    assert_eq!(world.hypercall(6, [0; 5]), 0);
    assert!(world.domain(0).run.is_runnable());
    assert!(
        !world.hv.sched.wants_pick && !world.machine.cpu.exit_work.get(),
        "alone"
    );
    let other = world.add_domain(DomId(1), false);
    assert_eq!(world.hypercall(6, [0; 5]), 0);
    assert!(world.domain(0).run.is_runnable());
    assert!(world.hv.sched.wants_pick && world.machine.cpu.exit_work.get());
    world.hv.sched.wants_pick = false;
    hold(&mut world, other, true);
    world.hypercall(6, [0; 5]);
    assert!(!world.hv.sched.wants_pick, "alone again");
}

#[test]
fn block_unmasks_and_waits() {
    let mut world = World::running();
    world
        .machine
        .store_u8(world.shared(0), offset::EVTCHN_UPCALL_MASK, 1);
    assert_eq!(world.hypercall(6, [1, 0, 0, 0, 0]), 0);
    assert_eq!(world.shared_u8(0, offset::EVTCHN_UPCALL_MASK), 0);
    assert_eq!(world.domain(0).run.held, Held::BLOCKED);
    assert!(world.hv.sched.wants_pick && world.machine.cpu.exit_work.get());
    assert_eq!(next(&mut world), None);
}

#[test]
fn block_is_cancelled_by_what_is_already_pending() {
    let mut world = World::running();
    world
        .machine
        .store_u8(world.shared(0), offset::EVTCHN_UPCALL_MASK, 1);
    world
        .machine
        .store_u8(world.shared(0), offset::EVTCHN_UPCALL_PENDING, 1);
    assert_eq!(world.hypercall(6, [1, 0, 0, 0, 0]), 0);
    assert_eq!(world.shared_u8(0, offset::EVTCHN_UPCALL_MASK), 0);
    assert!(world.domain(0).run.is_runnable());
}

#[test]
fn an_event_wakes_unless_its_port_is_masked() {
    let mut world = World::running();
    world.machine.store_u32(world.shared(0), offset::EVTCHN_MASK, 1);
    world.hypercall(6, [1, 0, 0, 0, 0]);
    event::send_virq(&mut world.hv, &world.machine, 0, Virq::Debug);
    assert_eq!(world.domain(0).run.held, Held::BLOCKED);
    world.machine.store_u32(world.shared(0), offset::EVTCHN_MASK, 0);
    world
        .machine
        .store_u32(world.shared(0), offset::EVTCHN_PENDING, 0);
    world.hv.sched.wants_pick = false;
    event::send_virq(&mut world.hv, &world.machine, 0, Virq::Debug);
    assert!(world.domain(0).run.is_runnable());
    assert!(!world.hv.sched.wants_pick, "it still ran");
}

#[test]
fn pauses_count_and_do_not_wake_the_blocked() {
    let mut world = World::running();
    let pause = |world: &mut World, by: i32| {
        change(&mut world.hv, &world.machine, 0, |run| {
            run.pause_count = run.pause_count.checked_add_signed(by).expect("balanced");
        });
    };
    pause(&mut world, 1);
    pause(&mut world, 1);
    pause(&mut world, -1);
    assert!(!world.domain(0).run.is_runnable());
    pause(&mut world, -1);
    assert!(can_run(&world, 0));
    world.hypercall(6, [1, 0, 0, 0, 0]);
    pause(&mut world, 1);
    event::send_virq(&mut world.hv, &world.machine, 0, Virq::Debug);
    assert!(!world.domain(0).run.is_runnable(), "woken, and still paused");
    pause(&mut world, -1);
    assert!(can_run(&world, 0));
}

#[test]
fn shutdown_of_domain0_ends_the_machine() {
    for (op, end) in [
        (0x002, MachineEnd::Shutdown(0)),
        (0x102, MachineEnd::Shutdown(1)),
        (0x302, MachineEnd::Shutdown(3)),
        (0x1302, MachineEnd::Shutdown(0x13)),
    ] {
        let mut world = World::running();
        world.hypercall(6, [op, 0, 0, 0, 0]);
        assert_eq!(world.hv.sched.end, Some(end));
        assert!(world.machine.cpu.exit_work.get());
    }
}

#[test]
fn shutdown_of_another_is_told_to_domain0() {
    for (op, held, reason) in [(0x202, Held::SHUTDOWN, 2), (0x302, Held::CRASHED, 3)] {
        let mut world = World::running();
        world.hv.current = world.add_domain(DomId(4), false);
        world.hypercall(6, [op, 0, 0, 0, 0]);
        let run = world.domain(1).run;
        assert_eq!((run.held, run.shutdown_reason), (held, reason));
        assert_eq!(world.hv.sched.end, None);
        assert_eq!(
            (pending(&world, 0), pending(&world, 1)),
            (1, 0),
            "port 0: not bound"
        );
    }
}

#[test]
fn a_crash_of_domain0_ends_the_machine_and_that_of_another_does_not() {
    let mut world = World::running();
    let slot = world.add_domain(DomId(4), false);
    stop(&mut world.hv, &world.machine, slot, None);
    assert_eq!(world.hv.sched.end, None);
    assert_eq!(world.domain(slot).run.held, Held::CRASHED);
    stop(&mut world.hv, &world.machine, 0, None);
    assert_eq!(world.hv.sched.end, Some(MachineEnd::Dom0Crashed));
}
