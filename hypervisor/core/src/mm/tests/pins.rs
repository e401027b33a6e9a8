//! Pins and unpins.

use super::{assert_sound, mm, must, pin, refused, set, two, unmap, unpin};
use crate::{
    error::HvError,
    mm::{
        Kind, MmError,
        pte::{P, RW},
    },
    testing::{World, entry},
};
use guest_abi::addr::Mfn;

#[test]
fn pins_are_refused_where_they_would_not_hold() {
    let (mut world, guest, other) = two();
    assert_eq!(
        refused(&mut world, pin(4, guest.l3())),
        mm(MmError::NotPinnable(Kind::L4))
    );
    assert_eq!(
        refused(&mut world, pin(3, guest.l3())),
        mm(MmError::AlreadyPinned(guest.l3()))
    );
    let top = guest.top_l2();
    let why = MmError::TypeConflict {
        mfn: top,
        have: Kind::L2Top,
        want: Kind::L2,
    };
    assert_eq!(refused(&mut world, pin(2, top)), mm(why));
    assert_eq!(
        refused(&mut world, pin(1, Mfn::new(600))),
        mm(MmError::NoSuchFrame)
    );
    assert_eq!(
        refused(&mut world, pin(1, other.l1())),
        mm(MmError::NotOwned(other.l1()))
    );
    assert_eq!(
        refused(&mut world, unpin(other.l3())),
        mm(MmError::NotOwned(other.l3()))
    );
    for mfn in [guest.l1(), guest.l2(), top, guest.frames[10]] {
        assert_eq!(refused(&mut world, unpin(mfn)), mm(MmError::NotPinned(mfn)));
    }
    assert_eq!(
        refused(&mut world, unpin(Mfn::new(600))),
        mm(MmError::NoSuchFrame)
    );
    must(&mut world, &[pin(1, guest.l1()), pin(2, guest.l2())]);
    assert_eq!(
        refused(&mut world, pin(2, guest.l1())),
        mm(MmError::AlreadyPinned(guest.l1()))
    );
    assert_sound(&world);
    must(
        &mut world,
        &[unpin(guest.l1()), unpin(guest.l2()), unpin(guest.l3())],
    );
    assert_eq!(world.info(guest.l3()).type_word().count(), 1, "still the root");
    assert_sound(&world);
}

#[test]
fn a_table_that_cannot_be_is_left_as_it_was() {
    let (mut world, guest) = World::with_dom0();
    let (l1, l2) = (guest.frames[10], guest.frames[11]);
    unmap(&mut world, &guest, 10);
    unmap(&mut world, &guest, 11);
    world.machine.zero(l2);
    // Garbage, then a good table with one bad entry at the end, then one that names itself writable.
    assert!(matches!(
        refused(&mut world, pin(1, l1)),
        HvError::Mm(MmError::LeakyNonPresent { level: 1 })
    ));
    world.machine.zero(l1);
    for index in 0..500 {
        world
            .machine
            .poke(l1, index, entry(guest.frames[12 + index % 20], P | RW));
    }
    world.machine.poke(l1, 511, entry(guest.l1(), P | RW));
    let why = MmError::TypeConflict {
        mfn: guest.l1(),
        have: Kind::L1,
        want: Kind::Writable,
    };
    assert_eq!(refused(&mut world, pin(1, l1)), mm(why));
    world.machine.poke(l1, 511, entry(l1, P | RW));
    let why = MmError::TypeConflict {
        mfn: l1,
        have: Kind::L1,
        want: Kind::Writable,
    };
    assert_eq!(refused(&mut world, pin(1, l1)), mm(why));
    world.machine.poke(l2, 3, entry(l1, P | RW));
    world.machine.poke(l2, 2, entry(guest.l1(), P | RW));
    assert_eq!(refused(&mut world, pin(2, l2)), mm(why));
    assert_eq!(
        refused(&mut world, set(guest.l2(), 3, entry(l1, P | RW))),
        mm(why)
    );
    // As a read-only page of itself it is good.
    world.machine.poke(l1, 511, entry(l1, P));
    must(&mut world, &[pin(2, l2)]);
    assert_sound(&world);
    must(&mut world, &[unpin(l2)]);
    assert_eq!(world.info(guest.frames[12]).owner_word().count(), 2);
    assert_sound(&world);
}
