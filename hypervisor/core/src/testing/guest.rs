//! Domains with memory and page tables of their own.

use super::{machine::Machine, world::World};
use crate::{
    domain::DomId,
    grant::end::{Pending, end_mappings, end_table},
    mm::{
        Kind,
        pte::{P, RW, US},
    },
    platform::{FrameMemory, Tlb},
};
use guest_abi::addr::Mfn;
use std::vec::Vec;

/// A domain as [`World::add_guest`] builds it.
///
/// Frame `n` of its frames is mapped at [`Guest::va`]`(n)`, writable but for the page tables: 0 the L3, 1 the L2 of slot
/// 0, 2 the top L2, 3 the L1 at [`Guest::BASE`], 4 the L1 at address 0, which maps nothing.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Its number.
    pub id: DomId,
    /// Its slot.
    pub slot: usize,
    /// Its frames, in the order of their mapping.
    pub frames: Vec<Mfn>,
}

impl Guest {
    /// Where frame 0 is mapped.
    pub const BASE: u32 = 0xC000_0000;
    /// First frame that is not a page table.
    pub const DATA: usize = 5;

    /// Where frame `n` is mapped.
    #[must_use]
    pub const fn va(n: usize) -> u32 {
        Self::BASE + (n as u32) * 4096
    }

    /// The L3.
    #[must_use]
    pub fn l3(&self) -> Mfn {
        self.frames[0]
    }
    /// The L2 of slot 0.
    #[must_use]
    pub fn l2(&self) -> Mfn {
        self.frames[1]
    }
    /// The L2 of slot 3.
    #[must_use]
    pub fn top_l2(&self) -> Mfn {
        self.frames[2]
    }
    /// The L1 of the region at [`Guest::BASE`].
    #[must_use]
    pub fn l1(&self) -> Mfn {
        self.frames[3]
    }
    /// The L1 of the region at 0.
    #[must_use]
    pub fn low_l1(&self) -> Mfn {
        self.frames[4]
    }

    /// Writes the tables, which are nobody's tables yet, as the type says.
    pub fn write_tables(&self, machine: &Machine) {
        for &table in &self.frames[..Self::DATA] {
            machine.zero(table);
        }
        for (n, &mfn) in self.frames.iter().enumerate() {
            let flags = if n < Self::DATA { P | US } else { P | US | RW };
            machine.poke(self.l1(), n, entry(mfn, flags));
        }
        machine.poke(self.l3(), 0, entry(self.l2(), P));
        machine.poke(self.l3(), 3, entry(self.top_l2(), P));
        machine.poke(self.l2(), 0, entry(self.low_l1(), P | RW | US));
        machine.poke(self.top_l2(), 0, entry(self.l1(), P | RW | US));
    }
}

/// An entry for `mfn` with `flags`.
#[must_use]
pub fn entry(mfn: Mfn, flags: u64) -> u64 {
    mfn.addr().raw() | flags
}

impl World {
    /// Builds a domain of `pages` frames in the next slot, its root pinned and loaded, and makes it the one that runs.
    pub fn add_guest(&mut self, id: u16, is_privileged: bool, pages: usize) -> Guest {
        let slot = self.add_domain(DomId(id), is_privileged);
        let born = self.hv.mm.allocator.deaths();
        let domain = self.domain(slot);
        domain.has_devices = is_privileged;
        domain.max_pages = if is_privileged {
            u32::MAX
        } else {
            pages as u32 + 64
        };
        domain.born = born;
        domain.vcpus[0].roots[0] = None;
        self.hv.current = slot;
        let frames: Vec<Mfn> = (0..pages)
            .map(|_| self.mmu().allocate(DomId(id), 0).expect("a frame"))
            .collect();
        let guest = Guest {
            id: DomId(id),
            slot,
            frames,
        };
        guest.write_tables(&self.machine);
        for (pfn, &mfn) in (0..).zip(&guest.frames) {
            self.machine.set_m2p(mfn, pfn);
        }
        let owner = self.owner(slot);
        let l3 = u64::from(guest.l3().raw());
        self.mmu().pin(l3, Kind::L3, owner).expect("a good root");
        self.mmu().load_root(l3, owner).expect("a good root");
        guest
    }

    /// A third domain, small enough to fit in beside the others.
    pub fn add_bystander(&mut self) -> Guest {
        self.add_guest(9, false, Guest::DATA + 1)
    }

    /// Makes `guest` the one that runs.
    pub fn switch_to(&mut self, guest: &Guest) {
        self.hv.current = guest.slot;
        let root = self.domain(guest.slot).vcpus[0].roots[0];
        self.machine.activate_root(root.expect("a root"));
    }

    /// Takes all memory from `guest`, which does not run. Its grants go as far as nobody uses them.
    pub fn relinquish(&mut self, guest: &Guest) {
        assert_ne!(self.hv.current, guest.slot);
        while end_mappings(&mut self.mmu(), guest.slot).is_err() {}
        while self.mmu().relinquish(guest.slot).is_err() {}
        while end_table(&mut self.mmu(), guest.slot) == Err(Pending::Preempted) {}
    }

    /// Ends `guest`, which does not run and of which nobody maps anything.
    pub fn destroy(&mut self, guest: &Guest) {
        self.relinquish(guest);
        let domain = self.hv.remove(guest.slot).expect("a domain");
        assert_eq!(domain.total_pages, 0);
        self.hv.mm.allocator.note_death();
    }
}
