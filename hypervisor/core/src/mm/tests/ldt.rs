//! Pages of descriptors: the LDT, and what a descriptor page cannot be at the same time.

use super::{assert_sound, ext, mm, must, n, pin, refused, set, unmap};
use crate::{
    mm::{
        Kind, MmError,
        pte::{P, RW},
    },
    testing::{Guest, World, entry},
};
use guest_abi::{addr::GuestVirt, mmu::Extended};

#[test]
fn an_ldt_is_registered_mapped_and_dropped() {
    let (mut world, guest) = World::with_dom0();
    let ldt = |at: u32, entries| {
        ext(Extended::SetLdt {
            base: GuestVirt::new(at),
            entries,
        })
    };
    let at = Guest::va(10);
    for request in [
        ldt(at + 8, 1),
        ldt(at, 8193),
        ldt(0xFFFF_F000, 8192),
        ldt(0xFC3F_F000, 513),
    ] {
        assert_eq!(refused(&mut world, request), mm(MmError::BadLdt));
    }
    // Still mapped writable: registered, not mapped.
    world.machine.zero(guest.frames[10]);
    must(&mut world, &[ldt(at, 1000)]);
    assert_eq!(*world.machine.cpu.ldt.borrow(), ([].into(), 1000));
    assert!(!world.mmu().map_ldt_page(0) && !world.mmu().map_ldt_page(1) && !world.mmu().map_ldt_page(2));
    must(
        &mut world,
        &[set(guest.l1(), 10, entry(guest.frames[10], P)), ldt(at, 1000)],
    );
    assert_eq!(world.machine.cpu.ldt.borrow().0, [(0, guest.frames[10])].into());
    assert!(!world.mmu().map_ldt_page(0), "mapped already");
    assert_sound(&world);
    let why = MmError::TypeConflict {
        mfn: guest.frames[10],
        have: Kind::SegDesc,
        want: Kind::Writable,
    };
    assert_eq!(
        refused(&mut world, set(guest.l1(), 10, entry(guest.frames[10], P | RW))),
        mm(why)
    );
    // A new base empties the window, and the first page comes back at the end.
    must(
        &mut world,
        &[ext(Extended::NewBasePtr {
            l3: guest.l3().addr(),
        })],
    );
    assert_eq!(world.machine.cpu.ldt.borrow().0.len(), 1);
    assert_sound(&world);
    // So does the end of its mapping.
    must(&mut world, &[set(guest.l1(), 10, 0)]);
    assert_eq!(world.machine.cpu.ldt.borrow().0.len(), 0);
    assert_sound(&world);
    // Bad descriptors do not get in: a call gate.
    must(
        &mut world,
        &[
            set(guest.frames[10], 3, 0x0000_EC00_0000_0000),
            set(guest.l1(), 10, entry(guest.frames[10], P)),
        ],
    );
    assert!(!world.mmu().map_ldt_page(0));
    must(&mut world, &[ldt(0, 0)]);
    assert_eq!(world.machine.cpu.ldt.borrow().1, 0);
    assert_sound(&world);
}

#[test]
fn a_page_of_descriptors_is_no_page_table() {
    let (mut world, guest) = World::with_dom0();
    let page = guest.frames[10];
    unmap(&mut world, &guest, 10);
    world.machine.zero(page);
    let owner = world.owner(0);
    world.mmu().take_descriptor_page(n(page), owner).unwrap();
    let conflict = |have, want| {
        mm(MmError::TypeConflict {
            mfn: page,
            have,
            want,
        })
    };
    let word = entry(page, P | RW);
    assert_eq!(
        refused(&mut world, set(guest.l2(), 7, word)),
        conflict(Kind::SegDesc, Kind::L1)
    );
    assert_eq!(
        refused(&mut world, pin(1, page)),
        conflict(Kind::SegDesc, Kind::L1)
    );
    assert_eq!(
        refused(&mut world, pin(2, page)),
        conflict(Kind::SegDesc, Kind::L2)
    );
    // And the other way round.
    world.mmu().put_descriptor_page(page);
    must(&mut world, &[pin(1, page)]);
    let refusal = world.mmu().take_descriptor_page(n(page), owner);
    assert_eq!(
        refusal.map_err(|stop| stop
            == crate::mm::Stop::Refused(MmError::TypeConflict {
                mfn: page,
                have: Kind::L1,
                want: Kind::SegDesc
            })),
        Err(true)
    );
    assert_sound(&world);
}
