//! Call 7 on a machine without memory to speak of: what is refused at once, and commands about the hypervisor itself.

mod bench;
mod commands;
mod devices;
mod life;
mod machine;
mod random;
mod refusals;
mod shortage;
mod steps;

use super::*;
use crate::{
    domain::DomId,
    testing::{ARGS, World},
};
use guest_abi::{
    addr::GuestVirt,
    domctl::{Dom0Args, DomainFlags, GetDomainInfo, PauseDomain, PerfcControl, PerfcDesc, PerfcOp, SetTime},
    errno::Errno,
    sched::ShutdownReason,
    shared_info::offset,
};

#[track_caller]
pub fn op<A: Dom0Args>(world: &mut World, args: &A) -> A {
    world.write(ARGS, &Dom0Op::new(args));
    assert_eq!(world.hypercall(7, [ARGS, 0, 0, 0, 0]), 0);
    world.read::<Dom0Op>(ARGS).args()
}

#[track_caller]
pub fn refused<A: Dom0Args>(world: &mut World, args: &A, error: Errno) {
    world.write(ARGS, &Dom0Op::new(args));
    world.refused(7, [ARGS, 0, 0, 0, 0], error);
}

#[test]
fn checks_come_in_their_order() {
    let mut world = World::running();
    world.domain(0).is_privileged = false;
    world.refused(7, [0; 5], Errno::Perm);
    world.domain(0).is_privileged = true;
    world.refused(7, [0; 5], Errno::Fault);
    let mut block = Dom0Op::new(&PauseDomain::default());
    block.interface_version = 0xAAAA_001A;
    world.write(ARGS, &block);
    world.refused(7, [ARGS, 0, 0, 0, 0], Errno::Access);
    refused(&mut world, &PauseDomain::default(), Errno::Inval);
    for cmd in [0, 1, 14, 16, 25, 26, 31, 32, 33, 35, 42, u32::MAX] {
        block = Dom0Op::new(&PauseDomain::default());
        block.cmd = Dom0Cmd::new(cmd);
        world.write(ARGS, &block);
        world.refused(7, [ARGS, 0, 0, 0, 0], Errno::NoSys);
    }
}

#[test]
fn the_wall_clock_is_set_and_announced() {
    let mut world = World::running();
    op(
        &mut world,
        &SetTime {
            secs: 77,
            usecs: 5,
            system_time: 1_000_000,
        },
    );
    assert_eq!(world.shared_u32(0, offset::TIME + 32), 77);
    assert_eq!(world.shared_u32(0, offset::EVTCHN_PENDING), 1);
    refused(
        &mut world,
        &SetTime {
            secs: 1,
            usecs: 1_000_000,
            system_time: 0,
        },
        Errno::Inval,
    );
}

#[test]
fn domains_are_listed_by_number() {
    let mut world = World::running();
    world.add_domain(DomId(9), false);
    let five = world.add_domain(DomId(5), false);
    crate::sched::stop(&mut world.hv, &world.machine, five, Some(2));
    let ask = |n| GetDomainInfo {
        domain: WireId::new(n),
        ..GetDomainInfo::default()
    };
    let info = op(&mut world, &ask(0));
    assert_eq!(
        (info.domain.raw(), info.flags.bits()),
        (0, DomainFlags::RUNNING.bits())
    );
    assert_eq!(info.shared_info_frame, world.shared(0));
    let info = op(&mut world, &ask(1));
    assert_eq!((info.domain.raw(), info.shared_info_frame), (5, world.shared(2)));
    assert_eq!(info.flags, DomainFlags::SHUTDOWN.with(0, ShutdownReason::SUSPEND));
    assert_eq!(op(&mut world, &ask(6)).domain.raw(), 9);
    refused(&mut world, &ask(10), Errno::Srch);
}

#[test]
fn counters_of_calls_can_be_read_and_reset() {
    let mut world = World::running();
    world.hypercall(17, [0; 5]);
    world.hypercall(17, [99, 0, 0, 0, 0]);
    let at = ARGS + 0x400;
    let ask = |op, nr_counters, desc| PerfcControl {
        op,
        nr_counters,
        desc: GuestVirt::new(desc),
    };
    assert_eq!(op(&mut world, &ask(PerfcOp::QUERY, 0, 0)).nr_counters, 2);
    op(&mut world, &ask(PerfcOp::QUERY, 2, at));
    let [made, refusals]: [PerfcDesc; 2] = [world.read(at), world.read(at + 340)];
    assert_eq!(
        (&made.name[..15], &refusals.name[..18]),
        (&b"hypercalls made"[..], &b"hypercalls refused"[..])
    );
    assert_eq!((made.nr_vals, made.vals[17], refusals.vals[17]), (23, 2, 1));
    refused(&mut world, &ask(PerfcOp::QUERY, 1, at), Errno::Inval);
    refused(&mut world, &ask(PerfcOp::new(3), 2, at), Errno::Inval);
    refused(&mut world, &ask(PerfcOp::QUERY, 2, 0xFC00_0000 - 8), Errno::Fault);
    op(&mut world, &ask(PerfcOp::RESET, 0, 0));
    assert_eq!(world.hv.calls.made[17], 0);
}
