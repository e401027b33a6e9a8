//! L2 and L3 entries, linear maps, roots.

use super::{assert_sound, mm, must, n, pin, refused, set, unmap, unpin};
use crate::{
    mm::{
        Kind, MmError,
        pte::{A, NX, P, RW, US},
    },
    testing::{Guest, World, entry},
};
use guest_abi::{
    addr::Mfn,
    mmu::{Extended, MmuUpdate},
};

fn new_base(l3: Mfn) -> MmuUpdate {
    MmuUpdate::extended(Extended::NewBasePtr { l3: l3.addr() })
}

/// A fresh zeroed frame of the guest that nothing maps.
fn blank(world: &mut World, guest: &Guest, index: usize) -> Mfn {
    unmap(world, guest, index);
    world.machine.zero(guest.frames[index]);
    guest.frames[index]
}

#[test]
fn bits_of_l2_and_l3_entries() {
    let (mut world, guest) = World::with_dom0();
    let l1 = blank(&mut world, &guest, 10);
    let l2 = blank(&mut world, &guest, 11);
    for bit in [3, 4, 7, 8, 59, 60, 61, 62] {
        let why = mm(MmError::ForbiddenBits { level: 2 });
        assert_eq!(
            refused(&mut world, set(guest.l2(), 7, entry(l1, P | 1 << bit))),
            why
        );
        // Unchanged frame.
        assert_eq!(
            refused(
                &mut world,
                set(guest.l2(), 0, entry(guest.low_l1(), P | RW | US | 1 << bit))
            ),
            why
        );
        let why = mm(MmError::ForbiddenBits { level: 3 });
        assert_eq!(
            refused(&mut world, set(guest.l3(), 1, entry(l2, P | 1 << bit))),
            why
        );
        assert_eq!(
            refused(&mut world, set(guest.l3(), 0, entry(guest.l2(), P | 1 << bit))),
            why
        );
    }
    assert_eq!(
        refused(&mut world, set(guest.l3(), 1, entry(l2, P | NX))),
        mm(MmError::ForbiddenBits { level: 3 })
    );
    let ram = entry(Mfn::new(9), RW);
    assert_eq!(
        refused(&mut world, set(guest.l2(), 7, ram)),
        mm(MmError::LeakyNonPresent { level: 2 })
    );
    assert_eq!(
        refused(&mut world, set(guest.l3(), 1, ram)),
        mm(MmError::LeakyNonPresent { level: 3 })
    );
    // A large page that begins at frame 0, or that a frame beyond RAM only names the middle of.
    for large in [
        1 << 7,
        RW | 1 << 7,
        entry(Mfn::new(513), 1 << 7),
        1 << 63 | 1 << 7,
    ] {
        assert_eq!(
            refused(&mut world, set(guest.l2(), 7, large)),
            mm(MmError::LeakyNonPresent { level: 2 })
        );
        assert_eq!(
            refused(&mut world, set(guest.l3(), 1, large)),
            mm(MmError::LeakyNonPresent { level: 3 })
        );
        world.machine.poke(l2, 9, large);
        assert_eq!(
            refused(&mut world, pin(2, l2)),
            mm(MmError::LeakyNonPresent { level: 2 })
        );
        world.machine.poke(l2, 9, 0);
    }
    must(
        &mut world,
        &[
            set(guest.l2(), 7, entry(l1, P | RW | US | NX)),
            set(guest.l3(), 1, entry(l2, P)),
        ],
    );
    assert_eq!(world.machine.peek(guest.l3(), 1), entry(l2, P | RW | US));
    assert_sound(&world);
    must(&mut world, &[set(guest.l2(), 7, 0), set(guest.l3(), 1, 0)]);
    assert_eq!(
        (
            world.info(l1).owner_word().count(),
            world.info(l2).owner_word().count()
        ),
        (1, 1)
    );
    assert_sound(&world);
}

#[test]
fn slots_that_are_not_the_guests() {
    let (mut world, guest) = World::with_dom0();
    let l1 = blank(&mut world, &guest, 10);
    for slot in [480, 511] {
        for word in [0, entry(l1, P)] {
            let why = mm(MmError::ReservedSlot { level: 2, slot });
            assert_eq!(
                refused(&mut world, set(guest.top_l2(), usize::from(slot), word)),
                why
            );
        }
    }
    must(
        &mut world,
        &[
            set(guest.l2(), 480, entry(l1, P)),
            set(guest.top_l2(), 479, entry(l1, P)),
        ],
    );
    let l2 = blank(&mut world, &guest, 11);
    for slot in [3, 4, 511] {
        for word in [0, entry(l2, P), entry(guest.top_l2(), P)] {
            let why = mm(MmError::ReservedSlot { level: 3, slot });
            assert_eq!(refused(&mut world, set(guest.l3(), usize::from(slot), word)), why);
        }
    }
    assert_sound(&world);
}

#[test]
fn a_table_is_named_at_its_own_level_only() {
    let (mut world, guest) = World::with_dom0();
    let conflict = |mfn, have, want| mm(MmError::TypeConflict { mfn, have, want });
    // Named in an L2.
    for (mfn, have) in [
        (guest.l3(), Kind::L3),
        (guest.top_l2(), Kind::L2Top),
        (guest.frames[10], Kind::Writable),
    ] {
        assert_eq!(
            refused(&mut world, set(guest.l2(), 7, entry(mfn, P))),
            conflict(mfn, have, Kind::L1)
        );
    }
    // Named in an L3: L1s, the top L2 of any L3, itself.
    for (mfn, have) in [
        (guest.l1(), Kind::L1),
        (guest.top_l2(), Kind::L2Top),
        (guest.l3(), Kind::L3),
        (guest.frames[10], Kind::Writable),
    ] {
        assert_eq!(
            refused(&mut world, set(guest.l3(), 1, entry(mfn, P))),
            conflict(mfn, have, Kind::L2)
        );
    }
    for (table, slot) in [(guest.l2(), 7), (guest.l3(), 1)] {
        assert_eq!(
            refused(&mut world, set(table, slot, entry(Mfn::new(16), P))),
            mm(MmError::NotOwned(Mfn::new(16)))
        );
        assert_eq!(
            refused(&mut world, set(table, slot, entry(Mfn::new(3), P))),
            mm(MmError::NotOwned(Mfn::new(3)))
        );
        assert_eq!(
            refused(&mut world, set(table, slot, entry(Mfn::new(600), P))),
            mm(MmError::NoSuchFrame)
        );
    }
    must(&mut world, &[set(guest.l3(), 1, entry(guest.l2(), P))]);
    assert_eq!(world.info(guest.l2()).type_word().count(), 2);
    assert_sound(&world);
}

#[test]
fn an_l2_may_name_itself_read_only() {
    let (mut world, guest) = World::with_dom0();
    for table in [guest.l2(), guest.top_l2()] {
        let before = (world.info(table).owner_word(), world.info(table).type_word());
        let why = mm(MmError::LinearMap(table));
        assert_eq!(refused(&mut world, set(table, 5, entry(table, P | RW))), why);
        must(&mut world, &[set(table, 5, entry(table, P | US))]);
        assert_eq!(
            refused(&mut world, set(table, 5, entry(table, P | RW | US))),
            why,
            "by the short way"
        );
        assert_eq!(
            (world.info(table).owner_word(), world.info(table).type_word()),
            before
        );
        assert_sound(&world);
        // It reads as a page and does not write as one.
        let at = if table == guest.l2() {
            5 << 21
        } else {
            Guest::BASE + (5 << 21)
        };
        assert!(world.guest_read(at).is_some() && !world.guest_write(at, 0));
    }
}

#[test]
fn linear_maps_are_read_only_one_deep_and_of_one_address_space() {
    let (mut world, guest) = World::with_dom0();
    let stranger = blank(&mut world, &guest, 11);
    must(&mut world, &[pin(2, stranger)]);
    let linear = |mfn| mm(MmError::LinearMap(mfn));
    // Another L2 of the same L3, from the top L2: read-only.
    assert_eq!(
        refused(&mut world, set(guest.top_l2(), 6, entry(guest.l2(), P | RW))),
        linear(guest.l2())
    );
    must(&mut world, &[set(guest.top_l2(), 6, entry(guest.l2(), P))]);
    assert_eq!(
        refused(&mut world, set(guest.top_l2(), 6, entry(guest.l2(), P | RW))),
        linear(guest.l2())
    );
    assert_eq!(world.info(guest.l2()).type_word().count(), 2);
    // An L2 of another address space, or of none.
    assert_eq!(
        refused(&mut world, set(guest.top_l2(), 7, entry(stranger, P))),
        linear(stranger)
    );
    // From an L2 that can itself be named: chains would begin here.
    must(&mut world, &[set(guest.l3(), 1, entry(stranger, P))]);
    assert_eq!(
        refused(&mut world, set(stranger, 7, entry(guest.l2(), P))),
        linear(guest.l2())
    );
    must(&mut world, &[set(guest.top_l2(), 7, entry(stranger, P))]);
    assert_sound(&world);
    // The linear map keeps what it names valid.
    must(&mut world, &[set(guest.l3(), 1, 0), unpin(stranger)]);
    assert!(world.info(stranger).type_word().is_validated());
    assert_sound(&world);
    must(
        &mut world,
        &[set(guest.top_l2(), 7, 0), set(guest.top_l2(), 6, 0)],
    );
    assert_eq!(world.info(stranger).owner_word().count(), 1);
    assert_sound(&world);
}

#[test]
fn a_second_address_space_shares_all_but_the_top() {
    let (mut world, guest) = World::with_dom0();
    let (l3, top) = (blank(&mut world, &guest, 10), blank(&mut world, &guest, 11));
    world.machine.poke(l3, 0, entry(guest.l2(), P));
    world.machine.poke(l3, 4, entry(guest.l1(), P));
    world.machine.poke(l3, 511, 0xBAD);
    // No top L2; then the other address space's.
    assert_eq!(refused(&mut world, pin(3, l3)), mm(MmError::NoTopDirectory));
    world.machine.poke(l3, 3, entry(guest.top_l2(), P));
    let why = MmError::TypeConflict {
        mfn: guest.top_l2(),
        have: Kind::L2Top,
        want: Kind::L2Top,
    };
    assert_eq!(refused(&mut world, pin(3, l3)), mm(why));
    assert_eq!(refused(&mut world, new_base(l3)), mm(why));
    world.machine.poke(l3, 3, entry(top, P));
    world.machine.poke(top, 0, entry(guest.l1(), P | RW));
    world.machine.poke(top, 3, entry(guest.l2(), P));
    world.machine.poke(top, 500, 0xBAD);
    must(&mut world, &[pin(3, l3), new_base(l3)]);
    assert_eq!((world.machine.root(), world.machine.peek(l3, 4)), (Some(l3), 0));
    assert_sound(&world);
    assert!(world.guest_write(Guest::va(20), 5));
    // Back, and everything of the second one is given back as it was accepted.
    must(&mut world, &[new_base(guest.l3()), unpin(l3)]);
    assert_eq!(world.machine.peek(l3, 3), entry(top, P));
    assert_eq!(world.machine.peek(top, 500), 0);
    assert_eq!(world.info(top).type_word().kind(), Kind::None);
    world.machine.poke(l3, 3, entry(top, P | A));
    must(&mut world, &[new_base(l3), new_base(guest.l3())]);
    assert_eq!(world.info(l3).owner_word().count(), 1);
    assert_sound(&world);
}

#[test]
fn roots_are_l3s_of_ones_own() {
    let mut world = World::new(512);
    let other = world.add_guest(1, false, 40);
    let guest = world.add_guest(0, true, 40);
    assert_eq!(
        refused(&mut world, new_base(other.l3())),
        mm(MmError::NotOwned(other.l3()))
    );
    assert_eq!(
        refused(&mut world, new_base(Mfn::new(16))),
        mm(MmError::NotOwned(Mfn::new(16)))
    );
    assert_eq!(
        refused(&mut world, new_base(Mfn::new(0x10_0000))),
        mm(MmError::NoSuchFrame)
    );
    for (mfn, have) in [
        (guest.l2(), Kind::L2),
        (guest.l1(), Kind::L1),
        (guest.frames[9], Kind::Writable),
    ] {
        assert_eq!(
            refused(&mut world, new_base(mfn)),
            mm(MmError::TypeConflict {
                mfn,
                have,
                want: Kind::L3
            })
        );
    }
    // The foreign domain does not count for a root.
    let foreign = MmuUpdate::extended(Extended::SetForeignDom {
        domain: guest_abi::domain::DomId::new(1),
    });
    let (result, done) = super::batch(&mut world, &[foreign, new_base(other.l3())]);
    assert_eq!((result, done), (Err(mm(MmError::NotOwned(other.l3()))), 1));
    must(&mut world, &[new_base(guest.l3())]);
    assert_eq!(n(guest.l3()), u64::from(world.machine.root().unwrap().raw()));
    assert_sound(&world);
}
