//! Connecting ports.

use super::*;

/// Defect 10: DOMID_SELF was stored as it came, so the port could never be bound.
#[test]
fn an_unbound_port_for_oneself_can_be_bound() {
    let mut world = World::running();
    let port1 = unbound(&mut world, SELF);
    assert_eq!(status_of(&mut world, port1).detail, 0, "the caller's own number");
    let bound = op(&mut world, &interdomain((SELF, 0), (SELF, port1)));
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
    let mut world = World::running();
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
    let mut world = World::running();
    world.hv.current = world.add_domain(DomId(5), false);
    for me in [SELF, WireId::new(5)] {
        for (dom1, dom2) in [(me, SELF), (SELF, me)] {
            let bound = op(&mut world, &interdomain((dom1, 0), (dom2, 0)));
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
        &interdomain((WireId::DOM0, 0), (SELF, 0)),
        Errno::Perm,
    );
}

#[test]
fn a_named_free_port_is_taken_and_a_new_one_for_the_other_end_avoids_it() {
    let mut world = World::running();
    let bound = op(&mut world, &interdomain((SELF, 0), (SELF, 1)));
    assert_eq!((bound.port1, bound.port2), (2, 1));
    refused(&mut world, &interdomain((SELF, 5), (SELF, 5)), Errno::Inval);
    refused(&mut world, &interdomain((SELF, 16), (SELF, 0)), Errno::Inval);
    refused(
        &mut world,
        &interdomain((SELF, u32::MAX), (SELF, 0)),
        Errno::Inval,
    );
    refused(
        &mut world,
        &interdomain((SELF, 0), (WireId::new(9), 0)),
        Errno::Srch,
    );
}

#[test]
fn ports_that_are_connected_as_asked_are_a_success() {
    let mut world = World::running();
    let (port1, port2) = looped(&mut world);
    for (ask1, ask2) in [(port1, port2), (port1, 0), (0, port2)] {
        let args = interdomain((SELF, ask1), (SELF, ask2));
        let bound = op(&mut world, &args);
        assert_eq!((bound.port1, bound.port2), (port1, port2));
    }
    let (other, _) = looped(&mut world);
    refused(
        &mut world,
        &interdomain((SELF, port1), (SELF, other)),
        Errno::Inval,
    );
}

#[test]
fn two_domains_connect_through_a_port_that_waits() {
    let mut world = World::running();
    let slot = world.add_domain(DomId(5), false);
    let port0 = unbound(&mut world, WireId::new(5));
    let wrong = unbound(&mut world, SELF);
    world.hv.current = slot;
    // Not one that waits for somebody else, nor a free one, nor a new one.
    let from = |port2| interdomain((SELF, 0), (WireId::DOM0, port2));
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
    let mut world = World::running();
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
    let bound = op(&mut world, &interdomain((five, 0), (SELF, 0)));
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

/// As in 2.0: the peer's port waits for who closed, with what it had pending or masked; nobody is told.
#[test]
fn the_port_of_a_peer_that_closes_waits_for_it_again() {
    let mut world = World::running();
    let slot = world.add_domain(DomId(5), false);
    let bound = op(
        &mut world,
        &BindInterdomain {
            dom1: SELF,
            dom2: WireId::new(5),
            port1: 0,
            port2: 0,
        },
    );
    let theirs = bound.port2;
    let bit = |world: &World, table: usize| {
        world.shared_u32(slot, table + theirs as usize / 32 * 4) >> (theirs % 32) & 1 != 0
    };
    for was_sent in [false, true] {
        if was_sent {
            let rebound = op(&mut world, &BindInterdomain { port1: 0, ..bound });
            assert_eq!(rebound.port2, theirs);
            op(
                &mut world,
                &Send {
                    local_port: rebound.port1,
                },
            );
        }
        let before = world.shared_u8(slot, offset::EVTCHN_UPCALL_PENDING);
        op(
            &mut world,
            &Close {
                dom: SELF,
                pad: 0,
                port: bound.port1,
            },
        );
        assert_eq!(bit(&world, offset::EVTCHN_PENDING), was_sent);
        assert_eq!(world.shared_u8(slot, offset::EVTCHN_UPCALL_PENDING), before);
        world.hv.current = slot;
        let status = status_of(&mut world, theirs);
        assert_eq!((status.state, status.detail), (PortState::UNBOUND, 0));
        refused(&mut world, &Send { local_port: theirs }, Errno::Inval);
        world.hv.current = 0;
    }
}
