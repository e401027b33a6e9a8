//! Recounts every reference from what holds it, and reports each difference from what the frame table says.
//!
//! The table's counts are kept step by step as entries come and go; this looks at the entries themselves, the pins, the
//! roots, the descriptor pages and the free lists, and counts anew. It decides nothing and changes nothing: tests
//! use it as their oracle, and a debug key runs it on a live machine.
//!
//! It needs no memory of its own. The caller lends a slice of [`Tally`]s, as short as one element; frames are audited
//! in windows of that many, and everything is walked once per window.

use super::{
    Mm,
    frame::{FrameInfo, Kind, OwnerWord, TypeWord},
    pte::{CACHE, GRANTED, P, RW, US, frame_number},
};
use crate::{domain::DomId, hypervisor::Hypervisor, life, platform::FrameMemory};
use core::ops::Range;
use guest_abi::addr::Mfn;

mod difference;
mod free;
mod grants;

pub use difference::Difference;

/// References found to one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Of all sorts.
    pub references: u32,
    /// Typed uses.
    pub uses: u32,
}

struct Audit<'a, M, R> {
    hv: &'a Hypervisor,
    mm: &'a Mm,
    memory: &'a M,
    tallies: &'a mut [Tally],
    window: Range<u64>,
    report: R,
}

/// Audits everything, reporting each difference to `report`. More `scratch` is faster; one element per frame is
/// fastest.
///
/// # Panics
/// Where `scratch` is empty.
pub fn audit<M: FrameMemory>(
    hv: &Hypervisor,
    memory: &M,
    scratch: &mut [Tally],
    report: impl FnMut(Difference),
) {
    let size = scratch.len() as u64;
    assert!(size != 0, "an audit needs scratch memory");
    let frames = hv.mm.frames.len();
    let mut audit = Audit {
        hv,
        mm: &hv.mm,
        memory,
        tallies: scratch,
        window: 0..0,
        report,
    };
    for start in (0..frames).step_by(usize::try_from(size).unwrap_or(usize::MAX)) {
        audit.window = start..frames.min(start.saturating_add(size));
        audit.tallies.fill(Tally::default());
        audit.count_frames();
        audit.count_domains();
        audit.count_grants();
        audit.compare();
    }
    audit.check_charges();
    audit.check_grants();
    audit.check_free_lists();
}

impl<M: FrameMemory, R: FnMut(Difference)> Audit<'_, M, R> {
    fn frame(&self, n: u64) -> (Mfn, &'static FrameInfo) {
        self.mm.frames.lookup(n).expect("frames below the table's end")
    }

    /// Counts one reference to frame `n`, as `used_as` unless that is [`Kind::None`].
    fn count(&mut self, n: u64, used_as: Kind) {
        if !self.window.contains(&n) {
            return;
        }
        let (mfn, info) = self.frame(n);
        if info.owner_word().is_free() {
            (self.report)(Difference::Dangling { frame: n });
            return;
        }
        let tally = &mut self.tallies[(n - self.window.start) as usize];
        tally.references += 1;
        if used_as != Kind::None {
            tally.uses += 1;
            let is = info.type_word().kind();
            if is != used_as {
                (self.report)(Difference::WrongKind { mfn, is, used_as });
            }
        }
    }

    /// What frames hold: their entries, and what their own words stand for.
    fn count_frames(&mut self) {
        for n in 0..self.mm.frames.len() {
            let (mfn, info) = self.frame(n);
            let (owner, word) = (info.owner_word(), info.type_word());
            if owner.is_free() {
                continue;
            }
            let kind = word.kind();
            if owner.has(OwnerWord::KEPT) && owner.owner() != DomId::HYPERVISOR {
                self.count(n, if is_shown(owner) { kind } else { Kind::None });
            }
            if owner.has(OwnerWord::ALLOCATED) {
                self.count(n, Kind::None);
            }
            if word.has(TypeWord::PINNED) {
                self.count(n, kind);
            }
            if word.has(TypeWord::PARTIAL) {
                self.count(n, Kind::None);
                self.count_entries(mfn, kind, word.index());
            } else if kind.is_table() && word.is_validated() {
                self.count_entries(mfn, kind, kind.guest_entries());
                self.check_own_entries(mfn, kind);
            }
        }
    }

    fn count_entries(&mut self, table: Mfn, kind: Kind, entries: usize) {
        for index in 0..entries {
            let entry = self.memory.read_entry(table, index);
            let rules = &self.mm.rules;
            let is_good = match kind {
                Kind::L1 if entry & P == 0 => rules.admits_non_present(entry),
                _ if entry & P == 0 => rules.admits_non_present_directory(entry),
                Kind::L1 if entry & GRANTED != 0 => self.granted_entry_is_good(table, index, entry),
                Kind::L1 => self.l1_entry_is_good(table, entry),
                Kind::L3 => entry & rules.l3_refused == 0 && self.names_a_table(table, entry),
                _ => entry & rules.l2_refused == 0 && self.names_a_table(table, entry),
            };
            if !is_good && self.window.contains(&u64::from(table.raw())) {
                (self.report)(Difference::BadEntry {
                    table,
                    index: index as u16,
                });
            }
            let n = frame_number(entry);
            if entry & P == 0 || n >= self.mm.frames.len() {
                continue;
            }
            match kind {
                Kind::L1 => self.count(
                    n,
                    if entry & RW == 0 {
                        Kind::None
                    } else {
                        Kind::Writable
                    },
                ),
                Kind::L3 => self.count(n, if index == 3 { Kind::L2Top } else { Kind::L2 }),
                _ if n == u64::from(table.raw()) => self.check_linear_map(table, index, entry),
                Kind::L2Top if self.frame(n).1.type_word().kind() == Kind::L2 => {
                    self.check_linear_map(table, index, entry);
                    self.count(n, Kind::L2);
                }
                _ => self.count(n, Kind::L1),
            }
        }
    }

    /// Pages are the table's owner's; a privileged domain's tables may name pages of other domains, of devices, and
    /// those shown to domains besides. Nobody's may name the hypervisor's own.
    fn l1_entry_is_good(&self, table: Mfn, entry: u64) -> bool {
        let (n, rules) = (frame_number(entry), &self.mm.rules);
        let mine = self.mm.frames.at(table).owner_word().owner();
        let owner = match self.mm.frames.lookup(n) {
            Some((_, info)) => info.owner_word().owner(),
            None if n >= rules.ram_end => DomId::IO,
            None => DomId::NONE,
        };
        match owner {
            DomId::IO => {
                let is_allowed = self.may_have_io(mine, n);
                entry & rules.l1_refused & !CACHE == 0 && rules.admits_io(n) && is_allowed
            }
            DomId::NONE | DomId::HYPERVISOR => false,
            _ => entry & rules.l1_refused == 0 && (owner == mine || self.is_privileged(mine)),
        }
    }

    fn is_privileged(&self, id: DomId) -> bool {
        let slot = self.hv.slot_of_any(id);
        slot.is_some_and(|slot| {
            self.hv.domains[slot]
                .as_deref()
                .is_some_and(|domain| domain.is_privileged)
        })
    }

    /// Whether domain `id` may map frame `n` of a device. A dying one, which never runs again, may still name what it had.
    fn may_have_io(&self, id: DomId, n: u64) -> bool {
        let Some(slot) = self.hv.slot_of(id) else {
            return self.hv.slot_of_any(id).is_some();
        };
        let domain = self.hv.domain_in(slot);
        let is_its = domain.is_some_and(|domain| domain.is_privileged || domain.io.may_map(n));
        is_its && !self.hv.given.is_elsewhere(slot, n)
    }

    /// Directories name tables of their own owner's, and nothing else.
    fn names_a_table(&self, table: Mfn, entry: u64) -> bool {
        let owner = self.mm.frames.at(table).owner_word().owner();
        let named = self.mm.frames.lookup(frame_number(entry));
        named.is_some_and(|(_, info)| info.owner_word().is_owned_by(owner))
    }

    fn check_linear_map(&mut self, table: Mfn, index: usize, entry: u64) {
        if entry & RW != 0 && self.window.contains(&u64::from(table.raw())) {
            (self.report)(Difference::BadEntry {
                table,
                index: index as u16,
            });
        }
    }

    /// What the hypervisor wrote into a valid table.
    fn check_own_entries(&mut self, table: Mfn, kind: Kind) {
        if !self.window.contains(&u64::from(table.raw())) {
            return;
        }
        let first = match kind {
            Kind::L2Top => kind.guest_entries(),
            Kind::L3 => 0,
            _ => return,
        };
        for index in first..512 {
            let entry = self.memory.read_entry(table, index);
            let is_good = match (kind, index) {
                (Kind::L3, 0..=3) => entry & P == 0 || entry & (RW | US) == RW | US,
                (Kind::L3, _) => entry == 0,
                _ => entry == self.mm.window[index - first],
            };
            if !is_good {
                (self.report)(Difference::BadEntry {
                    table,
                    index: index as u16,
                });
            }
        }
    }

    /// What domains hold.
    fn count_domains(&mut self) {
        let hv = self.hv;
        for domain in hv.domains.iter().flatten() {
            life::own_frames(domain, self.memory, |mfn| {
                self.count(u64::from(mfn.raw()), Kind::None);
            });
        }
        for vcpu in hv.domains.iter().flatten().flat_map(|domain| &domain.vcpus) {
            for root in vcpu.roots.iter().flatten() {
                self.count(u64::from(root.raw()), Kind::L3);
            }
            for page in vcpu.gdt_frames.iter().chain(&vcpu.ldt_frames).flatten() {
                self.count(u64::from(page.raw()), Kind::SegDesc);
            }
        }
    }

    fn compare(&mut self) {
        for n in self.window.clone() {
            let (mfn, info) = self.frame(n);
            let (owner, word) = (info.owner_word(), info.type_word());
            if owner.is_free() {
                continue;
            }
            let tally = self.tallies[(n - self.window.start) as usize];
            if owner.count() != u64::from(tally.references) {
                (self.report)(Difference::References {
                    mfn,
                    kept: owner.count() as u32,
                    found: tally.references,
                });
            }
            if word.count() != u64::from(tally.uses) {
                (self.report)(Difference::Uses {
                    mfn,
                    kept: word.count() as u32,
                    found: tally.uses,
                });
            }
            let is_used = word.count() != 0;
            let is_valid = word.is_validated();
            if (is_used && !is_valid) || (word.kind().is_table() && is_valid && !is_used) {
                (self.report)(Difference::Invalid(mfn));
            }
        }
    }

    fn check_charges(&mut self) {
        let hv = self.hv;
        for n in 0..self.mm.frames.len() as u32 {
            let word = self.frame(u64::from(n)).1.owner_word();
            if word.is_free() || word.has(OwnerWord::KEPT) {
                continue;
            }
            let owner = hv
                .slot_of_any(word.owner())
                .and_then(|slot| hv.domains[slot].as_deref());
            if !owner.is_some_and(|domain| domain.span.contains(&n)) {
                (self.report)(Difference::Astray {
                    mfn: Mfn::new(n),
                    owner: word.owner(),
                });
            }
        }
        for domain in hv.domains.iter().flatten() {
            let owns = |n: &u32| {
                let word = self.frame(u64::from(*n)).1.owner_word();
                word.is_owned_by(domain.id) && !word.has(OwnerWord::KEPT)
            };
            let found = domain.span.clone().filter(owns).count() as u32;
            if found != domain.total_pages {
                (self.report)(Difference::Charged {
                    domain: domain.id,
                    kept: domain.total_pages,
                    found,
                });
            }
        }
    }
}

/// Whether the hypervisor's own reference is a typed one: of a page shared with or shown to a domain.
fn is_shown(owner: OwnerWord) -> bool {
    !matches!(owner.owner(), DomId::IO | DomId::NONE)
}
