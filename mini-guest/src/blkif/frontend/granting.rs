//! Which frames a frontend grants, and how long.

use alloc::vec::Vec;

use super::state::{Shadow, State};
use super::{Frontend, Host, to_segment};
use crate::blkif::kept::{Kept, Slot};
use crate::block::{Op, Request};

/// Grants of frames that stay, as long as the backend lets go of others.
pub(super) const MOST_KEPT: usize = 768;
/// So many of them are looked at for some that can go; where there are none, there are so many more before it is looked again.
const LOOKS: usize = 64;
/// Bits of an address inside its frame.
const PAGE_SHIFT: u32 = 12;

/// A granted frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant {
    pub(super) reference: u32,
    pub(super) frame: u32,
    /// It stays.
    pub(super) is_kept: bool,
}

impl<H: Host> Frontend<H> {
    /// Grants all frames of the next request, or none; its segments are in `state.pieces` then. Whether some of the grants are its own.
    pub(super) fn grant(&self, state: &mut State, request: &Request) -> Option<(Vec<Slot>, bool)> {
        let now = state.last_id + 1;
        let mut granted = Vec::with_capacity(request.segments.len());
        let mut has_own = false;
        state.pieces.clear();
        for segment in &request.segments {
            // Machine frames have 32-bit numbers.
            let frame = (segment.address() >> PAGE_SHIFT) as u32;
            if let Some((slot, grant)) = state.grants.take_up(frame, now, |_| true) {
                state.pieces.push(to_segment(segment, grant.reference));
                granted.push(slot);
                continue;
            }
            let Some(grant) = self.grant_anew(state, frame, request.op == Op::Write) else {
                self.release_own(&mut state.grants, &granted);
                return None;
            };
            state.pieces.push(to_segment(segment, grant.reference));
            has_own |= !grant.is_kept;
            granted.push(state.grants.add(frame, grant, now, grant.is_kept));
        }
        Some((granted, has_own))
    }

    #[cold]
    fn grant_anew(&self, state: &mut State, frame: u32, is_read_only: bool) -> Option<Grant> {
        let is_kept = state.keeps && self.host.keep(frame.into());
        if is_kept && state.grants.len() >= state.limit && !self.withdraw(state, LOOKS) {
            state.limit += LOOKS;
        }
        // Who keeps a mapping may have it used for both.
        let grant = || self.host.grant(frame.into(), is_read_only && !state.keeps);
        let mut reference = grant();
        if reference.is_err() && self.withdraw(state, state.grants.len()) {
            reference = self.host.grant(frame.into(), is_read_only && !state.keeps);
        }
        let Ok(reference) = reference else {
            if is_kept {
                self.host.let_go(frame.into());
            }
            return None;
        };
        Some(Grant {
            reference,
            frame,
            is_kept,
        })
    }

    /// Withdraws grants that no request uses and the backend does not have mapped, of so many; whether there were any.
    fn withdraw(&self, state: &mut State, looks: usize) -> bool {
        let mut are_some = false;
        // Those of the request that is being granted are younger than all of these.
        let oldest = state.oldest().min(state.last_id + 1);
        for slot in state.grants.oldest(oldest, looks) {
            if state
                .grants
                .get(slot)
                .is_some_and(|grant| self.host.try_end(grant.reference))
                && let Some(grant) = state.grants.remove(slot)
            {
                self.host.let_go(grant.frame.into());
                are_some = true;
            }
        }
        are_some
    }

    /// A request is over.
    pub(super) fn release(&self, grants: &mut Kept<Grant>, shadow: &Shadow) {
        if shadow.has_own {
            self.release_own(grants, &shadow.grants);
        }
    }

    /// Ends those of these grants that do not stay.
    fn release_own(&self, grants: &mut Kept<Grant>, granted: &[Slot]) {
        for slot in granted {
            if grants.get(*slot).is_some_and(|grant| !grant.is_kept)
                && let Some(grant) = grants.remove(*slot)
            {
                self.end(grant);
            }
        }
    }

    /// Ends those that stay no longer, and that no request uses.
    pub(super) fn end_hidden(&self, state: &mut State) {
        let oldest = state.oldest();
        let hidden = state.grants.hidden().filter(|(.., grant)| grant.is_kept);
        let hidden: Vec<(Slot, u64)> = hidden.map(|(slot, last, _)| (slot, last)).collect();
        state.has_hidden = hidden.iter().any(|(_, last)| *last >= oldest);
        for (slot, _) in hidden.into_iter().filter(|(_, last)| *last < oldest) {
            if let Some(grant) = state.grants.remove(slot) {
                self.end(grant);
            }
        }
    }

    pub(super) fn end(&self, grant: Grant) {
        if grant.is_kept {
            self.host.end_kept(grant.reference, grant.frame.into());
        } else {
            self.host.end(grant.reference);
        }
    }
}
