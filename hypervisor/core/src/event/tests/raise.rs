//! Raising them.

use super::*;

#[test]
fn virtual_interrupts_arrive_on_their_port_or_on_port_0() {
    let mut world = World::running();
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
fn a_port_is_raised_in_the_order_of_the_interface() {
    let mut world = World::running();
    let (port1, port2) = looped(&mut world);
    let shared = world.shared(0);
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
    let mut world = World::running();
    let ports: Vec<u32> = (0..99).map(|_| unbound(&mut world, SELF)).collect();
    let last = *ports.last().expect("some");
    let bound = op(&mut world, &interdomain((SELF, 0), (SELF, last)));
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
fn what_was_typed_before_anybody_listened_is_announced_at_the_bind() {
    let console = BindVirq {
        virq: WireVirq::CONSOLE,
        port: 0,
    };
    let mut quiet = World::running();
    let port = op(&mut quiet, &console).port;
    assert!(!pending(&quiet, 0, port));

    let mut typed = World::running();
    typed.machine.input.borrow_mut().push_back(b'x');
    let port = op(&mut typed, &console).port;
    assert!(pending(&typed, 0, port));
}
