//! Physical interrupts.

use super::*;
use guest_abi::physdev::{IrqUnmaskNotify, PhysdevOp};

const LINE: u8 = 5;

/// A machine on which every domain may bind lines; slots 0 and up are domains 0, 11, 12 ...
fn with_owners(others: u16) -> World {
    let mut world = World::running();
    for n in 1..=others {
        world.add_domain(DomId(10 + n), false);
    }
    for slot in 0..=usize::from(others) {
        world.domain(slot).io.lines = u16::MAX;
    }
    world
}

fn request(pirq: u32, flags: u32) -> BindPirq {
    BindPirq { pirq, flags, port: 0 }
}

/// The current domain binds the line alone.
fn bind(world: &mut World, line: u8) -> u32 {
    op(world, &request(line.into(), 0)).port
}

/// The domain in `slot` binds the line with others.
fn share(world: &mut World, slot: usize, line: u8) -> u32 {
    world.hv.current = slot;
    op(world, &request(line.into(), 1)).port
}

/// The device on `line` asks, and the controller answers as the hypervisor's does.
fn ask(world: &mut World, line: u8) -> bool {
    assert!(
        world.machine.devices.is_open(line),
        "a line that is held back asks"
    );
    world.machine.mask_line(line);
    raise_line(&mut world.hv, &world.machine, line)
}

/// The domain in `slot` says that it is done.
fn notify(world: &mut World, slot: usize) {
    world.hv.current = slot;
    world.write(ARGS, &PhysdevOp::new(&IrqUnmaskNotify {}));
    assert_eq!(world.hypercall(19, [ARGS, 0, 0, 0, 0]), 0);
}

/// The domain in `slot` takes the event of `port`.
fn take(world: &World, slot: usize, port: u32) {
    let at = offset::EVTCHN_PENDING + port as usize / 32 * 4;
    let frame = world.shared(slot);
    world.machine.fetch_clear_u32(frame, at, 1 << (port % 32));
}

fn mask(world: &World, slot: usize, port: u32, on: bool) {
    let at = offset::EVTCHN_MASK + port as usize / 32 * 4;
    let frame = world.shared(slot);
    if on {
        world.machine.fetch_or_u32(frame, at, 1 << (port % 32));
    } else {
        world.machine.fetch_clear_u32(frame, at, 1 << (port % 32));
    }
}

fn is_open(world: &World) -> bool {
    world.machine.devices.is_open(LINE)
}

fn close_port(world: &mut World, port: u32) {
    op(
        world,
        &Close {
            dom: SELF,
            pad: 0,
            port,
        },
    );
}

#[test]
fn only_lines_that_were_given_and_nobody_has_are_bound() {
    let mut world = World::running();
    refused(&mut world, &request(128, 0), Errno::Inval);
    refused(&mut world, &request(0, 2), Errno::Inval);
    refused(&mut world, &request(5, 0), Errno::Perm);
    world.domain(0).io.lines = u16::MAX;
    for nobodys in [16, 127] {
        refused(&mut world, &request(nobodys, 0), Errno::Perm);
    }
    world.hv.lines.reserve(4);
    for hypervisors in [0, 2, 4] {
        refused(&mut world, &request(hypervisors, 1), Errno::Busy);
    }
    assert!(!is_open(&world));
    let port = bind(&mut world, LINE);
    assert!(is_open(&world));
    let status = status_of(&mut world, port);
    assert_eq!((status.state, status.detail), (PortState::PIRQ, LINE.into()));
    refused(&mut world, &Send { local_port: port }, Errno::Inval);
    assert_eq!(bind(&mut world, LINE), port, "bound once");
    close_port(&mut world, port);
    assert!(!is_open(&world));
}

#[test]
fn a_line_is_held_back_until_its_port_is_unmasked_and_its_domain_says_so() {
    let mut world = with_owners(0);
    let port = bind(&mut world, LINE);
    assert!(ask(&mut world, LINE));
    assert!(pending(&world, 0, port) && !is_open(&world));
    mask(&world, 0, port, true);
    take(&world, 0, port);
    // In the wrong order the notification is lost.
    notify(&mut world, 0);
    assert!(!is_open(&world));
    mask(&world, 0, port, false);
    assert!(!is_open(&world));
    notify(&mut world, 0);
    assert!(is_open(&world));
    assert!(!pending(&world, 0, port));
    // Said once more it means nothing, and the next interrupt is a new one.
    notify(&mut world, 0);
    assert!(ask(&mut world, LINE));
    assert!(pending(&world, 0, port));
}

#[test]
fn a_line_that_several_share_waits_for_all_of_them() {
    let mut world = with_owners(2);
    let ports = [0, 1, 2].map(|slot| share(&mut world, slot, LINE));
    ask(&mut world, LINE);
    for (slot, port) in (0..).zip(ports) {
        assert!(pending(&world, slot, port));
    }
    notify(&mut world, 2);
    notify(&mut world, 0);
    notify(&mut world, 0);
    assert!(!is_open(&world));
    assert_eq!(
        world.hv.lines.sharers(LINE).collect::<Vec<_>>(),
        [(0, false), (1, true), (2, false)]
    );
    notify(&mut world, 1);
    assert!(is_open(&world));

    // Who leaves is waited for no longer; who left last leaves the line closed.
    ask(&mut world, LINE);
    notify(&mut world, 0);
    notify(&mut world, 2);
    world.hv.current = 1;
    close_port(&mut world, ports[1]);
    assert!(is_open(&world));
    ask(&mut world, LINE);
    for slot in [0, 2] {
        assert!(!is_open(&world));
        world.hv.current = slot;
        close_port(&mut world, ports[slot]);
    }
    assert!(!is_open(&world));
}

#[test]
fn a_line_is_shared_by_agreement_and_by_seven_at_most() {
    let mut world = with_owners(7);
    bind(&mut world, LINE);
    world.hv.current = 1;
    refused(&mut world, &request(LINE.into(), 1), Errno::Busy);
    refused(&mut world, &request(LINE.into(), 0), Errno::Busy);
    for slot in 0..7 {
        share(&mut world, slot, LINE + 1);
    }
    world.hv.current = 7;
    refused(&mut world, &request(u32::from(LINE) + 1, 0), Errno::Busy);
    refused(&mut world, &request(u32::from(LINE) + 1, 1), Errno::Busy);
    world.hv.current = 3;
    let port = share(&mut world, 3, LINE + 1);
    close_port(&mut world, port);
    share(&mut world, 7, LINE + 1);
}

#[test]
fn the_next_owner_decides_anew_whether_it_shares() {
    let mut world = with_owners(1);
    let port = share(&mut world, 0, LINE);
    close_port(&mut world, port);
    bind(&mut world, LINE);
    world.hv.current = 1;
    refused(&mut world, &request(LINE.into(), 1), Errno::Busy);
}

#[test]
fn what_nobody_serves_stays_held_back() {
    let mut world = with_owners(1);
    // Bound by nobody.
    assert!(!raise_line(&mut world.hv, &world.machine, LINE));
    assert!(!raise_line(&mut world.hv, &world.machine, 16));
    assert!(!is_open(&world));
    // Somebody else's word does not count, nor does an owner's for another line.
    world.hv.current = 1;
    bind(&mut world, LINE);
    world.hv.current = 0;
    bind(&mut world, LINE + 1);
    ask(&mut world, LINE);
    notify(&mut world, 0);
    assert!(!is_open(&world));
    // An owner that has stopped for good answers never.
    sched::stop(&mut world.hv, &world.machine, 1, None);
    notify(&mut world, 0);
    assert!(!is_open(&world));
}

#[test]
fn an_interrupt_wakes_its_domain() {
    let mut world = with_owners(1);
    world.hv.current = 1;
    bind(&mut world, LINE);
    world.hv.current = 0;
    sched::change(&mut world.hv, &world.machine, 1, |run| {
        run.held.insert(Held::BLOCKED);
    });
    ask(&mut world, LINE);
    assert!(world.domain(1).run.is_runnable());
    assert!(world.machine.cpu.exit_work.get());
}

#[test]
fn a_line_that_is_taken_away_takes_its_port_along() {
    let mut world = with_owners(1);
    let ports = [0, 1].map(|slot| share(&mut world, slot, LINE));
    ask(&mut world, LINE);
    notify(&mut world, 0);
    close_line(&mut world.hv, &world.machine, 1, LINE);
    assert!(is_open(&world));
    world.hv.current = 1;
    assert_eq!(status_of(&mut world, ports[1]).state, PortState::CLOSED);
    close_line(&mut world.hv, &world.machine, 1, LINE);
    close_line(&mut world.hv, &world.machine, 0, 200);
    world.hv.current = 0;
    assert_eq!(status_of(&mut world, ports[0]).state, PortState::PIRQ);
}

#[test]
fn no_line_is_bound_without_a_port() {
    let mut world = with_owners(0);
    for _ in 1..1024 {
        unbound(&mut world, SELF);
    }
    refused(&mut world, &request(LINE.into(), 0), Errno::NoSpc);
    assert!(!is_open(&world));
}
