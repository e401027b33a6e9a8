//! Functions and their lines.
//!
//! A line is shared by whatever devices firmware has put on it, so a domain that never says that it has served its device would hold back the
//! devices of others. A function that was given away is therefore silenced at the device itself: by its command register, while its holder
//! serves an interrupt of its, and as long as he has not bound the line. Who never answers has a silent device, and the line goes on.
//! One that cannot be silenced (before PCI 2.3) does not share its line with anybody else's.

use super::held::line_of;
use crate::{
    hypervisor::Hypervisor,
    pci::{Function, functions},
    platform::{PciConfig, Platform},
};

/// Functions on `line` that the domain in `slot` does not hold.
pub(crate) fn others_on_line<'a, P: PciConfig>(
    hv: &'a Hypervisor,
    platform: &'a P,
    slot: usize,
    line: u32,
) -> impl Iterator<Item = Function> + 'a {
    on_line(hv, platform, line).filter(move |&function| hv.given.holder(function) != Some(slot))
}

/// Whether the owner of the devices has a function on `line`.
pub(crate) fn owner_is_on_line<P: PciConfig>(hv: &Hypervisor, platform: &P, line: u32) -> bool {
    on_line(hv, platform, line).any(|function| hv.given.holder(function).is_none())
}

fn on_line<'a, P: PciConfig>(
    hv: &'a Hypervisor,
    platform: &'a P,
    line: u32,
) -> impl Iterator<Item = Function> + 'a {
    let has_it = move |&function: &Function| line_of(platform, function).map(u32::from) == Some(line);
    functions(platform, &hv.pci_buses).filter(has_it)
}

/// Whether all that the domain in `slot` has on `line` are functions that can be silenced, and there is one.
#[must_use]
pub fn can_be_muted(hv: &Hypervisor, slot: usize, line: u8) -> bool {
    let Some(domain) = hv.domain_in(slot) else {
        return false;
    };
    let mut held = domain
        .io
        .functions
        .iter()
        .filter(|held| held.has_line(line.into()))
        .peekable();
    held.peek().is_some() && held.all(|held| held.can_be_muted)
}

/// Silences the functions of the domain in `slot` that ask by `line`, and says whether there are any. `None`: it has others there
/// as well, which cannot be.
pub(crate) fn mute_asking<P: Platform>(
    hv: &mut Hypervisor,
    platform: &P,
    slot: usize,
    line: u8,
) -> Option<bool> {
    if !can_be_muted(hv, slot, line) {
        return None;
    }
    let functions = &mut hv.domain_at(slot)?.io.functions;
    let mut is_any = false;
    for held in functions.iter_mut().filter(|held| held.has_line(line.into())) {
        if held.asks(platform) {
            is_any = true;
            held.mute(platform, true);
        }
    }
    Some(is_any)
}

/// Silences all functions of the domain in `slot` on `line`, or lets them ask.
pub(crate) fn mute<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize, line: u8, is_muted: bool) {
    let Some(domain) = hv.domain_at(slot) else { return };
    let functions = domain.io.functions.iter_mut();
    for held in functions.filter(|held| held.has_line(line.into())) {
        held.mute(platform, is_muted);
    }
}
