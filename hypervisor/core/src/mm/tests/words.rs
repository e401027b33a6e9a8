//! NORMAL_PT_UPDATE on frames of every kind.

use super::{assert_sound, must, n, refused, set, unmap};
use crate::{
    error::HvError,
    mm::{
        Kind, MmError,
        pte::{P, RW},
    },
    testing::{Work, World, entry},
};
use guest_abi::addr::Mfn;

#[test]
fn a_word_of_an_ordinary_page_is_stored_as_it_is() {
    let (mut world, guest) = World::with_dom0();
    let anything = 0xFFFF_FFFF_FFFF_FFFF;
    must(&mut world, &[set(guest.frames[10], 511, anything)]);
    assert_eq!(world.machine.peek(guest.frames[10], 511), anything);
    unmap(&mut world, &guest, 11);
    must(&mut world, &[set(guest.frames[11], 0, anything)]);
    assert_sound(&world);
}

#[test]
fn descriptors_in_use_and_frames_of_others_are_refused() {
    let mut world = World::new(512);
    let other = world.add_guest(1, false, 40);
    let guest = world.add_guest(0, true, 40);
    let owner = world.owner(1);
    unmap(&mut world, &guest, 11);
    let page = guest.frames[11];
    world.machine.zero(page);
    world.mmu().take_descriptor_page(n(page), owner).unwrap();
    let why = MmError::TypeConflict {
        mfn: page,
        have: Kind::SegDesc,
        want: Kind::Writable,
    };
    assert_eq!(refused(&mut world, set(page, 0, 1)), HvError::Mm(why));
    world.mmu().put_descriptor_page(page);
    assert_eq!(world.info(page).type_word().kind(), Kind::SegDesc);
    must(&mut world, &[set(page, 0, 1)]);
    assert_eq!(world.info(page).type_word().kind(), Kind::Writable);
    for mfn in [
        other.l1(),
        other.frames[20],
        Mfn::new(3),
        Mfn::new(16),
        Mfn::new(24),
    ] {
        assert_eq!(
            refused(&mut world, set(mfn, 0, 0)),
            HvError::Mm(MmError::NotOwned(mfn))
        );
    }
    for number in [512, 0x10_0000] {
        assert_eq!(
            refused(&mut world, set(Mfn::new(number), 0, 0)),
            HvError::Mm(MmError::NoSuchFrame)
        );
    }
    // The foreign domain owns what is mapped, never the table.
    let foreign = guest_abi::mmu::Extended::SetForeignDom {
        domain: guest_abi::domain::DomId::new(1),
    };
    let foreign = guest_abi::mmu::MmuUpdate::extended(foreign);
    assert_eq!(
        super::batch(&mut world, &[foreign, set(other.low_l1(), 0, 0)]).1,
        1
    );
}

#[test]
fn what_was_a_table_is_judged_as_one_until_it_is_something_else() {
    for pending in [Work::Never, Work::Always] {
        let (mut world, guest) = World::with_dom0();
        world.machine.work.set(pending);
        let l1 = guest.low_l1();
        must(
            &mut world,
            &[set(l1, 7, entry(guest.frames[10], P | RW)), set(guest.l2(), 0, 0)],
        );
        let word = world.info(l1).type_word();
        assert_eq!(
            (word.kind(), word.count(), word.is_validated()),
            (Kind::L1, 0, false)
        );
        // Valid as a whole, and so is the new entry: stored, and nothing held.
        must(&mut world, &[set(l1, 8, entry(guest.frames[10], P | RW))]);
        assert_eq!(world.info(guest.frames[10]).type_word().count(), 1);
        assert_sound(&world);
        // The new entry is bad.
        let why = MmError::TypeConflict {
            mfn: guest.l1(),
            have: Kind::L1,
            want: Kind::Writable,
        };
        let error = refused(&mut world, set(l1, 9, entry(guest.l1(), P | RW)));
        // A refusal that paused in its undoing has forgotten why.
        assert!(error == HvError::Mm(why) || (pending == Work::Always && error == HvError::Invalid));
        // The rest of the table is bad: no table any more.
        world.machine.poke(l1, 300, entry(guest.l1(), P | RW));
        let error = refused(&mut world, set(l1, 9, 0));
        assert!(error == HvError::Mm(why) || (pending == Work::Always && error == HvError::Invalid));
        assert_eq!(world.info(l1).type_word().kind(), Kind::None);
        must(&mut world, &[set(l1, 9, 0xFFFF_FFFF_FFFF_FFFF)]);
        assert_sound(&world);
    }
}

#[test]
fn an_unused_l2_is_validated_for_one_update_and_let_go() {
    for pending in [Work::Never, Work::Always] {
        let (mut world, guest) = World::with_dom0();
        let l2 = guest.l2();
        must(&mut world, &[set(guest.l3(), 0, 0)]);
        world.machine.work.set(pending);
        must(&mut world, &[set(l2, 9, entry(guest.low_l1(), P))]);
        assert_eq!(
            world.info(guest.low_l1()).owner_word().count(),
            2,
            "its allocation and a read-only mapping"
        );
        assert_eq!(world.machine.peek(l2, 9), entry(guest.low_l1(), P));
        assert_sound(&world);
    }
}
