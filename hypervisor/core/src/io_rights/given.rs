//! What of the machine's devices is given away, by whoever has it: nobody else has it as well, the owner of the devices
//! included.
//!
//! Frames of devices are not counted like RAM. Before some are given, and before they are taken from who lives on, all page tables
//! are searched for entries that name them; while the search pauses nobody may make new ones (a [`Claim`]).

use super::{Ranges, RightHalt};
use crate::{
    error::HvError,
    hypervisor::Hypervisor,
    mm::{IoSearch, Mmu},
    pci::Function,
    platform::Platform,
};
use arrayvec::ArrayVec;

/// Ranges of frames that can be given away at once, in the whole machine.
pub const MAX_GIVEN_RANGES: usize = 64;
/// Functions that can be given away at once.
pub const MAX_GIVEN_FUNCTIONS: usize = 64;
/// 64-bit words of a bitmap of ports.
pub(super) const PORT_WORDS: usize = super::PORTS as usize / 64;

/// What is given away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    frames: ArrayVec<((u32, u32), u16), MAX_GIVEN_RANGES>,
    functions: ArrayVec<(Function, u16), MAX_GIVEN_FUNCTIONS>,
    claim: Option<Claim>,
    /// Ports that some domain other than the devices' owner has, a bit each.
    pub(super) ports: [u64; PORT_WORDS],
    /// Those of them that the owner could use before, and can again after.
    pub(super) lent: [u64; PORT_WORDS],
}

/// Frames that are about to change hands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Claim {
    slot: u16,
    /// They are taken from that domain, which may map them no more. Otherwise they are given to it, and nobody else may.
    is_taken: bool,
    ranges: Ranges,
    search: IoSearch,
}

/// Whether frame `n` is in a range.
pub(super) fn holds(&(start, end): &(u32, u32), n: u64) -> bool {
    (u64::from(start)..u64::from(end)).contains(&n)
}

impl Given {
    /// Nothing is.
    pub const NOTHING: Self = Self {
        frames: ArrayVec::new_const(),
        functions: ArrayVec::new_const(),
        claim: None,
        ports: [0; PORT_WORDS],
        lent: [0; PORT_WORDS],
    };

    /// Whether the domain in `slot` must do without frame `n` of a device because somebody else has it, or is about to.
    #[must_use]
    pub fn is_kept_from(&self, slot: usize, n: u64) -> bool {
        let is_claimed = |claim: &Claim| {
            claim.is_taken == (usize::from(claim.slot) == slot)
                && claim.ranges.iter().any(|range| holds(range, n))
        };
        self.is_elsewhere(slot, n) || self.claim.as_ref().is_some_and(is_claimed)
    }

    /// Whether another domain than that in `slot` was given frame `n`.
    #[must_use]
    pub fn is_elsewhere(&self, slot: usize, n: u64) -> bool {
        self.frames
            .iter()
            .any(|(range, holder)| usize::from(*holder) != slot && holds(range, n))
    }

    /// Whether any of these frames is somebody else's than the domain's in `slot`.
    pub(super) fn is_taken(&self, slot: usize, ranges: &[(u32, u32)]) -> bool {
        let meets = |a: &(u32, u32), b: &(u32, u32)| a.0 < b.1 && b.0 < a.1;
        self.frames.iter().any(|(range, holder)| {
            usize::from(*holder) != slot && ranges.iter().any(|other| meets(range, other))
        })
    }

    /// Whether the domain in `slot` could have `ranges` instead of what it has.
    pub(super) fn has_room(&self, slot: usize, ranges: &[(u32, u32)]) -> bool {
        let others = self
            .frames
            .iter()
            .filter(|(_, holder)| usize::from(*holder) != slot);
        others.count() + ranges.len() <= MAX_GIVEN_RANGES
    }

    /// Makes `ranges` what the domain in `slot` has.
    pub(super) fn set_frames(&mut self, slot: usize, ranges: &[(u32, u32)]) {
        self.frames.retain(|(_, holder)| usize::from(*holder) != slot);
        for range in ranges {
            // There is room: it was looked for.
            let _ = self.frames.try_push((*range, slot as u16));
        }
    }

    /// The slot of the domain that holds `function`.
    #[must_use]
    pub fn holder(&self, function: Function) -> Option<usize> {
        let held = self.functions.iter().find(|(given, _)| *given == function);
        held.map(|(_, slot)| usize::from(*slot))
    }

    /// Whether no more functions can be given.
    pub(crate) fn is_full(&self) -> bool {
        self.functions.is_full()
    }

    /// Notes that the domain in `slot` has `function`; `None`: that nobody has.
    pub(crate) fn note(&mut self, function: Function, slot: Option<usize>) {
        self.functions.retain(|(given, _)| *given != function);
        if let Some(slot) = slot {
            let at = self.functions.partition_point(|(given, _)| *given < function);
            let _ = self.functions.try_insert(at, (function, slot as u16));
        }
    }
}

/// Sees that nobody but the domain in `slot` maps any of the frames that it is about to get; or, if they are taken from it, that it
/// does not. Until the answer is there nobody makes new mappings of them.
///
/// # Errors
/// [`HvError::Busy`]: somebody does. Or a pause.
pub(crate) fn clear_of_mappings<P: Platform>(
    hv: &mut Hypervisor,
    platform: &P,
    slot: usize,
    ranges: &Ranges,
    is_taken: bool,
) -> Result<(), RightHalt> {
    // What was begun and is not this is given up.
    let begun = hv.given.claim.take();
    let Some(id) = hv.domain_in(slot).map(|domain| domain.id) else {
        return Err(HvError::NoSuchDomain.into());
    };
    if ranges.is_empty() {
        return Ok(());
    }
    let is_this = |claim: &Claim| {
        usize::from(claim.slot) == slot && claim.is_taken == is_taken && claim.ranges == *ranges
    };
    let mut claim = begun.filter(is_this).unwrap_or_else(|| Claim {
        slot: slot as u16,
        is_taken,
        ranges: ranges.clone(),
        search: IoSearch::START,
    });
    let mut mmu = Mmu::new(hv, platform);
    let looks_at = |owner| (owner == id) == is_taken;
    match mmu.find_io_mapping(&claim.ranges, looks_at, &mut claim.search) {
        Ok(true) => Err(HvError::Busy.into()),
        Ok(false) => {
            // Who has unmapped one may have it cached.
            mmu.flush();
            Ok(())
        }
        Err(preempted) => {
            hv.given.claim = Some(claim);
            Err(preempted.into())
        }
    }
}

/// Forgets what is about to change hands with the domain in `slot`, which dies.
pub(crate) fn drop_claim(hv: &mut Hypervisor, slot: usize) {
    if hv
        .given
        .claim
        .as_ref()
        .is_some_and(|claim| usize::from(claim.slot) == slot)
    {
        hv.given.claim = None;
    }
}
