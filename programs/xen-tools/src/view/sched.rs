//! `sched`: the policy and each domain's parameters.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use guest_abi::domctl::AdjustDom;
use serde::Serialize;

use super::Domain;
use crate::weight;

/// The scheduler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// Its name: `bvt`, `rrobin`.
    pub scheduler: String,
    /// Its own parameter: how long a domain may run before another with less virtual time gets the processor.
    pub slice_ns: Option<u64>,
    /// The domains.
    pub domains: Vec<SchedRow>,
}

/// A domain's parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SchedRow {
    /// Its name.
    pub name: Option<String>,
    /// Its number.
    pub id: u16,
    /// Its share.
    pub weight: u32,
    /// What the scheduler makes of that.
    pub mcu_advance: u32,
    /// It may warp.
    pub warp: bool,
    /// How much earlier it counts while it warps, in µs of an ordinary domain's time.
    pub warp_us: u64,
    /// Longest time to warp, 0 for no limit.
    pub warp_limit_ns: u64,
    /// Shortest time between two warps.
    pub unwarp_ns: u64,
}

impl SchedRow {
    /// What the hypervisor says of a domain.
    pub fn new(domain: &Domain, params: &AdjustDom) -> Self {
        Self {
            name: domain.name.clone(),
            id: domain.id,
            weight: weight::from_advance(params.mcu_advance),
            mcu_advance: params.mcu_advance,
            warp: params.warpback != 0,
            warp_us: weight::from_warp(params.warpvalue),
            warp_limit_ns: params.warpl_ns,
            unwarp_ns: params.warpu_ns,
        }
    }
}

/// The listing.
pub fn sched(policy: &Policy) -> String {
    let mut text = format!("Scheduler: {}", policy.scheduler);
    if let Some(slice) = policy.slice_ns {
        text += &format!(", slice {} us", slice / 1000);
    }
    text.push('\n');
    if policy.domains.is_empty() {
        return text;
    }
    text += &format!(
        "{:<33} {:>4} {:>6} {:>4} {:>9} {:>11} {:>12}\n",
        "Name", "ID", "Weight", "Warp", "By(us)", "For(us)", "Pause(us)"
    );
    for row in &policy.domains {
        text += &format!(
            "{:<33} {:>4} {:>6} {:>4} {:>9} {:>11} {:>12}\n",
            row.name.as_deref().unwrap_or("(null)"),
            row.id,
            row.weight,
            if row.warp { "on" } else { "off" },
            row.warp_us,
            row.warp_limit_ns / 1000,
            row.unwarp_ns / 1000,
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_the_policy_and_one_for_each_domain() {
        let mut policy = Policy {
            scheduler: "rrobin".into(),
            slice_ns: Some(10_000_000),
            domains: Vec::new(),
        };
        assert_eq!(sched(&policy), "Scheduler: rrobin, slice 10000 us\n");
        policy.scheduler = "bvt".into();
        policy.slice_ns = None;
        policy.domains.push(SchedRow {
            name: Some("web".into()),
            id: 3,
            weight: 512,
            mcu_advance: 5,
            warp: true,
            warp_us: 5000,
            warp_limit_ns: 2_000_000,
            unwarp_ns: 50_000_000,
        });
        let expected = "Scheduler: bvt\n\
             Name                                ID Weight Warp    By(us)     For(us)    Pause(us)\n\
             web                                  3    512   on      5000        2000        50000\n";
        assert_eq!(sched(&policy), expected);
    }
}
