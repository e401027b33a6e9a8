//! Shares of the processor, as the tools and the scheduler speak of them; see [`weight`].

use guest_abi::domain::DomId;
use guest_abi::domctl::{AdjustDom, Direction, SchedId};

use crate::errno::{Errno, Result};
use crate::privileged::Privileged;
use crate::weight;

/// Sets a domain's share of the processor; its other parameters stay.
///
/// # Errors
/// EINVAL where the scheduler has no weights; ESRCH.
pub fn set_weight<P: Privileged>(privileged: &P, domain: DomId, weight: u32) -> Result<()> {
    let mut params = scheduling(privileged, domain)?;
    params.direction = Direction::PUT;
    params.mcu_advance = weight::to_advance(weight);
    privileged.control(&params).map(drop)
}

/// Gives Domain0 its share in the tools' scale, unless somebody said what it is to have; see [`weight`].
///
/// # Errors
/// What the hypervisor answers; a scheduler without weights is none.
pub fn scale_domain0<P: Privileged>(privileged: &P) -> Result<()> {
    match scheduling(privileged, DomId::DOM0) {
        Ok(params) if params.mcu_advance == weight::UNSAID_ADVANCE => {
            set_weight(privileged, DomId::DOM0, weight::ORDINARY)
        }
        Ok(_) | Err(Errno::EINVAL) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A domain's scheduling parameters.
///
/// # Errors
/// EINVAL where the scheduler has none; ESRCH.
pub fn scheduling<P: Privileged>(privileged: &P, domain: DomId) -> Result<AdjustDom> {
    privileged.control(&AdjustDom {
        sched_id: SchedId::BVT,
        direction: Direction::GET,
        domain,
        ..AdjustDom::default()
    })
}
