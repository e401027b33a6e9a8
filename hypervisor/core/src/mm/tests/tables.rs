//! Whole tables: what can be pinned, what it then holds, and what is given back.

use super::n;
use crate::{
    mm::{
        Kind, MmError, Stop,
        frame::TypeWord,
        pte::{P, RW, US},
    },
    testing::{Guest, Work, World, entry},
};
#[test]
fn a_guest_stands_and_its_tables_are_read_only() {
    let (world, guest) = World::with_dom0();
    for (mfn, kind) in [
        (guest.l3(), Kind::L3),
        (guest.l2(), Kind::L2),
        (guest.top_l2(), Kind::L2Top),
        (guest.l1(), Kind::L1),
        (guest.low_l1(), Kind::L1),
    ] {
        let word = world.info(mfn).type_word();
        assert_eq!((word.kind(), word.is_validated()), (kind, true));
    }
    assert_eq!(world.info(guest.l3()).type_word().count(), 2, "pin and root");
    assert!(world.guest_write(Guest::va(6), 1) && !world.guest_write(Guest::va(3), 1));
    assert_eq!(world.machine.peek(guest.l3(), 0) & (RW | US), RW | US);
    assert_eq!(world.machine.peek(guest.l3(), 4), 0);
    assert_eq!(world.machine.peek(guest.top_l2(), 480), world.hv.mm.window[0]);
}

#[test]
fn pin_and_unpin_pause_and_go_on() {
    let (mut world, guest) = World::with_dom0();
    let owner = world.owner(0);
    let l1 = guest.frames[10];
    for index in 0..512 {
        world.machine.poke(
            l1,
            index,
            entry(guest.frames[12], P | if index % 2 == 0 { RW } else { 0 }),
        );
    }
    world.machine.work.set(Work::Always);
    let mut tries = 0;
    // Its writable mapping is in the way.
    assert!(matches!(
        world.mmu().pin(n(l1), Kind::L1, owner),
        Err(Stop::Refused(MmError::TypeConflict { .. }))
    ));
    world.mmu().update_l1(guest.l1(), 10, 0, owner).unwrap();
    while world.mmu().pin(n(l1), Kind::L1, owner) == Err(Stop::Preempted) {
        tries += 1;
    }
    assert!(world.info(l1).type_word().has(TypeWord::PINNED));
    assert_eq!(world.info(guest.frames[12]).type_word().count(), 1 + 256);
    while world.mmu().unpin(n(l1), owner) == Err(Stop::Preempted) {
        tries += 1;
    }
    assert!(tries < 10);
    assert_eq!(world.info(guest.frames[12]).type_word().count(), 1);
    assert_eq!(world.info(l1).owner_word().count(), 1);
}
