//! Random calls of three domains, in any order, hostile writes between them, and deaths: after each step the audit finds
//! nothing, nobody reaches a frame that he may not, and in the end nothing is left.

use super::*;
use crate::{
    mm::Kind,
    sched::Held,
    testing::{Witness, Work, entry},
};
use proptest::{collection::vec, prelude::*};

#[derive(Clone, Debug)]
enum Step {
    /// Who grants which reference to whom: which frame, with which flags.
    Publish(usize, u32, u16, usize, u16),
    Setup(u32),
    Map(u16, u32, usize, u32),
    Unmap(u32, usize, bool),
    Copy([u16; 2], [u32; 2], [u16; 2], u16, u16),
    Transfer(usize, u16, u32),
    /// The guest's own changes: an entry of its L1 at 0.
    Clear(usize),
    Own(usize, usize),
    Rewrite(usize, u64),
    /// The L1 at 0 goes, in part perhaps, and comes back.
    Drop(u32),
    Restore,
    /// A frame is mapped no more, or given back.
    Unuse(usize),
    Free(usize),
    Switch(usize),
    Work(bool),
    Die(usize),
}

fn reference() -> impl Strategy<Value = u32> {
    prop_oneof![12 => 0..4u32, 1 => 511..514u32]
}

fn domain() -> impl Strategy<Value = u16> {
    prop_oneof![12 => 1..4u16, 1 => Just(0x7FF0u16), 1 => Just(7u16)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..3usize, reference(), 1..4u16, 18..26usize, prop_oneof![6 => Just(1u16), 2 => Just(5u16), 1 => Just(2u16), 1 => 0..32u16])
            .prop_map(|(who, r, to, f, flags)| Step::Publish(who, r, to, f, flags)),
        2 => (0..3u32).prop_map(Step::Setup),
        14 => (domain(), reference(), 0..6usize, prop_oneof![6 => Just(2u32), 3 => Just(6u32), 2 => Just(3u32), 1 => Just(1u32), 1 => Just(0x12u32), 1 => 0..32u32])
            .prop_map(|(d, r, at, flags)| Step::Map(d, r, at, flags)),
        12 => (0..8u32, 0..7usize, any::<bool>()).prop_map(|(h, at, dev)| Step::Unmap(h, at, dev)),
        4 => ([domain(), domain()], [reference(), reference()], [0..4096u16, 0..4096u16], 0..2048u16, 0..4u16)
            .prop_map(|(d, r, o, len, flags)| Step::Copy(d, r, o, len, flags)),
        2 => (26..34usize, domain(), reference()).prop_map(|(f, to, r)| Step::Transfer(f, to, r)),
        5 => (0..6usize).prop_map(Step::Clear),
        2 => (0..6usize, 18..26usize).prop_map(|(at, f)| Step::Own(at, f)),
        3 => (0..6usize, prop_oneof![Just(1u64 << 59), Just(1 << 63), Just(2), Just(4), Just(1)]).prop_map(|(at, b)| Step::Rewrite(at, b)),
        2 => prop_oneof![Just(0u32), 1..512u32].prop_map(Step::Drop),
        3 => Just(Step::Restore),
        2 => (18..34usize).prop_map(Step::Unuse),
        1 => (18..34usize).prop_map(Step::Free),
        6 => (0..3usize).prop_map(Step::Switch),
        1 => any::<bool>().prop_map(Step::Work),
        1 => (0..3usize).prop_map(Step::Die),
    ]
}

struct Run {
    world: World,
    bystander: Guest,
    guests: [Guest; 3],
    tables: [Vec<Mfn>; 3],
    is_dead: [bool; 3],
    /// Who runs: one of the three, unless dead.
    current: usize,
    witness: Witness,
}

impl Run {
    fn new() -> Self {
        let mut world = World::new(512);
        let bystander = world.add_bystander();
        let mut tables = [const { Vec::new() }; 3];
        let guests = [1u16, 2, 3].map(|id| {
            let guest = world.add_guest(id, false, 40);
            tables[usize::from(id) - 1] = set_up(&mut world, 1);
            guest
        });
        Self {
            world,
            bystander,
            guests,
            tables,
            is_dead: [false; 3],
            current: 2,
            witness: Witness::default(),
        }
    }

    fn at(index: usize) -> u32 {
        WINDOW + 4096 * index as u32
    }

    fn set_low(&mut self, index: usize, word: u64) {
        let guest = self.guests[self.current].clone();
        let owner = self.world.owner(guest.slot);
        let place = (Self::at(index) / 4096) as usize;
        // Only where the L1 at 0 is in use: an update of another one is call 1's affair.
        if self.world.info(guest.low_l1()).type_word().is_valid(Kind::L1) {
            let _ = self.world.mmu().update_l1(guest.low_l1(), place, word, owner);
        }
    }

    fn call(&mut self, command: u32, record: &(impl IntoBytes + Immutable + FromBytes + Copy)) {
        put(&self.world, RECORDS, record);
        let _ = self.world.call(20, [command, RECORDS, 1, 0, 0]);
    }

    fn step(&mut self, step: &Step) {
        if self.is_dead[self.current] && !matches!(step, Step::Switch(_) | Step::Die(_) | Step::Work(_)) {
            return;
        }
        let guest = self.guests[self.current].clone();
        let owner = self.world.owner(guest.slot);
        match *step {
            Step::Publish(who, reference, to, frame, flags) => {
                let n = (reference / 512) as usize;
                if n < self.tables[who].len() && !self.is_dead[who] {
                    let frame = self.guests[who].frames[frame];
                    let flags = GrantFlags::from_bits_retain(flags);
                    publish(&self.world, &self.tables[who], reference, to, frame, flags);
                }
            }
            Step::Setup(frames) => {
                let record = SetupTable {
                    nr_frames: frames,
                    frame_list: GuestVirt::new(RECORDS + 0x800),
                    ..setup_of(DomId::SELF)
                };
                self.call(SETUP, &record);
                let done: SetupTable = get(&self.world, RECORDS);
                let known = &mut self.tables[self.current];
                if done.status == OKAY && frames as usize > known.len() {
                    *known = (0..frames)
                        .map(|n| Mfn::new(get(&self.world, RECORDS + 0x800 + 4 * n)))
                        .collect();
                }
            }
            Step::Map(dom, reference, at, flags) => {
                let mut record = map_at(dom, reference, Self::at(at), MapFlags::from_bits_retain(flags));
                if record.flags.contains(MapFlags::CONTAINS_PTE) {
                    record.host_addr = guest.low_l1().addr().raw() + u64::from(Self::at(at) / 4096 * 8);
                }
                self.call(MAP, &record);
            }
            Step::Unmap(handle, at, device) => {
                let mapping = self.world.hv.domain_in(guest.slot).and_then(|domain| {
                    let handle = domain.grants.handle(&self.world.machine, handle)?;
                    let granter = self.world.hv.domain_in(handle.slot)?;
                    let grant = granter.grants.get(&self.world.machine, handle.reference)?;
                    Some((handle.place, grant.active(&self.world.machine).frame()))
                });
                let bus = mapping.filter(|_| device).map_or(0, |(_, f)| u64::from(f) << 12);
                let host = if at < 6 { Self::at(at) } else { 0 };
                let mut record = unmap_at(handle, host, bus);
                // Half of the time at the right place.
                if device && let Some((place, _)) = mapping {
                    record.host_addr = 4096 * place.index as u64;
                }
                self.call(UNMAP, &record);
            }
            Step::Copy(domains, references, offsets, len, flags) => {
                let flags = CopyFlags::from_bits_retain(flags);
                let part = |n: usize, is_reference: bool| {
                    let number = if is_reference {
                        references[n]
                    } else {
                        guest.frames[18 + references[n] as usize % 8].raw()
                    };
                    let dom = if is_reference { domains[n] } else { 0x7FF0 };
                    end(dom, number, offsets[n])
                };
                let source = part(0, flags.contains(CopyFlags::SOURCE_GREF));
                let dest = part(1, flags.contains(CopyFlags::DEST_GREF));
                self.call(COPY, &copy_of(source, dest, len, flags));
            }
            Step::Transfer(frame, to, reference) => {
                self.call(TRANSFER, &transfer_of(guest.frames[frame], to, reference));
            }
            Step::Clear(at) => self.set_low(at, 0),
            Step::Own(at, frame) => self.set_low(at, entry(guest.frames[frame], P | RW)),
            Step::Rewrite(at, bit) => {
                let word = entry_at(&self.world, &guest, Self::at(at)) ^ bit;
                self.set_low(at, word);
            }
            Step::Drop(spent) => {
                let mut mmu = self.world.mmu();
                let _ = mmu.reserve(spent);
                let _ = mmu.update_l2(guest.l2(), 0, 0, owner, None);
            }
            Step::Restore => {
                let word = entry(guest.low_l1(), P | RW);
                let _ = self.world.mmu().update_l2(guest.l2(), 0, word, owner, None);
            }
            Step::Unuse(frame) => {
                let _ = self.world.mmu().update_l1(guest.l1(), frame, 0, owner);
            }
            Step::Free(frame) => {
                let _ = self.world.mmu().free_allocation(guest.frames[frame], guest.id);
            }
            Step::Switch(to) => self.switch(to),
            Step::Work(on) => {
                let work = if on { Work::Always } else { Work::Never };
                self.world.machine.work.set(work);
            }
            Step::Die(who) => self.die(who),
        }
    }

    fn switch(&mut self, to: usize) {
        if !self.is_dead[to] {
            self.current = to;
            self.world.switch_to(&self.guests[to].clone());
            self.witness = Witness::default();
        }
    }

    fn die(&mut self, who: usize) {
        if self.is_dead[who] {
            return;
        }
        self.is_dead[who] = true;
        let guest = self.guests[who].clone();
        self.world.switch_to(&self.bystander.clone());
        self.witness = Witness::default();
        self.world.hv.domain_at(guest.slot).expect("a domain").run.held |= Held::DYING;
        self.world.relinquish(&guest);
        match self.is_dead.iter().position(|dead| !dead) {
            Some(alive) => self.switch(alive),
            None => self.current = who,
        }
    }

    fn check(&mut self) {
        assert_eq!(self.world.audit(), Vec::new());
        assert_eq!(self.world.dangerous_ways(&self.witness), Vec::<String>::new());
        self.world.remember(&mut self.witness);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_guests_do_breaks_an_invariant(steps in vec(step(), 1..100)) {
        let mut run = Run::new();
        run.check();
        for step in &steps {
            run.step(step);
            run.check();
        }
        for who in 0..3 {
            run.die(who);
        }
        for guest in run.guests.clone() {
            run.world.relinquish(&guest);
        }
        run.check();
        let left: u32 = run.world.hv.domains.iter().flatten().filter(|d| d.id != run.bystander.id).map(|d| d.total_pages).sum();
        prop_assert_eq!(left, 0);
        // All that was in use is free, but for what boot kept, the bystander and three shared pages' worth of nothing.
        let fresh = { let mut world = World::new(512); world.add_bystander(); world.hv.mm.allocator.free_frames() };
        prop_assert_eq!(run.world.hv.mm.allocator.free_frames(), fresh);
    }
}
