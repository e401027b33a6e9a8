//! The audit of grants: what handles name, what active words count and hold, and entries with a grant's mark.
//!
//! Nothing here has room to count in, so each active word that counts anything has all handles looked through for those
//! that name it, and each entry with the mark those of its domain.

use super::{Audit, Difference, Kind};
use crate::{
    domain::Domain,
    grant::{
        active::{Active, Uses},
        handles::Handle,
    },
    mm::{Place, pte::GRANTED},
    platform::FrameMemory,
};
use guest_abi::{addr::Mfn, grant_table::ENTRIES_PER_FRAME};

impl<M: FrameMemory, R: FnMut(Difference)> Audit<'_, M, R> {
    /// What grants in use hold.
    pub(super) fn count_grants(&mut self) {
        let hv = self.hv;
        for domain in hv.domains.iter().flatten() {
            for (_, word) in active_words(domain, self.memory) {
                let frame = u64::from(word.frame());
                self.count(frame, Kind::None);
                if word.is_written() {
                    self.count(frame, Kind::Writable);
                }
            }
        }
    }

    /// An entry with the mark lies where a handle of its domain says, and maps the frame of that grant.
    pub(super) fn granted_entry_is_good(&self, table: Mfn, index: usize, entry: u64) -> bool {
        if entry & self.mm.rules.l1_refused & !GRANTED != 0 {
            return false;
        }
        let hv = self.hv;
        let owner = self.mm.frames.at(table).owner_word().owner();
        let Some(domain) = hv.domains.iter().flatten().find(|domain| domain.id == owner) else {
            return false;
        };
        let place = Place { table, index };
        handles(domain, self.memory).any(|(_, handle)| {
            handle.place == place
                && handle.uses.contains(Uses::HOST)
                && self
                    .word_of(handle)
                    .is_some_and(|word| u64::from(word.frame()) == super::frame_number(entry))
        })
    }

    fn word_of(&self, handle: Handle) -> Option<Active> {
        let granter = self.hv.domain_in(handle.slot)?;
        let grant = granter.grants.get(self.memory, handle.reference)?;
        Some(grant.active(self.memory)).filter(|word| word.is_used())
    }

    /// The counts of active words are those of the handles that name them, and the books of the handles balance.
    pub(super) fn check_grants(&mut self) {
        let hv = self.hv;
        for (slot, domain) in hv.domains.iter().enumerate() {
            let Some(domain) = domain.as_deref() else { continue };
            for (reference, word) in active_words(domain, self.memory) {
                let mut found = [0u32; 4];
                let everyone = hv.domains.iter().flatten();
                let all = everyone.flat_map(|other| handles(other, self.memory));
                for (_, handle) in all.filter(|(_, h)| h.slot == slot && h.reference == reference) {
                    let lane = usize::from(handle.uses.contains(Uses::READ_ONLY));
                    found[lane] += u32::from(handle.uses.contains(Uses::HOST));
                    found[lane + 2] += u32::from(handle.uses.contains(Uses::DEVICE));
                }
                if found != word.counts().map(u32::from) {
                    (self.report)(Difference::Grant {
                        domain: domain.id,
                        reference,
                    });
                }
            }
            self.check_handles(domain);
        }
    }

    fn check_handles(&mut self, domain: &Domain) {
        let (memory, grants) = (self.memory, &domain.grants);
        let found = handles(domain, memory).count() as u32;
        let free = grants.free_list_length(memory);
        let dangling = handles(domain, memory).find(|(_, handle)| self.word_of(*handle).is_none());
        let is_balanced = found == grants.handles_in_use()
            && free.is_some_and(|free| found + free == grants.handles_begun());
        if !is_balanced || dangling.is_some() {
            (self.report)(Difference::Handles {
                domain: domain.id,
                kept: grants.handles_in_use(),
                found,
            });
        }
    }
}

/// The active words of a domain's table that count anything, by reference.
fn active_words<M: FrameMemory>(domain: &Domain, memory: &M) -> impl Iterator<Item = (u32, Active)> {
    let grants = &domain.grants;
    (0..grants.table_frames() * ENTRIES_PER_FRAME).filter_map(move |reference| {
        let word = grants.get(memory, reference)?.active(memory);
        word.is_used().then_some((reference, word))
    })
}

/// The handles that a domain has in use, by number.
fn handles<M: FrameMemory>(domain: &Domain, memory: &M) -> impl Iterator<Item = (u32, Handle)> {
    let grants = &domain.grants;
    (0..grants.handles_begun()).filter_map(move |number| Some((number, grants.handle(memory, number)?)))
}
