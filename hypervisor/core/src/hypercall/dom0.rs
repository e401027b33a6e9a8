//! Call 7: control of domains and of the machine, for privileged domains.
//!
//! Here are the commands about the hypervisor itself: clock, policy, counters, and what a domain is like. Those
//! that make, change and end domains come with them; until then they are −ENOSYS like the numbers that mean nothing.
//!
//! Source: Xen 2.0 interface: do_dom0_op, with the layouts of its own interface version.

use super::{Args, CallCounters, CallResult};
use crate::{
    context::Context,
    domain::Domain,
    error::HvError,
    guest_mem::{GuestPtr, GuestSlice},
    hypervisor::Hypervisor,
    outcome::Outcome,
    platform::Platform,
    sched::Held,
    time,
};
use guest_abi::{
    domain::DomId as WireId,
    domctl::{
        DOM0_INTERFACE_VERSION, Dom0Cmd, Dom0Op, DomainFlags, GetDomainInfo, GetSchedId, PERFC_VALUES,
        PerfcControl, PerfcDesc, PerfcOp, Personality, SchedId, SetTime,
    },
    sched::ShutdownReason,
};

/// Call 7, `dom0_op(block)`. The block is written back where the command has results and succeeds.
///
/// # Errors
/// In this order: [`HvError::Denied`] to unprivileged callers, [`HvError::Fault`], [`HvError::Version`],
/// [`HvError::NotImplemented`], then the command's own.
pub fn dom0_op<P: Platform>(cx: &mut Context<'_, P>, [block, ..]: Args) -> CallResult {
    if !cx.current_domain().is_privileged {
        return Err(HvError::Denied);
    }
    let block: GuestPtr<Dom0Op> = GuestPtr::new(block)?;
    let mut op = block.read(cx.platform)?;
    if op.interface_version != DOM0_INTERFACE_VERSION {
        return Err(HvError::Version);
    }
    match op.cmd {
        Dom0Cmd::SETTIME => {
            set_time(cx, op.args())?;
            return Ok(Outcome::Return(0));
        }
        Dom0Cmd::SCHED_ID => op.set_args(&GetSchedId {
            sched_id: SchedId::RROBIN,
        }),
        Dom0Cmd::GETDOMAININFO => op.set_args(&domain_info(cx.hv, op.args())?),
        Dom0Cmd::PERFCCONTROL => op.set_args(&counters(cx, op.args())?),
        _ => return Err(HvError::NotImplemented),
    }
    block.write(cx.platform, &op)?;
    Ok(Outcome::Return(0))
}

/// SETTIME.
fn set_time<P: Platform>(cx: &mut Context<'_, P>, args: SetTime) -> Result<(), HvError> {
    if args.usecs >= 1_000_000 {
        return Err(HvError::Invalid);
    }
    cx.hv.time.set_wall_clock(args.secs, args.usecs, args.system_time);
    let slot = cx.hv.current;
    time::announce(cx.hv, cx.platform, slot);
    Ok(())
}

/// GETDOMAININFO, of the first domain with this number or a higher one. The context of a domain is given by those
/// commands that also set it.
fn domain_info(hv: &Hypervisor, args: GetDomainInfo) -> Result<GetDomainInfo, HvError> {
    let first = args.domain.raw();
    let found = hv
        .domains
        .iter()
        .enumerate()
        .filter_map(|(slot, domain)| Some((slot, domain.as_deref()?)));
    let (slot, domain) = found
        .filter(|(_, domain)| domain.id.0 >= first)
        .min_by_key(|(_, domain)| domain.id.0)
        .ok_or(HvError::NoSuchDomain)?;
    if args.ctxt.raw() != 0 {
        return Err(HvError::NotImplemented);
    }
    Ok(GetDomainInfo {
        domain: WireId::new(domain.id.0),
        personality: Personality::V2,
        flags: flags(domain, slot == hv.current),
        ctxt: args.ctxt,
        tot_pages: domain.total_pages,
        max_pages: domain.max_pages,
        shared_info_frame: domain.shared_info,
        cpu_time: domain.run.cpu_time_ns,
    })
}

fn flags(domain: &Domain, is_running: bool) -> DomainFlags {
    let mut flags = DomainFlags::empty();
    for (held, flag) in [
        (Held::DYING, DomainFlags::DYING),
        (Held::CRASHED, DomainFlags::CRASHED),
        (Held::SHUTDOWN, DomainFlags::SHUTDOWN),
        (Held::PAUSED, DomainFlags::PAUSED),
        (Held::BLOCKED, DomainFlags::BLOCKED),
    ] {
        flags.set(flag, domain.run.held.contains(held));
    }
    flags.set(DomainFlags::RUNNING, is_running);
    flags.with(0, ShutdownReason::new(domain.run.shutdown_reason))
}

/// PERFCCONTROL: the counters of calls, as two arrays by call number. Their low 32 bits.
fn counters<P: Platform>(cx: &mut Context<'_, P>, mut args: PerfcControl) -> Result<PerfcControl, HvError> {
    let tables = [
        ("hypercalls made", &cx.hv.calls.made),
        ("hypercalls refused", &cx.hv.calls.refused),
    ];
    let fits = args.nr_counters;
    args.nr_counters = tables.len() as u32;
    match args.op {
        PerfcOp::RESET => {
            cx.hv.calls = CallCounters::new();
            return Ok(args);
        }
        PerfcOp::QUERY if args.desc.raw() == 0 => return Ok(args),
        PerfcOp::QUERY if fits < args.nr_counters => return Err(HvError::Invalid),
        PerfcOp::QUERY => {}
        _ => return Err(HvError::Invalid),
    }
    let out = GuestSlice::<PerfcDesc>::new(args.desc.raw(), args.nr_counters)?;
    for (index, (name, values)) in (0..).zip(tables) {
        let mut description = PerfcDesc {
            nr_vals: values.len() as u32,
            ..PerfcDesc::default()
        };
        description.name[..name.len()].copy_from_slice(name.as_bytes());
        for (slot, value) in description.vals.iter_mut().zip(values) {
            *slot = *value as u32;
        }
        if let Some(slot) = out.get(index) {
            slot.write(cx.platform, &description)?;
        }
    }
    Ok(args)
}

const _: () = assert!(
    guest_abi::hypercall::CallNumber::COUNT <= PERFC_VALUES,
    "a value per call"
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::DomId,
        mock::{ARGS, SHARED, World},
    };
    use guest_abi::{
        addr::{GuestVirt, Mfn},
        domctl::{Dom0Args, PauseDomain},
        errno::Errno,
        shared_info::offset,
    };

    #[track_caller]
    fn op<A: Dom0Args>(world: &mut World, args: &A) -> A {
        world.write(ARGS, &Dom0Op::new(args));
        assert_eq!(world.call(7, [ARGS, 0, 0, 0, 0]), 0);
        world.read::<Dom0Op>(ARGS).args()
    }

    #[track_caller]
    fn refused<A: Dom0Args>(world: &mut World, args: &A, error: Errno) {
        world.write(ARGS, &Dom0Op::new(args));
        world.refused(7, [ARGS, 0, 0, 0, 0], error);
    }

    #[test]
    fn checks_come_in_their_order() {
        let mut world = World::new();
        world.domain(0).is_privileged = false;
        world.refused(7, [0; 5], Errno::Perm);
        world.domain(0).is_privileged = true;
        world.refused(7, [0; 5], Errno::Fault);
        let mut block = Dom0Op::new(&PauseDomain::default());
        block.interface_version = 0xAAAA_001A;
        world.write(ARGS, &block);
        world.refused(7, [ARGS, 0, 0, 0, 0], Errno::Access);
        refused(&mut world, &PauseDomain::default(), Errno::NoSys);
        for cmd in [0, 1, 14, 16, 25, 26, 35, 40, u32::MAX] {
            block = Dom0Op::new(&PauseDomain::default());
            block.cmd = Dom0Cmd::new(cmd);
            world.write(ARGS, &block);
            world.refused(7, [ARGS, 0, 0, 0, 0], Errno::NoSys);
        }
    }

    #[test]
    fn the_policy_is_round_robin() {
        assert_eq!(
            op(&mut World::new(), &GetSchedId::default()).sched_id,
            SchedId::RROBIN
        );
    }

    #[test]
    fn the_wall_clock_is_set_and_announced() {
        let mut world = World::new();
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
        let mut world = World::new();
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
        assert_eq!(info.shared_info_frame, SHARED);
        let info = op(&mut world, &ask(1));
        assert_eq!(
            (info.domain.raw(), info.shared_info_frame),
            (5, Mfn::new(SHARED.raw() + 2))
        );
        assert_eq!(info.flags, DomainFlags::SHUTDOWN.with(0, ShutdownReason::SUSPEND));
        assert_eq!(op(&mut world, &ask(6)).domain.raw(), 9);
        refused(&mut world, &ask(10), Errno::Srch);
        refused(
            &mut world,
            &GetDomainInfo {
                ctxt: GuestVirt::new(ARGS),
                ..ask(0)
            },
            Errno::NoSys,
        );
    }

    #[test]
    fn counters_of_calls_can_be_read_and_reset() {
        let mut world = World::new();
        world.call(17, [0; 5]);
        world.call(17, [99, 0, 0, 0, 0]);
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
}
