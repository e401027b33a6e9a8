//! Extended commands of call 1.

use super::{DONE, REQUESTS, assert_sound, batch, must, n, pin, post, refused, set, unmap, unpin};
use crate::{
    error::HvError,
    mm::{
        Kind, MmError,
        pte::{CACHE, P, RW},
    },
    outcome::Outcome,
    testing::{Guest, World, entry},
};
use guest_abi::{
    addr::{GuestVirt, Mfn, Pfn},
    domain::DomId,
    mmu::{Extended, MmuUpdate},
};

fn mm(error: MmError) -> HvError {
    HvError::Mm(error)
}

const fn ext(request: Extended) -> MmuUpdate {
    MmuUpdate::extended(request)
}

const fn foreign(id: u16) -> MmuUpdate {
    ext(Extended::SetForeignDom {
        domain: DomId::new(id),
    })
}

/// Domain 1 (plain) and domain 0, which runs.
fn two() -> (World, Guest, Guest) {
    let mut world = World::new(512);
    let other = world.add_guest(1, false, 40);
    let guest = world.add_guest(0, true, 40);
    (world, guest, other)
}

#[test]
fn unknown_commands_are_refused() {
    let (mut world, guest) = World::with_dom0();
    for ptr in [1, 4, 5, 6, 7] {
        let request = MmuUpdate {
            ptr: guest.low_l1().addr().raw() | ptr,
            val: 0,
        };
        assert_eq!(refused(&mut world, request), mm(MmError::BadRequest));
    }
    for val in [14, 255, 0x100, 1 << 63] {
        assert_eq!(
            refused(&mut world, MmuUpdate { ptr: 3, val }),
            mm(MmError::BadRequest)
        );
    }
}

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

#[test]
fn flushes() {
    let (mut world, _) = World::with_dom0();
    let flush = ext(Extended::TlbFlush);
    must(
        &mut world,
        &[
            flush,
            flush,
            ext(Extended::Invlpg {
                address: GuestVirt::new(0x1234_5678),
            }),
        ],
    );
    assert_eq!(world.machine.flushes.take(), 1);
    assert_eq!(world.machine.page_flushes.take(), [GuestVirt::new(0x1234_5678)]);
    // At the end even of a batch that fails.
    let (result, done) = batch(&mut world, &[flush, MmuUpdate { ptr: 1, val: 0 }]);
    assert!(result.is_err() && done == 1 && world.machine.flushes.take() == 1);
    must(&mut world, &[ext(Extended::FlushCache)]);
    assert_eq!(world.machine.cache_flushes.take(), 1);
    let mut world = World::new(512);
    world.add_guest(1, false, 40);
    assert_eq!(
        refused(&mut world, ext(Extended::FlushCache)),
        mm(MmError::Denied)
    );
    assert_eq!(world.machine.cache_flushes.take(), 0);
}

#[test]
fn a_new_base_has_flushed_already() {
    let (mut world, guest) = World::with_dom0();
    must(
        &mut world,
        &[
            ext(Extended::TlbFlush),
            ext(Extended::NewBasePtr {
                l3: guest.l3().addr(),
            }),
        ],
    );
    assert_eq!(world.machine.flushes.take(), 0);
    assert_sound(&world);
}

#[test]
fn the_foreign_domain_is_the_owner_of_what_is_named() {
    let (mut world, guest, other) = two();
    let theirs = set(guest.low_l1(), 0, entry(other.frames[20], P | RW));
    let ours = set(guest.low_l1(), 1, entry(guest.frames[20], P | RW));
    must(&mut world, &[foreign(1), theirs]);
    assert_sound(&world);
    assert_eq!(batch(&mut world, &[foreign(1), ours]).1, 1);
    assert_eq!(
        batch(&mut world, &[foreign(1), ext(Extended::ClearForeignDom), ours]).1,
        3
    );
    // Gone with the call.
    assert_eq!(
        refused(&mut world, set(guest.low_l1(), 2, entry(other.frames[20], P))),
        mm(MmError::NotOwned(other.frames[20]))
    );
    // A failed change clears it all the same; the batch ends there anyway.
    for id in [0x7FF0, 7, 0x7FFF, 0xFFFF] {
        assert_eq!(refused(&mut world, foreign(id)), mm(MmError::NoSuchDomain));
    }
    // Pins and frame numbers of the foreign domain's frames.
    must(
        &mut world,
        &[
            foreign(1),
            pin(1, other.low_l1()),
            MmuUpdate::machphys(other.frames[20], Pfn::new(7)),
        ],
    );
    assert_eq!(world.machine.m2p.borrow()[other.frames[20].index()], 7);
    assert_sound(&world);
    must(&mut world, &[foreign(1), unpin(other.low_l1())]);
    assert_eq!(batch(&mut world, &[foreign(1), pin(1, guest.low_l1())]).1, 1);
    assert_sound(&world);
}

#[test]
fn device_and_hypervisor_frames_by_foreign_domain() {
    let (mut world, guest, other) = two();
    must(
        &mut world,
        &[
            foreign(0x7FF1),
            set(guest.low_l1(), 0, entry(Mfn::new(3), P | RW | CACHE)),
        ],
    );
    must(
        &mut world,
        &[foreign(0x7FF2), set(guest.low_l1(), 1, entry(Mfn::new(24), P))],
    );
    assert_sound(&world);
    let shown = set(guest.low_l1(), 1, entry(Mfn::new(24), P | RW));
    assert_eq!(batch(&mut world, &[foreign(0x7FF2), shown]).1, 1);
    let hidden = set(guest.low_l1(), 1, entry(Mfn::new(16), P));
    assert_eq!(batch(&mut world, &[foreign(0x7FF2), hidden]).1, 1);
    for id in [0x7FF1, 0x7FF2] {
        for request in [
            pin(1, Mfn::new(3)),
            unpin(Mfn::new(3)),
            MmuUpdate::machphys(Mfn::new(3), Pfn::new(1)),
        ] {
            assert_eq!(batch(&mut world, &[foreign(id), request]).1, 1);
        }
    }
    assert_sound(&world);
    // A plain domain may name devices, and gets nothing by it.
    world.switch_to(&other);
    for id in [0, 0x7FF2] {
        assert_eq!(refused(&mut world, foreign(id)), mm(MmError::Denied));
    }
    let device = set(other.low_l1(), 0, entry(Mfn::new(3), P));
    let (result, done) = batch(&mut world, &[foreign(0x7FF1), device]);
    assert_eq!((result, done), (Err(mm(MmError::IoDenied)), 1));
    assert_sound(&world);
}

#[test]
fn frame_numbers_are_set_for_ones_own_frames() {
    let (mut world, guest, other) = two();
    must(
        &mut world,
        &[MmuUpdate::machphys(guest.frames[10], Pfn::new(0xFFFF_FFFF))],
    );
    assert_eq!(world.machine.m2p.borrow()[guest.frames[10].index()], 0xFFFF_FFFF);
    for mfn in [other.frames[10], Mfn::new(16), Mfn::new(3)] {
        assert_eq!(
            refused(&mut world, MmuUpdate::machphys(mfn, Pfn::new(1))),
            mm(MmError::NotOwned(mfn))
        );
    }
    assert_eq!(
        refused(&mut world, MmuUpdate::machphys(Mfn::new(512), Pfn::new(1))),
        mm(MmError::NoSuchFrame)
    );
    let wide = MmuUpdate {
        val: 1 << 32,
        ..MmuUpdate::machphys(guest.frames[10], Pfn::new(1))
    };
    assert_eq!(refused(&mut world, wide), mm(MmError::BadRequest));
}

#[test]
fn reassigned_pages_are_counted_checked_and_flushed() {
    let (mut world, guest, other) = two();
    let page = guest.frames[10];
    let give = |mfn: Mfn| ext(Extended::ReassignPage { frame: mfn.addr() });
    assert_eq!(
        refused(&mut world, give(page)),
        mm(MmError::NoSuchDomain),
        "no foreign domain"
    );
    let failing = |world: &mut World, mfn| batch(world, &[foreign(1), give(mfn)]);
    assert_eq!(
        failing(&mut world, page),
        (Err(mm(MmError::InUse(page))), 1),
        "mapped"
    );
    unmap(&mut world, &guest, 10);
    assert_eq!(failing(&mut world, other.frames[10]).1, 1);
    assert_eq!(failing(&mut world, Mfn::new(16)).1, 1);
    let shared = world.hv.domains[1].as_deref().unwrap().shared_info;
    assert_eq!(
        failing(&mut world, shared),
        (Err(mm(MmError::NotOwned(shared))), 1)
    );
    world.machine.flushes.take();
    must(&mut world, &[foreign(1), give(page)]);
    assert_eq!(world.machine.flushes.take(), 1);
    assert_eq!(
        world
            .hv
            .domains
            .iter()
            .flatten()
            .map(|d| d.total_pages)
            .collect::<Vec<_>>(),
        [41, 39]
    );
    assert_sound(&world);
    // The receiver may own no more, or is going away.
    unmap(&mut world, &guest, 11);
    let receiver = world.hv.domains[0].as_deref_mut().unwrap();
    receiver.max_pages = 41;
    assert_eq!(
        failing(&mut world, guest.frames[11]),
        (Err(mm(MmError::OverQuota)), 1)
    );
    let receiver = world.hv.domains[0].as_deref_mut().unwrap();
    (receiver.max_pages, receiver.run.held) = (100, crate::sched::Held::DYING);
    assert_eq!(
        failing(&mut world, guest.frames[11]),
        (Err(mm(MmError::NoSuchDomain)), 0)
    );
    assert_sound(&world);
    // Transfers need an invitation, which nobody can give yet; the page stays.
    let receiver = world.hv.domains[0].as_deref_mut().unwrap();
    receiver.run.held = crate::sched::Held::empty();
    let transfer = |mfn: Mfn| {
        ext(Extended::TransferPage {
            frame: mfn.addr(),
            domain: DomId::new(1),
            reference: 8,
        })
    };
    assert_eq!(
        refused(&mut world, transfer(guest.frames[11])),
        mm(MmError::NotInvited)
    );
    assert_eq!(
        refused(&mut world, transfer(guest.frames[12])),
        mm(MmError::InUse(guest.frames[12]))
    );
    // A plain domain may not give pages away like that.
    world.switch_to(&other);
    assert_eq!(refused(&mut world, give(other.frames[12])), mm(MmError::Denied));
}

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
fn a_forged_continuation_gets_nothing_that_requests_would_not() {
    let (mut world, guest, other) = two();
    world.switch_to(&other);
    post(&world, &[set(other.low_l1(), 0, entry(guest.frames[20], P | RW))]);
    let forged = |foreign: u32, left: u32| [REQUESTS, 1 << 31 | foreign << 16 | left, DONE, 0, 0];
    let before = world.snapshot();
    for foreign in [0, 7, 0x7FF2, 0x7FFF] {
        assert_eq!(world.call(1, forged(foreign, 1)), Err(HvError::Invalid));
    }
    assert!(world.call(1, forged(0x7FF0, 1)).is_err() && world.call(1, forged(0x7FF1, 1)).is_err());
    let (mut before, mut after) = (before, world.snapshot());
    for snapshot in [&mut before, &mut after] {
        snapshot.forget_word(other.frames[39], 0..1);
    }
    assert_eq!(after.differences(&before), Vec::<String>::new());
    assert!(world.guest_write(DONE, 41));
    post(&world, &[set(other.low_l1(), 0, entry(other.frames[20], P | RW))]);
    assert_eq!(world.call(1, forged(0x7FF0, 1)), Ok(Outcome::Return(0)));
    assert_eq!(world.guest_read(DONE), Some(42));
    assert_eq!(n(other.l1()), u64::from(other.l1().raw()));
}

#[test]
fn a_request_that_changes_while_it_is_judged_counts_as_it_was_read() {
    let (mut world, guest) = World::with_dom0();
    let good = entry(guest.frames[20], P);
    let bad = entry(guest.l1(), P | RW);
    let requests = guest.frames[38];
    // A device, say, writes the value of the first request right after it was read.
    for count in [1, 2] {
        post(
            &world,
            &[set(guest.low_l1(), 0, good), set(guest.low_l1(), 1, good)],
        );
        world.machine.tamper.borrow_mut().push((requests, 1, bad));
        assert_eq!(world.call(1, [REQUESTS, count, 0, 0, 0]), Ok(Outcome::Return(0)));
        assert_eq!(world.machine.peek(requests, 1), bad, "it did change");
        assert_eq!(world.machine.peek(guest.low_l1(), 0), good);
        assert_sound(&world);
    }
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
