//! L1 entries: calls 1 and 14.

use super::{assert_sound, map_args, mm, must, refused, refused_mapping, set, unmap};
use crate::{
    domain::DomId,
    error::HvError,
    mm::{
        Kind, MmError,
        frame::{OwnerWord, TypeWord},
        pte::{CACHE, NX, P, RW, US},
    },
    outcome::Outcome,
    testing::{Guest, World, entry},
};
use guest_abi::addr::Mfn;

const LOW: u32 = 0x5000;

#[test]
fn every_forbidden_bit_of_a_present_entry_is_refused() {
    let (mut world, guest) = World::with_dom0();
    let page = guest.frames[10];
    for bit in [3, 4, 7, 8, 59, 60, 61, 62] {
        let request = set(guest.low_l1(), 5, entry(page, P | 1 << bit));
        assert_eq!(
            refused(&mut world, request),
            mm(MmError::ForbiddenBits { level: 1 }),
            "bit {bit}"
        );
    }
    for bit in [1, 2, 5, 6, 9, 10, 11, 52, 53, 54, 55, 56, 57, 58, 63] {
        must(&mut world, &[set(guest.low_l1(), 5, entry(page, P | 1 << bit))]);
        assert_sound(&world);
    }
}

#[test]
fn flags_are_judged_even_when_the_frame_stays() {
    let (mut world, guest) = World::with_dom0();
    let page = guest.frames[10];
    must(&mut world, &[set(guest.low_l1(), 5, entry(page, P | US))]);
    for bit in [3, 4, 7, 8, 59, 60, 61, 62] {
        let request = set(guest.low_l1(), 5, entry(page, P | US | 1 << bit));
        assert_eq!(
            refused(&mut world, request),
            mm(MmError::ForbiddenBits { level: 1 })
        );
        assert_eq!(
            refused_mapping(&mut world, LOW, entry(page, P | US | 1 << bit))
                .errno()
                .to_eax() as i32,
            -22
        );
    }
}

#[test]
fn a_processor_without_nx_admits_none() {
    let (mut world, guest) = World::with_dom0();
    world.hv.mm.rules.l1_refused |= NX;
    let request = set(guest.low_l1(), 5, entry(guest.frames[10], P | NX));
    assert_eq!(
        refused(&mut world, request),
        mm(MmError::ForbiddenBits { level: 1 })
    );
}

#[test]
fn a_non_present_entry_names_no_frame_of_ram() {
    let (mut world, guest) = World::with_dom0();
    let last = Mfn::new(511);
    for (word, is_good) in [
        (0, true),
        (0xFFE, true),
        (RW | US | 1 << 7 | 1 << 8, true),
        (NX | 0x7F << 52, true),
        (entry(Mfn::new(512), 0), true),
        (entry(last, 0), false),
        (entry(Mfn::new(1), RW), false),
        (entry(guest.l3(), 0), false),
        (1 << 59, false),
        (1 << 62, false),
        (512 << 12 | 1 << 60, false),
        // The processor has 36 wires for addresses: it does not see the bits above.
        (entry(Mfn::new(512), 1 << 36), true),
        (1 << 51, true),
        (entry(last, 1 << 36), false),
        (entry(guest.l3(), 1 << 51), false),
    ] {
        let request = set(guest.low_l1(), 5, word);
        if is_good {
            must(&mut world, &[request]);
        } else {
            assert_eq!(
                refused(&mut world, request),
                mm(MmError::LeakyNonPresent { level: 1 }),
                "{word:#x}"
            );
        }
    }
    // The upper half of an entry for a frame above 4 GiB, before its lower half is there.
    world.hv.mm.rules.ram_end = 3 << 20;
    must(&mut world, &[set(guest.low_l1(), 5, 2 << 32)]);
    assert!(matches!(
        refused(&mut world, set(guest.low_l1(), 5, 2 << 32 | 0x1000)),
        HvError::Mm(_)
    ));
    assert_sound(&world);
}

#[test]
fn page_tables_and_descriptors_are_never_writable() {
    let (mut world, guest) = World::with_dom0();
    let owner = world.owner(0);
    unmap(&mut world, &guest, 11);
    world.machine.zero(guest.frames[11]);
    world
        .mmu()
        .take_descriptor_page(super::n(guest.frames[11]), owner)
        .unwrap();
    let tables = [
        guest.l3(),
        guest.l2(),
        guest.top_l2(),
        guest.l1(),
        guest.low_l1(),
        guest.frames[11],
    ];
    for (table, kind) in
        tables
            .into_iter()
            .zip([Kind::L3, Kind::L2, Kind::L2Top, Kind::L1, Kind::L1, Kind::SegDesc])
    {
        let why = mm(MmError::TypeConflict {
            mfn: table,
            have: kind,
            want: Kind::Writable,
        });
        assert_eq!(
            refused(&mut world, set(guest.low_l1(), 5, entry(table, P | RW))),
            why
        );
        assert_eq!(refused_mapping(&mut world, LOW, entry(table, P | RW)), why);
        must(&mut world, &[set(guest.low_l1(), 5, entry(table, P))]);
        assert_eq!(
            refused(&mut world, set(guest.low_l1(), 5, entry(table, P | RW))),
            why,
            "from read-only"
        );
    }
}

#[test]
fn frames_of_others_and_of_nobody_cannot_be_mapped() {
    let mut world = World::new(512);
    let other = world.add_guest(1, false, 40);
    let guest = world.add_guest(0, true, 40);
    let free = (32..512)
        .map(Mfn::new)
        .find(|&m| world.info(m).owner_word().is_free())
        .unwrap();
    for mfn in [other.frames[20], Mfn::new(16), Mfn::new(24), free] {
        for flags in [P, P | RW] {
            assert_eq!(
                refused(&mut world, set(guest.low_l1(), 5, entry(mfn, flags))),
                mm(MmError::NotOwned(mfn))
            );
            assert_eq!(
                refused_mapping(&mut world, LOW, entry(mfn, flags)),
                mm(MmError::NotOwned(mfn))
            );
        }
    }
}

#[test]
fn device_memory_is_for_the_privileged_and_not_all_of_it() {
    let mut world = World::new(512);
    let plain = world.add_guest(1, false, 40);
    let (inside, beyond) = (Mfn::new(3), Mfn::new(0xF_D000));
    for mfn in [inside, beyond] {
        for flags in [P, P | RW, P | CACHE] {
            assert_eq!(
                refused(&mut world, set(plain.low_l1(), 5, entry(mfn, flags))),
                mm(MmError::IoDenied)
            );
        }
    }
    let guest = world.add_guest(0, true, 40);
    for mfn in [inside, beyond] {
        for flags in [P, P | RW, P | RW | CACHE] {
            must(&mut world, &[set(guest.low_l1(), 5, entry(mfn, flags))]);
            assert_sound(&world);
        }
    }
    let (controller, off_the_bus) = (entry(Mfn::new(0xF_EE00), P | RW), P | RW | 1 << 36);
    for word in [controller, off_the_bus, P | 1 << 51] {
        assert_eq!(
            refused(&mut world, set(guest.low_l1(), 5, word)),
            mm(MmError::IoDenied)
        );
    }
    // RAM that the table does not cover is nobody's.
    world.hv.mm.rules.ram_end = 1024;
    assert_eq!(
        refused(&mut world, set(guest.low_l1(), 5, entry(Mfn::new(600), P))),
        mm(MmError::NoSuchFrame)
    );
    must(&mut world, &[set(guest.low_l1(), 5, 0)]);
    assert_eq!(world.info(inside).owner_word().count(), 1);
}

#[test]
fn counts_stop_at_their_limit() {
    let (mut world, guest) = World::with_dom0();
    let page = guest.frames[10];
    world.info(page).force_counts(None, Some(TypeWord::MAX_COUNT));
    assert_eq!(
        refused(&mut world, set(guest.low_l1(), 5, entry(page, P | RW))),
        mm(MmError::CountLimit(page))
    );
    world.info(page).force_counts(Some(OwnerWord::MAX_COUNT), Some(1));
    assert_eq!(
        refused(&mut world, set(guest.low_l1(), 5, entry(page, P))),
        mm(MmError::CountLimit(page))
    );
    assert_eq!(
        refused_mapping(&mut world, LOW, entry(page, P | RW)),
        mm(MmError::CountLimit(page))
    );
}

#[test]
fn an_update_gives_back_what_the_old_entry_held() {
    let (mut world, guest) = World::with_dom0();
    let (a, b) = (guest.frames[10], guest.frames[12]);
    let counts = |world: &World, mfn| {
        (
            world.info(mfn).owner_word().count(),
            world.info(mfn).type_word().count(),
        )
    };
    for word in [
        entry(a, P | RW),
        entry(b, P | RW),
        entry(b, P),
        entry(b, P | RW | US),
        entry(a, P),
        0,
    ] {
        must(&mut world, &[set(guest.low_l1(), 5, word)]);
        let expect = |mfn| {
            let is_mapped = word & P != 0 && word & !0xFFF == entry(mfn, 0);
            (
                2 + u64::from(is_mapped),
                1 + u64::from(is_mapped && word & RW != 0),
            )
        };
        assert_eq!(
            (counts(&world, a), counts(&world, b)),
            (expect(a), expect(b)),
            "{word:#x}"
        );
        assert_sound(&world);
    }
}

#[test]
fn update_va_mapping_maps_flushes_and_refuses() {
    let (mut world, guest) = World::with_dom0();
    let page = guest.frames[10];
    assert_eq!(
        world.call(14, map_args(LOW, entry(page, P | RW), 0)),
        Ok(Outcome::Return(0))
    );
    assert!(world.guest_write(LOW, 0x1234));
    assert_eq!(world.guest_read(Guest::va(10)), Some(0x1234));
    assert_eq!(
        (
            world.machine.flushes.get(),
            world.machine.page_flushes.borrow().len()
        ),
        (0, 0)
    );
    assert_eq!(world.call(14, map_args(LOW, 0, 2)), Ok(Outcome::Return(0)));
    assert_eq!(
        world.machine.page_flushes.take(),
        [guest_abi::addr::GuestVirt::new(LOW)]
    );
    assert_eq!(world.call(14, map_args(LOW, 0, 3)), Ok(Outcome::Return(0)));
    assert_eq!(
        (
            world.machine.flushes.get(),
            world.machine.page_flushes.take().len()
        ),
        (1, 0)
    );
    // Flushed although refused.
    assert!(
        world
            .call(14, map_args(LOW, entry(guest.l1(), P | RW), 1))
            .is_err()
    );
    assert_eq!(world.machine.flushes.get(), 2);
    // No L1 there, the hypervisor's range, unknown flags.
    assert_eq!(
        world.call(14, map_args(0x4000_0000, 0, 0)),
        Err(mm(MmError::NotMapped))
    );
    assert_eq!(
        world.call(14, map_args(0x20_0000, 0, 0)),
        Err(mm(MmError::NotMapped))
    );
    for args in [[0xF_C000, 0, 0, 1, 0], [0xFFFF_FFFF, 0, 0, 1, 0], [5, 0, 0, 4, 0]] {
        assert_eq!(world.call(14, args), Err(HvError::Invalid));
    }
    assert_eq!(world.machine.flushes.get(), 2);
    assert_sound(&world);
}

#[test]
fn pages_of_another_domain_are_mapped_by_call_22_alone() {
    let mut world = World::new(512);
    let other = world.add_guest(1, false, 40);
    let args = |id: u32, word: u64| [LOW >> 12, word as u32, (word >> 32) as u32, 0, id];
    assert_eq!(world.call(22, args(1, 0)), Err(HvError::Denied));
    let guest = world.add_guest(0, true, 40);
    let theirs = entry(other.frames[20], P | RW);
    for id in [2, 0x7FF0, 0x7FF1, 0x7FF2, 0x7FFF, 0x1_0001] {
        assert_eq!(world.call(22, args(id, theirs)), Err(HvError::NoSuchDomain));
    }
    assert!(world.call(22, args(1, entry(guest.frames[10], P))).is_err());
    assert_eq!(world.call(22, args(1, theirs)), Ok(Outcome::Return(0)));
    assert!(world.guest_write(LOW, 77));
    assert_eq!(world.machine.peek(other.frames[20], 0) as u32, 77);
    assert_sound(&world);
    assert_eq!(world.info(other.frames[20]).owner_word().owner(), DomId(1));
    must(&mut world, &[set(guest.low_l1(), 5, 0)]);
    assert_sound(&world);
}
