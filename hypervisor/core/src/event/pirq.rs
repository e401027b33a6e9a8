//! Physical interrupts: lines of the interrupt controller, and the domains that serve them.
//!
//! The hypervisor knows no device of a domain's. When a line asks, the controller is told to hold it back, and every
//! domain that has bound the line gets an event; the line stays held back until all of them have said that they are
//! done. So a device whose domain does not answer, or that asks all the time, costs one interrupt.
//!
//! ```text
//!   bind_pirq ──► open ───── interrupt: an event to each sharer ────► in service (held back)
//!                  ▲                                                      │
//!                  └── every sharer: port unmasked, then IRQ_UNMASK_NOTIFY, or port closed
//! ```
//!
//! That is the same for level- and edge-triggered lines: an 8259 remembers an edge of a line that is held back.
//!
//! * A domain binds those lines only that it was given, and none that the hypervisor uses itself.
//! * A line has several owners if each of them agreed to share it; the first one decides.
//! * A line does not wait for a domain whose devices on it can be silenced themselves ([`assign`]): they are, while it serves them.
//! * A line that nobody has bound is held back. One that asks nevertheless is held back again and asks no more.
//!
//! Source: Xen 2.0 interface, bind_pirq and physical interrupts.

use super::{Port, close_of, set_pending, table::make_room};
use crate::{
    error::HvError, hypervisor::Hypervisor, pci::assign, platform::Platform, shared_info::SharedInfo,
};
use arrayvec::ArrayVec;

/// Lines there are: those of two 8259s.
pub const LINES: usize = 16;
/// Most domains that share a line.
pub const MAX_SHARERS: usize = 7;
/// Lines that are no device's for a domain: the interval timer, and the second controller's way into the first.
const NEVER_GIVEN: u16 = 1 << 0 | 1 << 2;

/// A domain that serves a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sharer {
    slot: u16,
    port: u16,
    /// It has been told of an interrupt and has not said yet that it is done.
    is_serving: bool,
    /// The same, but its devices are silenced, so that the line does not wait for it.
    is_silenced: bool,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    sharers: ArrayVec<Sharer, MAX_SHARERS>,
    /// Whether the first sharer agreed to others.
    is_shared: bool,
}

impl Line {
    fn sharer(&mut self, slot: usize) -> Option<&mut Sharer> {
        self.sharers
            .iter_mut()
            .find(|sharer| usize::from(sharer.slot) == slot)
    }

    fn is_in_service(&self) -> bool {
        self.sharers.iter().any(|sharer| sharer.is_serving)
    }
}

/// All lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    lines: [Line; LINES],
    /// Those that the hypervisor uses, or nobody can have, a bit each.
    own: u16,
}

impl Lines {
    /// Nobody has bound any.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            lines: [const {
                Line {
                    sharers: ArrayVec::new_const(),
                    is_shared: false,
                }
            }; LINES],
            own: NEVER_GIVEN,
        }
    }

    /// Keeps `line` for the hypervisor. Boot only.
    pub const fn reserve(&mut self, line: u8) {
        self.own |= 1 << (line as usize % LINES);
    }

    /// Whether `line` is the hypervisor's, or nobody's for good.
    #[must_use]
    pub const fn is_own(&self, line: u8) -> bool {
        line as usize >= LINES || self.own >> line & 1 != 0
    }

    /// The slots that have bound `line`, and whether each has an interrupt to serve.
    pub fn sharers(&self, line: u8) -> impl Iterator<Item = (usize, bool)> + '_ {
        let line = self.lines.get(usize::from(line));
        line.into_iter()
            .flat_map(|line| &line.sharers)
            .map(|sharer| (usize::from(sharer.slot), sharer.is_serving || sharer.is_silenced))
    }
}

impl Default for Lines {
    fn default() -> Self {
        Self::new()
    }
}

/// Binds line `number` in the current domain, which `agrees_to_share` it or not; one that it has bound already answers
/// with its port.
///
/// # Errors
/// [`HvError::Denied`] for a line that it was not given; [`HvError::Busy`] for one of the hypervisor's, one that cannot
/// be shared, and one with [`MAX_SHARERS`] already; [`HvError::NoSpace`]; [`HvError::NoMemory`].
pub fn bind_pirq<P: Platform>(
    hv: &mut Hypervisor,
    platform: &P,
    number: u32,
    agrees_to_share: bool,
) -> Result<u32, HvError> {
    let slot = hv.current;
    let index = number as usize;
    if let Some(sharer) = hv.lines.lines.get_mut(index).and_then(|line| line.sharer(slot)) {
        return Ok(u32::from(sharer.port));
    }
    let domain = hv.domain_at(slot).ok_or(HvError::NoSuchDomain)?;
    if !domain.io.may_bind(number) {
        return Err(HvError::Denied);
    }
    let port = domain.events.find_free(platform, 0)?;
    // Who cannot hold the line has no say in who else has it.
    let is_mutable = assign::can_be_muted(hv, slot, number as u8);
    let agrees_to_share = agrees_to_share || is_mutable;
    let line = &hv.lines.lines[index];
    let is_first = line.sharers.is_empty();
    let is_alone = !line.is_shared || !agrees_to_share;
    if hv.lines.is_own(number as u8) || line.sharers.is_full() || (!is_first && is_alone) {
        return Err(HvError::Busy);
    }
    make_room(hv, platform, slot, port)?;
    hv.running_mut()
        .events
        .set(platform, port, Port::Pirq(number as u8));
    let line = &mut hv.lines.lines[index];
    line.sharers.push(Sharer {
        slot: slot as u16,
        port: port as u16,
        is_serving: false,
        is_silenced: false,
    });
    if is_first {
        line.is_shared = agrees_to_share;
        platform.unmask_line(number as u8);
    }
    assign::mute(hv, platform, slot, number as u8, false);
    Ok(port as u32)
}

/// The domain in `slot` no longer serves `line`; its port is about to be free. What it had to serve counts as served.
pub(super) fn unbind<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize, line: u8) {
    assign::mute(hv, platform, slot, line, true);
    let Some(state) = hv.lines.lines.get_mut(usize::from(line)) else {
        return;
    };
    let was_in_service = state.is_in_service();
    state.sharers.retain(|sharer| usize::from(sharer.slot) != slot);
    if state.sharers.is_empty() {
        platform.mask_line(line);
    } else if was_in_service && !state.is_in_service() {
        platform.unmask_line(line);
    }
}

/// The domain in `slot` loses its right to `line`, and with it the port that it may have bound to it.
pub fn close_line<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize, line: u8) {
    let state = hv.lines.lines.get_mut(usize::from(line));
    if let Some(port) = state.and_then(|line| line.sharer(slot)).map(|sharer| sharer.port) {
        close_of(hv, platform, slot, u32::from(port));
    }
}

/// `line`, which is not the hypervisor's, has asked, and the controller holds it back since: an event to each of its
/// owners. Says whether there are any; without one it stays held back.
pub fn raise_line<P: Platform>(hv: &mut Hypervisor, platform: &P, line: u8) -> bool {
    let Some(state) = hv.lines.lines.get(usize::from(line)) else {
        return false;
    };
    let mut sharers = state.sharers.clone();
    let (mut is_anybodys, mut waits) = (false, false);
    let mut told: ArrayVec<bool, MAX_SHARERS> = ArrayVec::new();
    for sharer in &mut sharers {
        let was_silenced = assign::mute_asking(hv, platform, sharer.slot.into(), line);
        sharer.is_serving |= was_silenced.is_none();
        sharer.is_silenced |= was_silenced == Some(true);
        is_anybodys |= was_silenced != Some(false);
        waits |= sharer.is_serving;
        told.push(was_silenced != Some(false));
    }
    if !is_anybodys {
        // No device of theirs says that it was it. All look, and the line waits for them.
        sharers.iter_mut().for_each(|sharer| sharer.is_serving = true);
        told.fill(true);
        waits = true;
    }
    for (sharer, _) in sharers.iter().zip(&told).filter(|(_, is_told)| **is_told) {
        set_pending(hv, platform, sharer.slot.into(), sharer.port.into());
    }
    let is_bound = !sharers.is_empty();
    if is_bound && !waits {
        platform.unmask_line(line);
    }
    hv.lines.lines[usize::from(line)].sharers = sharers;
    is_bound
}

/// The current domain is done with every line whose event it has taken and whose port it has unmasked. A line with which
/// all its owners are done asks again.
pub fn finish_lines<P: Platform>(hv: &mut Hypervisor, platform: &P) {
    let slot = hv.current;
    let mut heard = 0_u16;
    let Some(domain) = hv.domains.get(slot).and_then(Option::as_deref) else {
        return;
    };
    let shared = SharedInfo::of(platform, domain);
    for (number, line) in (0..).zip(&mut hv.lines.lines) {
        let is_due = |sharer: &&mut Sharer| sharer.is_serving || sharer.is_silenced;
        let Some(sharer) = line.sharer(slot).filter(is_due) else {
            continue;
        };
        if shared.is_masked(sharer.port.into()) {
            continue;
        }
        let was_serving = core::mem::take(&mut sharer.is_serving);
        heard |= u16::from(core::mem::take(&mut sharer.is_silenced)) << number;
        if was_serving && !line.is_in_service() {
            platform.unmask_line(number);
        }
    }
    for line in (0..LINES as u8).filter(|line| heard >> line & 1 != 0) {
        assign::mute(hv, platform, slot, line, false);
    }
}
