//! Deaths with grants in use.

use super::*;
use crate::{
    grant::end::{Pending, end_mappings, end_table},
    sched::Held,
    testing::Work,
};

const HOST: MapFlags = MapFlags::HOST_MAP;

/// A pair and a bystander, who runs; how many frames are free without the granter, and without both; two mappings by the
/// mapper, one of them for devices too.
fn busy() -> (Pair, Guest, [u32; 2], [MapGrantRef; 2]) {
    let mut world = World::new(512);
    let bystander = world.add_bystander();
    let neither = world.hv.mm.allocator.free_frames();
    let granter = world.add_guest(1, false, 40);
    let table = set_up(&mut world, 2);
    let granters = neither - world.hv.mm.allocator.free_frames();
    let mapper = world.add_guest(2, false, 40);
    publish(&world, &table, 10, 2, granter.frames[20], ACCESS);
    publish(
        &world,
        &table,
        600,
        2,
        granter.frames[21],
        ACCESS | GrantFlags::READ_ONLY,
    );
    let mut pair = Pair {
        world,
        granter,
        mapper,
        table,
    };
    let world = &mut pair.world;
    let first = one(world, map_at(1, 10, WINDOW, HOST));
    let second = one(
        world,
        map_at(
            1,
            600,
            WINDOW + 0x1000,
            HOST | MapFlags::DEVICE_MAP | MapFlags::READ_ONLY,
        ),
    );
    // And one that is dropped by the guest.
    let third = map(world, map_at(1, 10, WINDOW + 0x2000, HOST | MapFlags::READ_ONLY));
    assert_eq!(third, 2);
    assert_eq!(
        world.call(14, [(WINDOW >> 12) + 2, 0, 0, 2, 0]),
        Ok(Outcome::Return(0))
    );
    assert_sound(world);
    (pair, bystander, [neither, granters], [first, second])
}

fn kill(world: &mut World, guest: &Guest, survivor: &Guest) {
    world.switch_to(survivor);
    world.hv.domain_at(guest.slot).expect("a domain").run.held |= Held::DYING;
    world.relinquish(guest);
    assert_sound(world);
}

fn pages(world: &mut World, guest: &Guest) -> u32 {
    world.hv.domain_at(guest.slot).expect("a domain").total_pages
}

#[test]
fn of_the_mapper_free_the_granters_entries() {
    for pending in [Work::Never, Work::Always] {
        let (mut pair, bystander, [free, granters], _) = busy();
        pair.world.machine.work.set(pending);
        kill(&mut pair.world, &pair.mapper, &bystander);
        assert_eq!(flags_of(&pair.world, &pair.table, 10), ACCESS);
        assert_eq!(
            flags_of(&pair.world, &pair.table, 600),
            ACCESS | GrantFlags::READ_ONLY
        );
        assert_eq!(pages(&mut pair.world, &pair.mapper), 0);
        assert_eq!(pair.world.hv.mm.allocator.free_frames(), free - granters);
        kill(&mut pair.world, &pair.granter, &bystander);
        assert_eq!(pages(&mut pair.world, &pair.granter), 0);
        assert_eq!(pair.world.hv.mm.allocator.free_frames(), free);
    }
}

#[test]
fn of_the_mapper_after_its_memory_is_gone() {
    let (mut pair, bystander, _, _) = busy();
    pair.world.switch_to(&bystander);
    let slot = pair.mapper.slot;
    while pair.world.mmu().relinquish(slot).is_err() {}
    assert_sound(&pair.world);
    assert_eq!(flags_of(&pair.world, &pair.table, 10), ACCESS | READING | WRITING);
    while end_mappings(&mut pair.world.mmu(), slot).is_err() {}
    assert_eq!(flags_of(&pair.world, &pair.table, 10), ACCESS);
    assert_eq!(end_table(&mut pair.world.mmu(), slot), Ok(()));
    assert_sound(&pair.world);
    assert_eq!(pages(&mut pair.world, &pair.mapper), 0);
}

#[test]
fn of_the_granter_wait_for_the_mapper() {
    let (mut pair, bystander, [free, _], [first, second]) = busy();
    kill(&mut pair.world, &pair.granter, &bystander);
    let world = &mut pair.world;
    let slot = pair.granter.slot;
    assert_eq!(end_table(&mut world.mmu(), slot), Err(Pending::InUse));
    world.switch_to(&pair.mapper);
    assert!(world.guest_write(WINDOW, 9), "it is still mapped");
    let status = GrantStatus::BAD_DOMAIN;
    refused(world, map_at(1, 10, WINDOW + 0x3000, HOST).answered(status));
    unmap(world, unmap_at(first.handle, WINDOW, 0));
    unmap(
        world,
        unmap_at(second.handle, WINDOW + 0x1000, second.dev_bus_addr),
    );
    assert_eq!(
        end_table(&mut world.mmu(), slot),
        Err(Pending::InUse),
        "one that was dropped is in use"
    );
    unmap(world, unmap_at(2, WINDOW, 0));
    assert_eq!(
        pages(world, &pair.granter.clone()),
        0,
        "nothing is in use any more"
    );
    world.machine.work.set(Work::Always);
    while end_table(&mut world.mmu(), slot) == Err(Pending::Preempted) {}
    assert_eq!(end_table(&mut world.mmu(), slot), Ok(()));
    assert_sound(world);
    kill(&mut pair.world, &pair.mapper, &bystander);
    assert_eq!(pair.world.hv.mm.allocator.free_frames(), free);
}

#[test]
fn of_both_in_either_order() {
    for granter_first in [true, false] {
        let (mut pair, bystander, [free, _], _) = busy();
        let (first, second) = if granter_first {
            (pair.granter.clone(), pair.mapper.clone())
        } else {
            (pair.mapper.clone(), pair.granter.clone())
        };
        kill(&mut pair.world, &first, &bystander);
        kill(&mut pair.world, &second, &bystander);
        assert_eq!(
            pages(&mut pair.world, &first) + pages(&mut pair.world, &second),
            0
        );
        // Whoever died first can let go of its table now.
        assert_eq!(end_table(&mut pair.world.mmu(), first.slot), Ok(()));
        assert_eq!(pair.world.hv.mm.allocator.free_frames(), free);
        assert_sound(&pair.world);
    }
}

#[test]
fn of_one_that_mapped_its_own_grants() {
    let mut world = World::new(512);
    let bystander = world.add_bystander();
    let free = world.hv.mm.allocator.free_frames();
    let guest = world.add_guest(1, false, 40);
    let table = set_up(&mut world, 1);
    publish(&world, &table, 3, 1, guest.frames[20], ACCESS);
    // Also the table itself.
    publish(&world, &table, 4, 1, table[0], ACCESS);
    map(&mut world, map_at(1, 3, WINDOW, HOST));
    map(&mut world, map_at(1, 4, WINDOW + 0x1000, HOST));
    kill(&mut world, &guest, &bystander);
    assert_eq!(pages(&mut world, &guest), 0);
    assert_eq!(world.hv.mm.allocator.free_frames(), free);
}

#[test]
fn a_table_that_somebody_maps_is_freed_with_that_mapping() {
    let mut world = World::new(512);
    let dom0 = world.add_guest(0, true, 40);
    let free = world.hv.mm.allocator.free_frames();
    let guest = world.add_guest(1, false, 40);
    let table = set_up(&mut world, 1);
    world.switch_to(&dom0);
    let word = crate::testing::entry(table[0], P | RW);
    assert_eq!(
        world.call(22, [5, word as u32, (word >> 32) as u32, 2, 1]),
        Ok(Outcome::Return(0))
    );
    kill(&mut world, &guest, &dom0);
    assert_eq!(end_table(&mut world.mmu(), guest.slot), Ok(()));
    assert_eq!(pages(&mut world, &guest), 1);
    assert_eq!(world.call(14, [5, 0, 0, 2, 0]), Ok(Outcome::Return(0)));
    assert_eq!(pages(&mut world, &guest), 0);
    assert_eq!(world.hv.mm.allocator.free_frames(), free);
    assert_sound(&world);
}

#[test]
fn no_death_takes_long_between_two_looks_at_waiting_work() {
    let (mut pair, bystander, _, _) = busy();
    for n in 0..300 {
        let reference = 100 + n / 200;
        publish(
            &pair.world,
            &pair.table,
            reference,
            2,
            pair.granter.frames[22],
            ACCESS,
        );
        let record = map_at(1, reference, 0, MapFlags::DEVICE_MAP);
        assert_eq!(one(&mut pair.world, record).status, OKAY);
    }
    pair.world.machine.work.set(Work::Always);
    pair.world.machine.measure_stretch();
    kill(&mut pair.world, &pair.mapper, &bystander);
    kill(&mut pair.world, &pair.granter, &bystander);
    // An audit reads without asking; what counts is read before it.
    let mut world = busy().0;
    let slot = world.mapper.slot;
    world.world.switch_to(&world.granter);
    world.world.machine.work.set(Work::Always);
    world.world.machine.measure_stretch();
    while end_mappings(&mut world.world.mmu(), slot).is_err() {}
    assert!(world.world.machine.longest_stretch.get() <= 4 * 512);
}
