//! Interrupt lines: who may bind which.
//!
//! A line that no PCI function has is one domain's. One that functions have goes with them, and is shared if they go to different
//! domains; the owner of the devices keeps it as long as it has such a function itself.

use super::{LINES, is_given, owner_slot};
use crate::{error::HvError, event, hypervisor::Hypervisor, pci::assign, platform::Platform};

/// Gives the domain in `slot` interrupt line `line`, or takes it, and with it the port that is bound to it.
///
/// # Errors
/// [`HvError::Invalid`] for a line that does not exist or is the hypervisor's; [`HvError::Busy`] for one that another domain has, or
/// that belongs to a PCI function which this one does not hold.
pub fn allow_line<P: Platform>(
    hv: &mut Hypervisor,
    platform: &P,
    slot: usize,
    line: u32,
    is_allowed: bool,
) -> Result<(), HvError> {
    if line >= LINES || hv.lines.is_own(line as u8) {
        return Err(HvError::Invalid);
    }
    let is_given = hv.domain_in(slot).is_some_and(is_given);
    if is_allowed {
        let of_another = has_line(hv, line).any(|other| other != slot);
        let of_function = is_given && assign::others_on_line(hv, platform, slot, line).next().is_some();
        if of_another && (is_given || !assign::owner_is_on_line(hv, platform, line)) || of_function {
            return Err(HvError::Busy);
        }
    }
    let domain = hv.domain_at(slot).ok_or(HvError::NoSuchDomain)?;
    if is_allowed {
        domain.io.lines |= 1 << line;
    } else {
        domain.io.lines &= !(1 << line);
        if !domain.io.may_bind(line) {
            event::close_line(hv, platform, slot, line as u8);
        }
    }
    if is_given {
        settle_line(hv, platform, line);
    }
    Ok(())
}

/// The slots of living domains that were given `line`.
pub(crate) fn has_line(hv: &Hypervisor, line: u32) -> impl Iterator<Item = usize> + '_ {
    let domains = hv.domains.iter().enumerate();
    domains.filter_map(move |(slot, domain)| {
        let domain = domain.as_deref()?;
        (is_given(domain) && domain.io.may_bind(line)).then_some(slot)
    })
}

/// Takes `line` from the owner of the devices, who has given it away, or gives it back.
pub(crate) fn settle_line<P: Platform>(hv: &mut Hypervisor, platform: &P, line: u32) {
    let Some(owner) = owner_slot(hv) else { return };
    let keeps = has_line(hv, line).next().is_none() || assign::owner_is_on_line(hv, platform, line);
    let Some(domain) = hv.domain_at(owner) else { return };
    if keeps {
        domain.io.lines |= 1 << line;
    } else {
        domain.io.lines &= !(1 << line);
        event::close_line(hv, platform, owner, line as u8);
    }
}
