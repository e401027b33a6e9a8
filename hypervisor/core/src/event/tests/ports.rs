//! Giving ports out and taking them back.

use super::*;

#[test]
fn ports_are_given_lowest_first_and_never_port_0() {
    let mut world = World::running();
    assert_eq!(
        [
            unbound(&mut world, SELF),
            unbound(&mut world, SELF),
            unbound(&mut world, SELF)
        ],
        [1, 2, 3]
    );
    op(
        &mut world,
        &Close {
            dom: SELF,
            pad: 0,
            port: 2,
        },
    );
    op(
        &mut world,
        &Close {
            dom: SELF,
            pad: 0,
            port: 1,
        },
    );
    assert_eq!(
        [
            unbound(&mut world, SELF),
            unbound(&mut world, SELF),
            unbound(&mut world, SELF)
        ],
        [1, 2, 4]
    );
}

#[test]
fn the_table_doubles_up_to_1024_ports_and_then_is_full() {
    let mut world = World::running();
    refused(
        &mut world,
        &Status {
            dom: SELF,
            port: 16,
            ..Status::default()
        },
        Errno::Inval,
    );
    for port in 1..1024 {
        assert_eq!(unbound(&mut world, SELF), port);
        let size = world.domain(0).events.size() as u32;
        assert_eq!(size, (port + 1).next_power_of_two().max(16));
    }
    assert_eq!(status_of(&mut world, 1023).state, PortState::UNBOUND);
    refused(
        &mut world,
        &AllocUnbound {
            dom: SELF,
            pad: 0,
            port: 0,
        },
        Errno::NoSpc,
    );
    refused(
        &mut world,
        &BindVirq {
            virq: WireVirq::TIMER,
            port: 0,
        },
        Errno::NoSpc,
    );
    refused(&mut world, &interdomain((SELF, 0), (SELF, 0)), Errno::NoSpc);
    refused(
        &mut world,
        &Status {
            dom: SELF,
            port: 1024,
            ..Status::default()
        },
        Errno::Inval,
    );
    op(
        &mut world,
        &Close {
            dom: SELF,
            pad: 0,
            port: 512,
        },
    );
    // One port is free; a loop needs two.
    refused(&mut world, &interdomain((SELF, 0), (SELF, 0)), Errno::NoSpc);
    assert_eq!(unbound(&mut world, SELF), 512);
}

#[test]
fn what_cannot_be_closed_or_sent_on() {
    let mut world = World::running();
    for port in [0, 3, 16, 1024, u32::MAX] {
        refused(
            &mut world,
            &Close {
                dom: SELF,
                pad: 0,
                port,
            },
            Errno::Inval,
        );
        refused(&mut world, &Send { local_port: port }, Errno::Inval);
    }
    let waiting = unbound(&mut world, SELF);
    refused(&mut world, &Send { local_port: waiting }, Errno::Inval);
    let timer = op(
        &mut world,
        &BindVirq {
            virq: WireVirq::TIMER,
            port: 0,
        },
    )
    .port;
    refused(&mut world, &Send { local_port: timer }, Errno::Inval);
}

/// Defect 12: pending and mask bits of a closed port stayed.
#[test]
fn close_clears_both_bits() {
    let mut world = World::running();
    let (port1, port2) = looped(&mut world);
    op(&mut world, &Send { local_port: port1 });
    world
        .machine
        .fetch_or_u32(world.shared(0), offset::EVTCHN_MASK, 1 << port2);
    assert!(pending(&world, 0, port2));
    op(
        &mut world,
        &Close {
            dom: SELF,
            pad: 0,
            port: port2,
        },
    );
    assert!(!pending(&world, 0, port2));
    assert_eq!(world.shared_u32(0, offset::EVTCHN_MASK), 0);
}

#[test]
fn bad_blocks_are_refused() {
    let mut world = World::running();
    for at in [0, 0xFBFF_FFF0, 0xFC00_0000, u32::MAX] {
        world.refused(16, [at, 0, 0, 0, 0], Errno::Fault);
    }
    world.write(
        ARGS,
        &EvtchnOp {
            cmd: EvtchnCmd::new(7),
            ..EvtchnOp::default()
        },
    );
    world.refused(16, [ARGS, 0, 0, 0, 0], Errno::NoSys);
    world.write(
        ARGS,
        &EvtchnOp {
            cmd: EvtchnCmd::SEND,
            reserved: 1,
            ..EvtchnOp::default()
        },
    );
    world.refused(16, [ARGS, 0, 0, 0, 0], Errno::Inval);
    refused(
        &mut world,
        &AllocUnbound {
            dom: SELF,
            pad: 1,
            port: 0,
        },
        Errno::Inval,
    );
    refused(
        &mut world,
        &Close {
            dom: SELF,
            pad: 1,
            port: 0,
        },
        Errno::Inval,
    );
    refused(
        &mut world,
        &Status {
            dom: SELF,
            pad: 1,
            ..Status::default()
        },
        Errno::Inval,
    );
}

#[test]
fn no_port_is_bound_when_its_number_cannot_be_told() {
    let mut world = World::running();
    world.write(
        ARGS,
        &EvtchnOp::new(&AllocUnbound {
            dom: SELF,
            pad: 0,
            port: 0,
        }),
    );
    world.protect(ARGS);
    world.refused(16, [ARGS, 0, 0, 0, 0], Errno::Fault);
}
