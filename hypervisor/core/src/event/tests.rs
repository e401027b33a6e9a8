use super::*;
use crate::{
    mock::{ARGS, World},
    platform::FrameMemory,
};
use guest_abi::{
    domain::DomId as WireId,
    errno::Errno,
    event_channel::{
        AllocUnbound, BindInterdomain, BindPirq, BindVirq, Close, EvtchnArgs, EvtchnCmd, EvtchnOp, PortState,
        Send, Status, Virq as WireVirq,
    },
    shared_info::offset,
};

const SELF: WireId = WireId::SELF;

/// Makes an event-channel call that must succeed and gives its block back.
#[track_caller]
fn op<A: EvtchnArgs>(world: &mut World, args: &A) -> A {
    world.write(ARGS, &EvtchnOp::new(args));
    assert_eq!(world.call(16, [ARGS, 0, 0, 0, 0]), 0);
    world.read::<EvtchnOp>(ARGS).args()
}

#[track_caller]
fn refused<A: EvtchnArgs>(world: &mut World, args: &A, error: Errno) {
    world.write(ARGS, &EvtchnOp::new(args));
    world.refused(16, [ARGS, 0, 0, 0, 0], error);
}

fn unbound(world: &mut World, dom: WireId) -> u32 {
    op(world, &AllocUnbound { dom, pad: 0, port: 0 }).port
}

fn status_of(world: &mut World, port: u32) -> Status {
    op(
        world,
        &Status {
            dom: SELF,
            port,
            ..Status::default()
        },
    )
}

/// Two connected ports of the only domain.
fn looped(world: &mut World) -> (u32, u32) {
    let bound = op(
        world,
        &BindInterdomain {
            dom1: SELF,
            dom2: SELF,
            port1: 0,
            port2: 0,
        },
    );
    (bound.port1, bound.port2)
}

fn pending(world: &World, slot: u32, port: u32) -> bool {
    world.shared_u32(slot, offset::EVTCHN_PENDING + port as usize / 32 * 4) & 1 << (port % 32) != 0
}

#[test]
fn ports_are_given_lowest_first_and_never_port_0() {
    let mut world = World::new();
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
    let mut world = World::new();
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
    refused(
        &mut world,
        &BindInterdomain {
            dom1: SELF,
            dom2: SELF,
            port1: 0,
            port2: 0,
        },
        Errno::NoSpc,
    );
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
    refused(
        &mut world,
        &BindInterdomain {
            dom1: SELF,
            dom2: SELF,
            port1: 0,
            port2: 0,
        },
        Errno::NoSpc,
    );
    assert_eq!(unbound(&mut world, SELF), 512);
}

/// Defect 10: DOMID_SELF was stored as it came, so the port could never be bound.
#[test]
fn an_unbound_port_for_oneself_can_be_bound() {
    let mut world = World::new();
    let port1 = unbound(&mut world, SELF);
    assert_eq!(status_of(&mut world, port1).detail, 0, "the caller's own number");
    let bound = op(
        &mut world,
        &BindInterdomain {
            dom1: SELF,
            dom2: SELF,
            port1: 0,
            port2: port1,
        },
    );
    assert_eq!(bound.port2, port1);
    assert_ne!(bound.port1, port1);
    let status = status_of(&mut world, port1);
    assert_eq!(
        (status.state, status.detail, status.remote_port),
        (PortState::INTERDOMAIN, 0, bound.port1)
    );
}

/// Defect 10: the other domain's existence was not checked.
#[test]
fn a_port_for_a_domain_that_does_not_exist_is_refused() {
    let mut world = World::new();
    refused(
        &mut world,
        &AllocUnbound {
            dom: WireId::new(7),
            pad: 0,
            port: 0,
        },
        Errno::Srch,
    );
}

/// Defect 11: an unprivileged domain could not name itself by number, nor make a loop.
#[test]
fn an_unprivileged_domain_may_make_a_loop_by_either_name() {
    let mut world = World::new();
    world.hv.current = world.add_domain(DomId(5), false);
    for me in [SELF, WireId::new(5)] {
        for (dom1, dom2) in [(me, SELF), (SELF, me)] {
            let bound = op(
                &mut world,
                &BindInterdomain {
                    dom1,
                    dom2,
                    port1: 0,
                    port2: 0,
                },
            );
            assert_ne!(bound.port1, bound.port2);
            op(
                &mut world,
                &Send {
                    local_port: bound.port1,
                },
            );
            assert!(pending(&world, 1, bound.port2));
        }
    }
    refused(
        &mut world,
        &BindInterdomain {
            dom1: WireId::DOM0,
            dom2: SELF,
            port1: 0,
            port2: 0,
        },
        Errno::Perm,
    );
}

#[test]
fn a_named_free_port_is_taken_and_a_new_one_for_the_other_end_avoids_it() {
    let mut world = World::new();
    let bound = op(
        &mut world,
        &BindInterdomain {
            dom1: SELF,
            dom2: SELF,
            port1: 0,
            port2: 1,
        },
    );
    assert_eq!((bound.port1, bound.port2), (2, 1));
    refused(
        &mut world,
        &BindInterdomain {
            dom1: SELF,
            dom2: SELF,
            port1: 5,
            port2: 5,
        },
        Errno::Inval,
    );
    refused(
        &mut world,
        &BindInterdomain {
            dom1: SELF,
            dom2: SELF,
            port1: 16,
            port2: 0,
        },
        Errno::Inval,
    );
    refused(
        &mut world,
        &BindInterdomain {
            dom1: SELF,
            dom2: SELF,
            port1: u32::MAX,
            port2: 0,
        },
        Errno::Inval,
    );
    refused(
        &mut world,
        &BindInterdomain {
            dom1: SELF,
            dom2: WireId::new(9),
            port1: 0,
            port2: 0,
        },
        Errno::Srch,
    );
}

#[test]
fn ports_that_are_connected_as_asked_are_a_success() {
    let mut world = World::new();
    let (port1, port2) = looped(&mut world);
    for (ask1, ask2) in [(port1, port2), (port1, 0), (0, port2)] {
        let args = BindInterdomain {
            dom1: SELF,
            dom2: SELF,
            port1: ask1,
            port2: ask2,
        };
        let bound = op(&mut world, &args);
        assert_eq!((bound.port1, bound.port2), (port1, port2));
    }
    let (other, _) = looped(&mut world);
    refused(
        &mut world,
        &BindInterdomain {
            dom1: SELF,
            dom2: SELF,
            port1,
            port2: other,
        },
        Errno::Inval,
    );
}

#[test]
fn two_domains_connect_through_a_port_that_waits() {
    let mut world = World::new();
    let slot = world.add_domain(DomId(5), false);
    let port0 = unbound(&mut world, WireId::new(5));
    let wrong = unbound(&mut world, SELF);
    world.hv.current = slot;
    // Not one that waits for somebody else, nor a free one, nor a new one.
    let from = |port2| BindInterdomain {
        dom1: SELF,
        dom2: WireId::DOM0,
        port1: 0,
        port2,
    };
    refused(&mut world, &from(wrong), Errno::Inval);
    refused(&mut world, &from(9), Errno::Perm);
    refused(&mut world, &from(0), Errno::Perm);
    let port5 = op(&mut world, &from(port0)).port1;

    op(&mut world, &Send { local_port: port5 });
    assert!(pending(&world, 0, port0) && !pending(&world, 1, port5));
    let status = status_of(&mut world, port5);
    assert_eq!((status.detail, status.remote_port), (0, port0));

    // Closing one end leaves the other waiting for the same domain.
    op(
        &mut world,
        &Close {
            dom: SELF,
            pad: 0,
            port: port5,
        },
    );
    refused(&mut world, &Send { local_port: port5 }, Errno::Inval);
    world.hv.current = 0;
    let status = status_of(&mut world, port0);
    assert_eq!((status.state, status.detail), (PortState::UNBOUND, 5));
    refused(&mut world, &Send { local_port: port0 }, Errno::Inval);
}

#[test]
fn only_a_privileged_domain_acts_on_others() {
    let mut world = World::new();
    let slot = world.add_domain(DomId(5), false);
    let port = unbound(&mut world, SELF);
    world.hv.current = slot;
    refused(
        &mut world,
        &Close {
            dom: WireId::DOM0,
            pad: 0,
            port,
        },
        Errno::Perm,
    );
    refused(
        &mut world,
        &Status {
            dom: WireId::DOM0,
            port,
            ..Status::default()
        },
        Errno::Perm,
    );
    world.hv.current = 0;
    let five = WireId::new(5);
    refused(
        &mut world,
        &Close {
            dom: WireId::new(6),
            pad: 0,
            port,
        },
        Errno::Srch,
    );
    refused(
        &mut world,
        &Status {
            dom: WireId::new(6),
            port,
            ..Status::default()
        },
        Errno::Srch,
    );
    // Domain0 connects two others, or itself with a new port of another.
    let bound = op(
        &mut world,
        &BindInterdomain {
            dom1: five,
            dom2: SELF,
            port1: 0,
            port2: 0,
        },
    );
    let status = op(
        &mut world,
        &Status {
            dom: five,
            port: bound.port1,
            ..Status::default()
        },
    );
    assert_eq!(
        (status.state, status.remote_port),
        (PortState::INTERDOMAIN, bound.port2)
    );
    op(
        &mut world,
        &Close {
            dom: five,
            pad: 0,
            port: bound.port1,
        },
    );
}

#[test]
fn what_cannot_be_closed_or_sent_on() {
    let mut world = World::new();
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
    let mut world = World::new();
    let (port1, port2) = looped(&mut world);
    op(&mut world, &Send { local_port: port1 });
    world
        .machine
        .fetch_or_u32(crate::mock::SHARED, offset::EVTCHN_MASK, 1 << port2);
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
fn virtual_interrupts_arrive_on_their_port_or_on_port_0() {
    let mut world = World::new();
    send_virq(&mut world.hv, &world.machine, 0, Virq::Timer);
    assert!(pending(&world, 0, 0));
    let port = op(
        &mut world,
        &BindVirq {
            virq: WireVirq::TIMER,
            port: 0,
        },
    )
    .port;
    assert_eq!(
        op(
            &mut world,
            &BindVirq {
                virq: WireVirq::TIMER,
                port: 0
            }
        )
        .port,
        port,
        "bound once"
    );
    send_virq(&mut world.hv, &world.machine, 0, Virq::Timer);
    assert!(pending(&world, 0, port));
    let status = status_of(&mut world, port);
    assert_eq!((status.state, status.detail), (PortState::VIRQ, 1));
    op(
        &mut world,
        &Close {
            dom: SELF,
            pad: 0,
            port,
        },
    );
    assert_eq!(
        op(
            &mut world,
            &BindVirq {
                virq: WireVirq::DEBUG,
                port: 0
            }
        )
        .port,
        port
    );

    assert_eq!(
        op(
            &mut world,
            &BindVirq {
                virq: WireVirq::MISDIRECT,
                port: 9
            }
        )
        .port,
        0
    );
    assert_eq!(status_of(&mut world, 0).state, PortState::VIRQ);
    assert_eq!(status_of(&mut world, 9).state, PortState::CLOSED);
    refused(
        &mut world,
        &BindVirq {
            virq: WireVirq::new(7),
            port: 0,
        },
        Errno::Inval,
    );
}

#[test]
fn numbers_of_virtual_interrupts_are_the_interfaces() {
    use crate::hypercall::event_channel::{core_virq, wire_virq};
    for (number, _) in WireVirq::ALL {
        assert_eq!(core_virq(*number).map(wire_virq), Ok(*number));
    }
}

#[test]
fn physical_lines_are_checked_and_all_in_use() {
    let mut world = World::new();
    let bind = |pirq, flags| BindPirq { pirq, flags, port: 0 };
    refused(&mut world, &bind(128, 0), Errno::Inval);
    refused(&mut world, &bind(0, 2), Errno::Inval);
    refused(&mut world, &bind(0, 0), Errno::Perm);
    world.domain(0).has_devices = true;
    refused(&mut world, &bind(0, 1), Errno::Busy);
}

#[test]
fn a_port_is_raised_in_the_order_of_the_interface() {
    let mut world = World::new();
    let (port1, port2) = looped(&mut world);
    let shared = crate::mock::SHARED;
    let flag = |world: &World| world.shared_u8(0, offset::EVTCHN_UPCALL_PENDING);
    let selector = |world: &World| world.shared_u32(0, offset::EVTCHN_PENDING_SEL);

    // Masked: the pending bit alone.
    world.machine.store_u32(shared, offset::EVTCHN_MASK, 1 << port2);
    op(&mut world, &Send { local_port: port1 });
    assert!(pending(&world, 0, port2));
    assert_eq!((selector(&world), flag(&world)), (0, 0));

    // Already pending: nothing more, though it is no longer masked.
    world.machine.store_u32(shared, offset::EVTCHN_MASK, 0);
    op(&mut world, &Send { local_port: port1 });
    assert_eq!((selector(&world), flag(&world)), (0, 0));

    // Selector already set: the flag stays.
    world.machine.store_u32(shared, offset::EVTCHN_PENDING, 0);
    world.machine.store_u32(shared, offset::EVTCHN_PENDING_SEL, 1);
    op(&mut world, &Send { local_port: port1 });
    assert_eq!(flag(&world), 0);

    // All clear: everything.
    world.machine.store_u32(shared, offset::EVTCHN_PENDING, 0);
    world.machine.store_u32(shared, offset::EVTCHN_PENDING_SEL, 0);
    op(&mut world, &Send { local_port: port1 });
    assert_eq!((selector(&world), flag(&world)), (1, 1));
}

#[test]
fn ports_above_31_have_their_own_word() {
    let mut world = World::new();
    let ports: Vec<u32> = (0..99).map(|_| unbound(&mut world, SELF)).collect();
    let last = *ports.last().expect("some");
    let bound = op(
        &mut world,
        &BindInterdomain {
            dom1: SELF,
            dom2: SELF,
            port1: 0,
            port2: last,
        },
    );
    op(
        &mut world,
        &Send {
            local_port: bound.port1,
        },
    );
    assert!(pending(&world, 0, last));
    assert_eq!(world.shared_u32(0, offset::EVTCHN_PENDING_SEL), 1 << (last / 32));
}

#[test]
fn bad_blocks_are_refused() {
    let mut world = World::new();
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
    let mut world = World::new();
    world.write(
        ARGS,
        &EvtchnOp::new(&AllocUnbound {
            dom: SELF,
            pad: 0,
            port: 0,
        }),
    );
    world.machine.map(ARGS / 4096, false);
    world.refused(16, [ARGS, 0, 0, 0, 0], Errno::Fault);
}

#[test]
fn what_was_typed_before_anybody_listened_is_announced_at_the_bind() {
    let console = BindVirq {
        virq: WireVirq::CONSOLE,
        port: 0,
    };
    let mut quiet = World::new();
    let port = op(&mut quiet, &console).port;
    assert!(!pending(&quiet, 0, port));

    let mut typed = World::new();
    typed.machine.input.borrow_mut().push_back(b'x');
    let port = op(&mut typed, &console).port;
    assert!(pending(&typed, 0, port));
}
