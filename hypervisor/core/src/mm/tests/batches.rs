//! Call 1 as a batch: order, stops, counters, pauses.

use super::{DONE, REQUESTS, batch, must, pin, set, unpin};
use crate::{
    error::HvError,
    mm::{
        frame::TypeWord,
        pte::{P, RW, US},
    },
    outcome::Outcome,
    testing::{Work, World, entry},
};
use guest_abi::addr::HV_START;

#[test]
fn a_batch_stops_at_the_first_bad_entry_and_says_how_many_were_done() {
    let (mut world, guest) = World::with_dom0();
    let page = guest.frames[10];
    let good = |i| set(guest.low_l1(), i, entry(page, P | RW | US));
    let bad = set(guest.low_l1(), 2, entry(guest.l1(), P | RW));
    let (result, done) = batch(&mut world, &[good(0), good(1), bad, good(3)]);
    assert!(matches!(result, Err(HvError::Mm(_))) && result.unwrap_err().errno().to_eax() as i32 == -22);
    assert_eq!(done, 2);
    let stored = |i| world.machine.peek(guest.low_l1(), i);
    assert_eq!(
        [stored(0), stored(1), stored(2), stored(3)].map(|e| e != 0),
        [true, true, false, false]
    );
    assert_eq!(world.info(page).type_word().count(), 3);
}

#[test]
fn arguments_of_a_batch_are_judged_before_anything_is_done() {
    let (mut world, guest) = World::with_dom0();
    super::post(&world, &[set(guest.low_l1(), 0, entry(guest.frames[10], P))]);
    let before = world.snapshot();
    for (args, error) in [
        ([REQUESTS, 0x1_0000, 0, 0, 0], HvError::Invalid),
        ([HV_START - 8, 1, 0, 0, 0], HvError::Fault),
        ([0xFFFF_FFF8, 1, 0, 0, 0], HvError::Fault),
        ([REQUESTS, 1, HV_START - 2, 0, 0], HvError::Fault),
        ([0x1000, 1, 0, 0, 0], HvError::Fault),
    ] {
        assert_eq!(world.call(1, args), Err(error));
        world.assert_unchanged_since(&before);
    }
    assert_eq!(world.call(1, [REQUESTS, 0, DONE, 0, 0]), Ok(Outcome::Return(0)));
    assert_eq!(world.guest_read(DONE), Some(0));
}

#[test]
fn a_paused_batch_goes_on_and_counts_everything_once() {
    let (mut world, guest) = World::with_dom0();
    world.machine.work.set(Work::Always);
    let requests: Vec<_> = (0..250)
        .map(|i| set(guest.low_l1(), i, entry(guest.frames[6 + i % 20], P | RW)))
        .collect();
    super::post(&world, &requests);
    assert!(world.guest_write(DONE, 7));
    let first = world.call_once(1, [REQUESTS, 250, DONE, 0x51, 0xD1]);
    let Ok(Outcome::Again([at, count, done, 0x51, 0xD1])) = first else {
        panic!("{first:?}")
    };
    assert!(at > REQUESTS && count & 0x8000_0000 != 0 && done == DONE);
    assert_eq!(
        world.call(1, [at, count, done, 0x51, 0xD1]),
        Ok(Outcome::Return(0))
    );
    assert_eq!(world.guest_read(DONE), Some(250));
    assert_eq!(world.info(guest.frames[6]).type_word().count(), 1 + 13);
}

#[test]
fn long_requests_pause_in_their_middle() {
    let (mut world, guest) = World::with_dom0();
    // An L2 of eight L1s of 512 entries each.
    let (l2, l1s) = (guest.frames[10], &guest.frames[11..19]);
    must(
        &mut world,
        &(10..19).map(|i| set(guest.l1(), i, 0)).collect::<Vec<_>>(),
    );
    for index in 0..512 {
        for &l1 in l1s {
            world.machine.poke(l1, index, entry(guest.frames[20], P | RW));
        }
        world.machine.poke(l2, index, 0);
    }
    for (i, &l1) in l1s.iter().enumerate() {
        world.machine.poke(l2, i * 7, entry(l1, P | RW | US));
    }
    let before = world.snapshot();
    world.machine.work.set(Work::Always);
    world.machine.measure_stretch();
    let mut pauses = 0;
    for request in [pin(2, l2), unpin(l2)] {
        super::post(&world, &[request]);
        let mut args = [REQUESTS, 1, 0, 0, 0];
        while let Ok(Outcome::Again(next)) = world.call_once(1, args) {
            args = next;
            pauses += 1;
        }
    }
    assert!(pauses > 14, "{pauses}");
    assert!(
        world.machine.longest_stretch.get() <= 512 + 8,
        "{}",
        world.machine.longest_stretch.get()
    );
    let (mut before, mut after) = (before, world.snapshot());
    for snapshot in [&mut before, &mut after] {
        // The requests themselves.
        snapshot.forget_word(guest.frames[38], 0..2);
    }
    assert_eq!(after.differences(&before), Vec::<String>::new());
}

/// An update of a directory that nobody uses makes it valid for that long. Two tables may then be half torn down: what the old
/// entry named, and the directory.
#[test]
fn every_table_that_a_paused_request_leaves_half_torn_down_is_finished() {
    let (mut world, guest) = World::with_dom0();
    let (l2, l1) = (guest.frames[10], guest.frames[11]);
    must(
        &mut world,
        &(10..12).map(|i| set(guest.l1(), i, 0)).collect::<Vec<_>>(),
    );
    for index in 0..512 {
        world.machine.poke(l1, index, entry(guest.frames[20], P | RW));
        world.machine.poke(l2, index, 0);
    }
    world.machine.poke(l2, 0, entry(l1, P | RW | US));
    must(&mut world, &[pin(2, l2), unpin(l2)]);
    world.machine.work.set(Work::Always);
    // A request whose new entry is good, and one that is refused after its own table was half made.
    let bad = guest.frames[12];
    must(&mut world, &[set(guest.l1(), 12, 0)]);
    for index in 0..511 {
        world.machine.poke(bad, index, entry(guest.frames[20], P | RW));
    }
    world.machine.poke(bad, 511, entry(guest.l3(), P | RW));
    for (value, is_good) in [(entry(bad, P | RW | US), false), (0, true)] {
        let (result, done) = batch(&mut world, &[set(l2, 0, value)]);
        assert_eq!((result.is_ok(), done), (is_good, u32::from(is_good)));
        // What it left is finished by the next request, whatever that is.
        must(&mut world, &[set(guest.low_l1(), 0, 0)]);
        for table in [l2, l1, bad] {
            let word = world.info(table).type_word();
            assert!(!word.has(TypeWord::PARTIAL), "{value:#x}: {table:?}");
        }
        super::assert_sound(&world);
    }
    assert_eq!(world.info(guest.frames[20]).type_word().count(), 1);
}
