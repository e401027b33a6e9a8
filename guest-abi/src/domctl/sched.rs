//! Scheduling: which policy, its parameters, a domain's parameters.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::domain::DomId;

open_number! {
    /// A scheduling policy (`SCHED_*`). Xen 2.0's Atropos (2) is not built.
    SchedId: u32 {
        /// Borrowed virtual time.
        BVT = 0, "bvt";
        /// Round robin.
        RROBIN = 3, "rrobin";
    }
}

open_number! {
    /// Whether parameters are set or read (`SCHED_INFO_*`).
    Direction: u32 {
        /// Set them.
        PUT = 0, "put";
        /// Read them.
        GET = 1, "get";
    }
}

/// `schedctl`: the policy's own parameter. −EINVAL (not the policy that runs, or a value it refuses).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SchedCtl {
    /// The policy.
    pub sched_id: SchedId,
    /// Set or read.
    pub direction: Direction,
    /// *In or out*: the context-switch allowance (BVT) or the slice (round robin), in ns.
    pub slice_ns: u64,
}

layout!(SchedCtl, size 16, sched_id @ 0, direction @ 4, slice_ns @ 8);

/// `adjustdom`: a domain's parameters under BVT. −EINVAL (not the policy that runs, or a value it refuses;
/// round robin has none), −ESRCH.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AdjustDom {
    /// The policy: [`SchedId::BVT`].
    pub sched_id: SchedId,
    /// Set or read.
    pub direction: Direction,
    /// Which domain.
    pub domain: DomId,
    /// Must be 0.
    pub pad: u16,
    /// *In or out*: virtual time added per 100 µs run: the inverse of the weight; not 0.
    pub mcu_advance: u32,
    /// *In or out*: 1 if the domain may warp, else 0.
    pub warpback: u32,
    /// *In or out*: virtual time taken off while it warps.
    pub warpvalue: i32,
    /// *In or out*: longest time to warp, in ns; 0 for no limit.
    pub warpl_ns: u64,
    /// *In or out*: shortest time between two warps, in ns.
    pub warpu_ns: u64,
}

layout!(
    AdjustDom, size 40,
    sched_id @ 0, direction @ 4, domain @ 8, mcu_advance @ 12, warpback @ 16, warpvalue @ 20, warpl_ns @ 24,
    warpu_ns @ 32,
);

/// `sched_id`: which policy runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct GetSchedId {
    /// *Out*.
    pub sched_id: SchedId,
}

layout!(GetSchedId, size 4, sched_id @ 0);

/// `pincpudomain`: moves a domain to a processor. −ESRCH, −EINVAL (oneself).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PinCpuDomain {
    /// Which domain.
    pub domain: DomId,
    /// Must be 0.
    pub pad: u16,
    /// The processor (modulo how many there are), or [`CPU_ANY`](super::CPU_ANY) to unpin.
    pub cpu: i32,
}

layout!(PinCpuDomain, size 8, domain @ 0, cpu @ 4);
