//! Arrays of records: each has a status of its own, and work that waits comes between them.

use super::*;
use crate::testing::Work;

const HOST: MapFlags = MapFlags::HOST_MAP;
const MAP_BYTES: u32 = size_of::<MapGrantRef>() as u32;
const UNMAP_BYTES: u32 = size_of::<UnmapGrantRef>() as u32;

/// A pair with references 100 to 100 + `count` for frame 20 on, each to write.
fn many(count: u32) -> Pair {
    let pair = pair();
    for n in 0..count {
        publish(
            &pair.world,
            &pair.table,
            100 + n,
            2,
            pair.granter.frames[20 + n as usize % 10],
            ACCESS,
        );
    }
    pair
}

/// Writes the records that map all of them, one after the other.
fn put_maps(world: &World, count: u32) {
    for n in 0..count {
        let record = map_at(1, 100 + n, WINDOW + 0x1000 * n, HOST);
        put(world, RECORDS + MAP_BYTES * n, &record);
    }
}

#[test]
fn each_record_has_its_own_status() {
    let mut pair = many(4);
    let world = &mut pair.world;
    let references = [100, 99, 101, 5000, 102];
    for (n, &reference) in (0..).zip(&references) {
        let record = map_at(1, reference, WINDOW + 0x1000 * n, HOST);
        put(world, RECORDS + MAP_BYTES * n, &record);
    }
    assert_eq!(world.call(20, [MAP, RECORDS, 5, 0, 0]), Ok(Outcome::Return(0)));
    let done: Vec<_> = (0..5)
        .map(|n| get::<MapGrantRef>(world, RECORDS + MAP_BYTES * n))
        .map(|record| (record.status, record.handle))
        .collect();
    let (general, beyond) = (GrantStatus::GENERAL_ERROR, GrantStatus::BAD_GNTREF);
    let untouched = 0xAAAA_AAAA;
    assert_eq!(
        done,
        [
            (OKAY, 0),
            (general, untouched),
            (OKAY, 1),
            (beyond, untouched),
            (OKAY, 2)
        ]
    );
    assert_sound(world);
}

#[test]
fn an_array_that_cannot_be_read_is_a_fault_behind_what_is_done() {
    let mut pair = many(4);
    let world = &mut pair.world;
    for at in [0xFC00_0000, 0xFBFF_FFF0, 0xFFFF_FFF0, 0x4000_0000, 0] {
        fails(world, [MAP, at, 1, 0, 0], HvError::Fault);
        fails(world, [UNMAP, at, 1, 0, 0], HvError::Fault);
    }
    fails(world, [MAP, RECORDS, 0x0800_0000, 0, 0], HvError::Fault);
    fails(world, [MAP, RECORDS, u32::MAX, 0, 0], HvError::Fault);
    assert_eq!(
        world.call(20, [MAP, u32::MAX, 0, 0, 0]),
        Ok(Outcome::Return(0)),
        "none at all"
    );
    // The second record begins in the last mapped page and ends behind it.
    let end = Guest::va(40);
    let first = end - MAP_BYTES - 8;
    put(world, first, &map_at(1, 100, WINDOW, HOST));
    assert_eq!(world.call(20, [MAP, first, 2, 0, 0]), Err(HvError::Fault));
    assert_eq!(get::<MapGrantRef>(world, first).status, OKAY);
    assert_sound(world);
    put(world, RECORDS, &unmap_at(0, WINDOW, 0));
    put(world, end - UNMAP_BYTES - 4, &unmap_at(0, WINDOW, 0));
    let flushes = world.machine.flushes.get();
    assert_eq!(
        world.call(20, [UNMAP, end - UNMAP_BYTES - 4, 2, 0, 0]),
        Err(HvError::Fault)
    );
    assert!(
        world.machine.flushes.get() > flushes,
        "what was unmapped is flushed all the same"
    );
    assert_eq!(world.guest_read(WINDOW), None);
    assert_sound(world);
}

#[test]
fn commands_that_take_one_record_and_commands_that_are_none() {
    let (mut world, _) = World::with_dom0();
    for command in [SETUP, QUERY] {
        for count in [0, 2, u32::MAX] {
            fails(&mut world, [command, RECORDS, count, 0, 0], HvError::Invalid);
        }
    }
    for command in [3, 7, 8, 12, u32::MAX] {
        fails(&mut world, [command, RECORDS, 1, 0, 0], HvError::NotImplemented);
    }
}

#[test]
fn a_batch_pauses_between_records_and_goes_on_with_the_rest() {
    let mut pair = many(100);
    let world = &mut pair.world;
    world.machine.work.set(Work::Always);
    put_maps(world, 100);
    let mut args = [MAP, RECORDS, 100, 0x51, 0xD1];
    let mut pauses = 0;
    loop {
        match world.call_once(20, args) {
            Ok(Outcome::Again(next)) => {
                assert_eq!(next[1] - args[1], (args[2] - next[2]) * MAP_BYTES);
                assert!(next[2] < args[2], "each attempt gets further");
                assert_eq!([next[0], next[3], next[4]], [MAP, 0x51, 0xD1]);
                (args, pauses) = (next, pauses + 1);
                assert_sound(world);
            }
            end => break assert_eq!(end, Ok(Outcome::Return(0))),
        }
    }
    assert!(pauses > 0);
    for n in 0..100 {
        assert_eq!(get::<MapGrantRef>(world, RECORDS + MAP_BYTES * n).handle, n);
        assert!(world.guest_write(WINDOW + 0x1000 * n, n));
    }
    for n in 0..100 {
        put(
            world,
            RECORDS + UNMAP_BYTES * n,
            &unmap_at(n, WINDOW + 0x1000 * n, 0),
        );
    }
    let mut args = [UNMAP, RECORDS, 100, 0, 0];
    while let Ok(Outcome::Again(next)) = world.call_once(20, args) {
        args = next;
        // No page that was given back is in reach while others run.
        let done = (args[1] - RECORDS) / UNMAP_BYTES;
        assert!((0..done).all(|n| world.guest_read(WINDOW + 0x1000 * n).is_none()));
    }
    assert_sound(world);
}

#[test]
fn a_batch_in_a_multicall_goes_on_as_well() {
    let mut pair = many(100);
    let world = &mut pair.world;
    world.machine.work.set(Work::Always);
    put_maps(world, 100);
    let entry = Guest::va(39);
    put(world, entry, &[20u32, MAP, RECORDS, 100, 0, 0, 0, 0]);
    assert_eq!(world.call(13, [entry, 1, 0, 0, 0]), Ok(Outcome::Return(0)));
    assert_eq!(get::<MapGrantRef>(world, RECORDS + MAP_BYTES * 99).handle, 99);
    assert_sound(world);
}
