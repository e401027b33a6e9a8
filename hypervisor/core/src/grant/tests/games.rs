//! What guests do that do not keep to the protocol.

use super::*;
use crate::{
    mm::{
        Kind, MmError, Stop,
        pte::{A, NX, US},
    },
    testing::{Work, entry},
};

const HOST: MapFlags = MapFlags::HOST_MAP;

fn set(world: &mut World, guest: &Guest, at: u32, word: u64) -> Result<(), MmError> {
    let owner = world.owner(guest.slot);
    world
        .mmu()
        .update_l1(guest.low_l1(), (at / 4096) as usize, word, owner)
}

#[test]
fn a_mapping_that_the_guest_drops_itself_is_still_to_be_unmapped() {
    let Pair {
        mut world,
        mapper,
        table,
        ..
    } = pair();
    let handle = map(&mut world, map_at(1, 10, WINDOW, HOST));
    set(&mut world, &mapper, WINDOW, 0).expect("its own entry");
    assert_sound(&world);
    // The granter sees it in use until it is given back, which any address does: there is nothing to find there.
    assert_eq!(flags_of(&world, &table, 10), ACCESS | READING | WRITING);
    unmap(&mut world, unmap_at(handle, WINDOW + 0x5000, 0));
    assert_eq!(flags_of(&world, &table, 10), ACCESS);
}

#[test]
fn another_entry_in_its_place_stays() {
    let Pair {
        mut world, mapper, ..
    } = pair();
    let handle = map(&mut world, map_at(1, 10, WINDOW, HOST));
    let own = entry(mapper.frames[30], P | RW);
    set(&mut world, &mapper, WINDOW, own).expect("its own page");
    unmap(&mut world, unmap_at(handle, WINDOW, 0));
    assert_eq!(entry_at(&world, &mapper, WINDOW), own);
    // And one of another grant.
    let first = map(&mut world, map_at(1, 10, WINDOW, HOST));
    let second = map(&mut world, map_at(1, 11, WINDOW, HOST | MapFlags::READ_ONLY));
    unmap(&mut world, unmap_at(first, WINDOW, 0));
    assert!(world.guest_read(WINDOW).is_some());
    unmap(&mut world, unmap_at(second, WINDOW, 0));
    assert_eq!(world.guest_read(WINDOW), None);
}

#[test]
fn two_mappings_of_one_frame_at_one_place_end_with_the_first() {
    let Pair { mut world, table, .. } = pair();
    let first = map(&mut world, map_at(1, 10, WINDOW, HOST));
    let second = map(&mut world, map_at(1, 10, WINDOW, HOST | MapFlags::READ_ONLY));
    unmap(&mut world, unmap_at(first, WINDOW, 0));
    assert_eq!(world.guest_read(WINDOW), None);
    assert_eq!(flags_of(&world, &table, 10), ACCESS | READING);
    unmap(&mut world, unmap_at(second, WINDOW, 0));
    assert_eq!(flags_of(&world, &table, 10), ACCESS);
}

#[test]
fn the_mark_is_not_the_guests() {
    let Pair {
        mut world,
        granter,
        mapper,
        ..
    } = pair();
    let handle = map(&mut world, map_at(1, 10, WINDOW, HOST));
    let now = entry_at(&world, &mapper, WINDOW);
    // Its own bits may change, with the mark as it was read or without.
    for word in [now | NX, now & !GRANTED | US, now & !A, now & !GRANTED] {
        set(&mut world, &mapper, WINDOW, word).expect("bits of its own");
        assert!(is_marked(entry_at(&world, &mapper, WINDOW)));
        assert_sound(&world);
    }
    let page = entry(mapper.frames[30], P | RW);
    for (at, word, why) in [
        (WINDOW, now | 1 << 60, "a bit of the hypervisor's"),
        (WINDOW, now & !RW, "read-only"),
        (WINDOW, now & !P, "the frame without P"),
        (WINDOW, GRANTED, "the mark alone"),
        (WINDOW, page | GRANTED, "the mark on a page of one's own"),
        (WINDOW + 0x1000, page | GRANTED, "the mark on a page of one's own"),
        (WINDOW + 0x1000, now, "a copy"),
        (WINDOW + 0x1000, now & !GRANTED, "a copy without the mark"),
    ] {
        let before = world.snapshot();
        assert!(set(&mut world, &mapper, at, word).is_err(), "{why}");
        assert_eq!(
            world.snapshot().differences(&before),
            Vec::<String>::new(),
            "{why}"
        );
    }
    // Read-only does not become writable.
    let reader = map(
        &mut world,
        map_at(1, 11, WINDOW + 0x1000, HOST | MapFlags::READ_ONLY),
    );
    let word = entry_at(&world, &mapper, WINDOW + 0x1000);
    for word in [word | RW, (word | RW) & !GRANTED] {
        assert!(set(&mut world, &mapper, WINDOW + 0x1000, word).is_err());
    }
    unmap(&mut world, unmap_at(reader, WINDOW + 0x1000, 0));
    unmap(&mut world, unmap_at(handle, WINDOW, 0));
    drop(granter);
}

/// A second L1, in frame 30 of the mapper, that maps what the first granted page is at its entry 0; and the handle.
fn in_a_table_of_its_own() -> (Pair, u32, MapGrantRef) {
    let mut pair = pair();
    let l1 = pair.mapper.frames[30];
    let owner = pair.world.owner(pair.mapper.slot);
    let (table, directory) = (pair.mapper.l1(), pair.mapper.l2());
    pair.world.mmu().update_l1(table, 30, 0, owner).expect("its own");
    pair.world.machine.zero(l1);
    pair.world
        .mmu()
        .update_l2(directory, 5, entry(l1, P | RW | US), owner, None)
        .expect("a good L1");
    let mut record = map_at(1, 10, 5 << 21, HOST);
    record.host_addr = 5 << 21;
    let handle = map(&mut pair.world, record);
    (pair, handle, record)
}

#[test]
fn a_table_that_is_no_more_maps_nothing() {
    let (mut pair, handle, record) = in_a_table_of_its_own();
    let world = &mut pair.world;
    let (l1, owner) = (pair.mapper.frames[30], world.owner(pair.mapper.slot));
    assert!(world.guest_write(5 << 21, 1));
    world
        .mmu()
        .update_l2(pair.mapper.l2(), 5, 0, owner, None)
        .expect("its own");
    assert_sound(world);
    // The entry is still there, in what is now a page; written over, it may even say that it is a mapping.
    let table = pair.mapper.l1();
    assert!(is_marked(world.machine.peek(l1, 0)));
    world
        .mmu()
        .update_l1(table, 30, entry(l1, P | RW), owner)
        .expect("an unused frame");
    let before = world.machine.peek(l1, 0);
    unmap(world, unmap_at(handle, 5 << 21, 0));
    assert_eq!(world.machine.peek(l1, 0), before, "a page is not written");
    assert_eq!(flags_of(world, &pair.table, 10), ACCESS);
    // As a table again, it would name a frame that is not granted any more.
    world.mmu().update_l1(table, 30, 0, owner).expect("its own");
    let again = world.mmu().pin(l1.raw().into(), Kind::L1, owner);
    assert_eq!(again, Err(Stop::Refused(MmError::ForbiddenBits { level: 1 })));
    let _ = record;
}

#[test]
fn a_table_half_torn_down_still_maps_what_is_left_of_it() {
    let (mut pair, handle, _) = in_a_table_of_its_own();
    let world = &mut pair.world;
    let (l1, owner) = (pair.mapper.frames[30], world.owner(pair.mapper.slot));
    // Tear down with work waiting: entries are released from the last, and it stops in between.
    world
        .mmu()
        .pin(l1.raw().into(), Kind::L1, owner)
        .expect("a good L1");
    world
        .mmu()
        .update_l2(pair.mapper.l2(), 5, 0, owner, None)
        .expect("its own");
    world.machine.work.set(Work::Always);
    let mut mmu = world.mmu();
    mmu.reserve(100).expect("a first stretch");
    assert_eq!(mmu.unpin(l1.raw().into(), owner), Err(Stop::Preempted));
    world.machine.work.set(Work::Never);
    assert!(world.info(l1).type_word().held_entries() > 0);
    assert_sound(world);
    // The mapping is unmapped all the same, and does not come back with the table.
    unmap(world, unmap_at(handle, 5 << 21, 0));
    assert_eq!(flags_of(world, &pair.table, 10), ACCESS);
    assert_eq!(world.machine.peek(l1, 0), 0);
    world
        .mmu()
        .pin(l1.raw().into(), Kind::L1, owner)
        .expect("it goes on upwards");
    assert_sound(world);
    assert_eq!(world.info(pair.granter.frames[20]).owner_word().count(), 2);
}

#[test]
fn a_grant_that_is_withdrawn_while_mapped_stays_mapped_and_is_not_mapped_again() {
    let mut pair = pair();
    let world = &mut pair.world;
    let handle = map(world, map_at(1, 10, WINDOW, HOST));
    let other = pair.granter.frames[22];
    for (flags, to, frame) in [
        (GrantFlags::empty(), 2, pair.granter.frames[20]),
        (ACCESS, 2, other),
        (ACCESS, 3, pair.granter.frames[20]),
        (ACCESS | GrantFlags::READ_ONLY, 2, pair.granter.frames[20]),
    ] {
        publish(world, &pair.table, 10, to, frame, flags);
        assert!(world.guest_write(WINDOW, 5));
        let status = GrantStatus::GENERAL_ERROR;
        refused(world, map_at(1, 10, WINDOW + 0x1000, HOST).answered(status));
    }
    publish(world, &pair.table, 10, 2, other, ACCESS);
    unmap(world, unmap_at(handle, WINDOW, 0));
    // From here on it is the other frame.
    let done = one(world, map_at(1, 10, WINDOW, HOST));
    assert_eq!(done.dev_bus_addr, other.addr().raw());
    assert_sound(world);
}

#[test]
fn a_frame_given_back_while_mapped_is_nobody_elses_before_it_is_unmapped() {
    let mut pair = pair();
    let world = &mut pair.world;
    let frame = pair.granter.frames[20];
    let handle = map(world, map_at(1, 10, WINDOW, HOST | MapFlags::DEVICE_MAP));
    world.switch_to(&pair.granter);
    let owner = world.owner(pair.granter.slot);
    world
        .mmu()
        .update_l1(pair.granter.l1(), 20, 0, owner)
        .expect("its own");
    world
        .mmu()
        .free_allocation(frame, pair.granter.id)
        .expect("its own");
    assert_sound(world);
    assert!(!world.info(frame).owner_word().is_free());
    world.switch_to(&pair.mapper);
    set(world, &pair.mapper.clone(), WINDOW, 0).expect("its own entry");
    assert!(!world.info(frame).owner_word().is_free(), "a device may use it");
    unmap(world, unmap_at(handle, WINDOW, frame.addr().raw()));
    assert!(world.info(frame).owner_word().is_free());
}

#[test]
fn an_entry_that_never_stands_still_is_given_up() {
    use crate::grant::entry::{SharedEntry, claim};
    use core::cell::Cell;
    struct Restless(Cell<u32>);
    impl SharedEntry for Restless {
        fn load(&self) -> u64 {
            u64::from(ACCESS.bits()) | 2 << 16 | u64::from(self.0.get()) << 32
        }
        fn compare_exchange(&self, _: u64, _: u64) -> bool {
            self.0.set(self.0.get() + 1);
            false
        }
        fn clear(&self, _: GrantFlags) {}
        fn set(&self, _: GrantFlags) {}
        fn set_frame(&self, _: u32) {}
    }
    let entry = Restless(Cell::new(0));
    let why = claim(&entry, crate::domain::DomId(2), true, None);
    assert_eq!(why, Err(crate::grant::Refusal::Unstable));
    assert_eq!(entry.0.get(), 5);
    let why = crate::grant::entry::commit_transfer(&entry, crate::domain::DomId(2));
    assert_eq!(why, Err(crate::grant::Refusal::NotGranted));
}
