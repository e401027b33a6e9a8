//! SCHED_ID, SCHEDCTL and ADJUSTDOM: which policy runs, its parameter, and a domain's.
//!
//! Unlike Xen 2.0's, a refusal by the policy is told, and all times are in ns.
//!
//! Source: Xen 2.0 interface: DOM0_SCHED_ID, DOM0_SCHEDCTL, DOM0_ADJUSTDOM.

use super::{Answer, Command};
use crate::{
    domain::DomId,
    error::HvError,
    platform::Platform,
    sched::{control, policy::ChosenPolicy, share::BvtParams},
};
use guest_abi::domctl::{AdjustDom, Direction, GetSchedId, SchedCtl, SchedId};

const fn id_of(policy: &ChosenPolicy) -> SchedId {
    match policy {
        ChosenPolicy::Bvt(_) => SchedId::BVT,
        ChosenPolicy::RoundRobin(_) => SchedId::RROBIN,
    }
}

impl<P: Platform> Command<'_, '_, P> {
    /// SCHED_ID.
    pub(super) fn sched_id(&mut self) -> Result<Answer, HvError> {
        let sched_id = id_of(&self.cx.hv.sched.policy);
        self.op.set_args(&GetSchedId { sched_id });
        Ok(Answer::Results)
    }

    /// SCHEDCTL.
    ///
    /// # Errors
    /// [`HvError::Invalid`] for a policy that does not run, an unknown direction, or a time out of bounds.
    pub(super) fn sched_ctl(&mut self) -> Result<Answer, HvError> {
        let mut args: SchedCtl = self.op.args();
        let policy = &mut self.cx.hv.sched.policy;
        if args.sched_id != id_of(policy) {
            return Err(HvError::Invalid);
        }
        match args.direction {
            Direction::PUT => control::set_slice_ns(policy, args.slice_ns)?,
            Direction::GET => args.slice_ns = control::slice_ns(policy),
            _ => return Err(HvError::Invalid),
        }
        self.op.set_args(&args);
        Ok(Answer::Results)
    }

    /// ADJUSTDOM.
    ///
    /// # Errors
    /// [`HvError::Invalid`] for a policy that does not run or has no parameters of domains, an unknown direction, a
    /// pad that is not 0, or a value out of bounds; [`HvError::NoSuchDomain`].
    pub(super) fn adjust_domain(&mut self) -> Result<Answer, HvError> {
        let mut args: AdjustDom = self.op.args();
        let running = id_of(&self.cx.hv.sched.policy);
        if args.sched_id != SchedId::BVT || running != SchedId::BVT || args.pad != 0 {
            return Err(HvError::Invalid);
        }
        let wanted = match args.direction {
            Direction::PUT => Some(params(&args)?),
            Direction::GET => None,
            _ => return Err(HvError::Invalid),
        };
        let slot = match DomId(args.domain.raw()) {
            DomId::SELF => self.cx.hv.current,
            _ => self.slot(args.domain)?,
        };
        if let Some(wanted) = wanted {
            control::set_params(self.cx.hv, self.cx.platform, slot, wanted)?;
            return Ok(Answer::Done);
        }
        let domain = self.cx.hv.domain_at(slot).ok_or(HvError::NoSuchDomain)?;
        let BvtParams {
            mcu_advance,
            may_warp,
            warp_value,
            warp_limit_ns,
            unwarp_ns,
        } = domain.run.share.params;
        args.mcu_advance = mcu_advance;
        args.warpback = may_warp.into();
        args.warpvalue = warp_value as i32;
        args.warpl_ns = warp_limit_ns;
        args.warpu_ns = unwarp_ns;
        self.op.set_args(&args);
        Ok(Answer::Results)
    }
}

fn params(args: &AdjustDom) -> Result<BvtParams, HvError> {
    if args.mcu_advance == 0 || args.warpback > 1 {
        return Err(HvError::Invalid);
    }
    Ok(BvtParams {
        mcu_advance: args.mcu_advance,
        may_warp: args.warpback == 1,
        warp_value: args.warpvalue.try_into().map_err(|_| HvError::Invalid)?,
        warp_limit_ns: args.warpl_ns,
        unwarp_ns: args.warpu_ns,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hypercall::dom0::tests::{op, refused},
        testing::World,
    };
    use guest_abi::{domain::DomId as WireId, errno::Errno};

    fn round_robin() -> World {
        let mut world = World::running();
        world.hv.sched.policy = ChosenPolicy::by_name("rrobin").expect("a policy");
        world
    }

    const GET: AdjustDom = AdjustDom {
        sched_id: SchedId::BVT,
        direction: Direction::GET,
        domain: WireId::new(0),
        pad: 0,
        mcu_advance: 0,
        warpback: 0,
        warpvalue: 0,
        warpl_ns: 0,
        warpu_ns: 0,
    };

    const PUT: AdjustDom = AdjustDom {
        direction: Direction::PUT,
        mcu_advance: 40,
        warpback: 1,
        warpvalue: 1_000,
        warpl_ns: 5_000_000,
        warpu_ns: 7_000_000,
        ..GET
    };

    #[test]
    fn the_policy_that_was_chosen_is_told() {
        assert_eq!(
            op(&mut World::running(), &GetSchedId::default()).sched_id,
            SchedId::BVT
        );
        assert_eq!(
            op(&mut round_robin(), &GetSchedId::default()).sched_id,
            SchedId::RROBIN
        );
    }

    #[test]
    fn the_policys_parameter_is_set_and_read() {
        for (mut world, sched_id, other, default) in [
            (World::running(), SchedId::BVT, SchedId::RROBIN, 5_000_000),
            (round_robin(), SchedId::RROBIN, SchedId::BVT, 10_000_000),
        ] {
            let ctl = |sched_id, direction, slice_ns| SchedCtl {
                sched_id,
                direction,
                slice_ns,
            };
            let get = ctl(sched_id, Direction::GET, 0);
            assert_eq!(op(&mut world, &get).slice_ns, default);
            op(&mut world, &ctl(sched_id, Direction::PUT, 3_000_000));
            assert_eq!(op(&mut world, &get).slice_ns, 3_000_000);
            for wrong in [
                ctl(other, Direction::GET, 0),
                ctl(SchedId::new(2), Direction::GET, 0),
                ctl(sched_id, Direction::new(2), 3_000_000),
                ctl(sched_id, Direction::PUT, 99_999),
                ctl(sched_id, Direction::PUT, 1_000_000_001),
                ctl(sched_id, Direction::PUT, u64::MAX),
            ] {
                refused(&mut world, &wrong, Errno::Inval);
            }
        }
    }

    #[test]
    fn a_domains_parameters_are_set_and_read() {
        let mut world = World::running();
        world.add_domain(DomId(5), false);
        let five = WireId::new(5);
        let fresh = op(&mut world, &AdjustDom { domain: five, ..GET });
        assert_eq!((fresh.mcu_advance, fresh.warpback, fresh.warpvalue), (10, 0, 0));
        assert_eq!((fresh.warpl_ns, fresh.warpu_ns), (2_000_000_000, 1_000_000_000));
        op(&mut world, &AdjustDom { domain: five, ..PUT });
        let read = op(&mut world, &AdjustDom { domain: five, ..GET });
        assert_eq!(
            read,
            AdjustDom {
                direction: Direction::GET,
                domain: five,
                ..PUT
            }
        );
        let own = op(
            &mut world,
            &AdjustDom {
                domain: WireId::new(DomId::SELF.0),
                ..GET
            },
        );
        assert_eq!(own.mcu_advance, 10, "one's own are others");
    }

    #[test]
    fn what_the_policy_refuses_is_told_and_changes_nothing() {
        let mut world = World::running();
        for wrong in [
            AdjustDom {
                mcu_advance: 0,
                ..PUT
            },
            AdjustDom { warpback: 2, ..PUT },
            AdjustDom { warpvalue: -1, ..PUT },
            AdjustDom { pad: 1, ..PUT },
            AdjustDom {
                direction: Direction::new(2),
                ..PUT
            },
            AdjustDom {
                sched_id: SchedId::RROBIN,
                ..PUT
            },
            AdjustDom {
                sched_id: SchedId::new(2),
                ..GET
            },
        ] {
            refused(&mut world, &wrong, Errno::Inval);
        }
        let nobody = WireId::new(77);
        refused(
            &mut world,
            &AdjustDom {
                domain: nobody,
                ..PUT
            },
            Errno::Srch,
        );
        refused(
            &mut world,
            &AdjustDom {
                domain: nobody,
                ..GET
            },
            Errno::Srch,
        );
        refused(&mut round_robin(), &PUT, Errno::Inval);
        refused(
            &mut round_robin(),
            &AdjustDom {
                sched_id: SchedId::RROBIN,
                ..GET
            },
            Errno::Inval,
        );
    }
}
