//! Every refusal of a mapping, an unmapping: the status, and nothing else changed.

use super::*;

const HOST: MapFlags = MapFlags::HOST_MAP;

/// A pair whose mapper has a frame of handles already, so that refusals are seen to change nothing.
fn warm() -> (Pair, u32) {
    let mut pair = pair();
    let first = map(&mut pair.world, map_at(1, 10, WINDOW, HOST));
    (pair, first)
}

/// Mappings that must be refused, and how.
fn refusals(pair: &mut Pair) -> Vec<(MapGrantRef, &'static str)> {
    let world = &mut pair.world;
    let at = WINDOW + 0x1000;
    publish(world, &pair.table, 20, 2, Mfn::new(0), ACCESS);
    publish(world, &pair.table, 21, 2, Mfn::new(u32::MAX), ACCESS);
    publish(world, &pair.table, 22, 2, pair.mapper.frames[20], ACCESS);
    publish(
        world,
        &pair.table,
        23,
        2,
        pair.granter.frames[22],
        GrantFlags::ACCEPT_TRANSFER,
    );
    publish(
        world,
        &pair.table,
        24,
        2,
        pair.granter.frames[22],
        GrantFlags::from_bits_retain(3),
    );
    publish(world, &pair.table, 25, 3, pair.granter.frames[22], ACCESS);
    publish(world, &pair.table, 26, 2, pair.granter.l1(), ACCESS);
    publish(world, &pair.table, 27, 0x7FF0, pair.granter.frames[22], ACCESS);
    let cases = [
        (GrantStatus::BAD_DOMAIN, map_at(3, 10, at, HOST), "no such domain"),
        (
            GrantStatus::BAD_DOMAIN,
            map_at(0x7FF0, 10, at, HOST),
            "nobody grants himself",
        ),
        (
            GrantStatus::BAD_DOMAIN,
            map_at(0xFFFF, 10, at, HOST),
            "no such domain",
        ),
        (GrantStatus::BAD_GNTREF, map_at(2, 10, at, HOST), "no table"),
        (
            GrantStatus::BAD_GNTREF,
            map_at(1, 512, at, HOST),
            "beyond the table",
        ),
        (
            GrantStatus::BAD_GNTREF,
            map_at(1, u32::MAX, at, HOST),
            "beyond the table",
        ),
        (
            GrantStatus::BAD_GNTREF,
            map_at(1, 10, at, MapFlags::READ_ONLY),
            "for nobody",
        ),
        (
            GrantStatus::GENERAL_ERROR,
            map_at(1, 10, at, HOST | MapFlags::from_bits_retain(1 << 5)),
            "bits",
        ),
        (
            GrantStatus::GENERAL_ERROR,
            map_at(1, 10, at, HOST | MapFlags::from_bits_retain(1 << 31)),
            "bits",
        ),
        (GrantStatus::GENERAL_ERROR, map_at(1, 12, at, HOST), "not granted"),
        (GrantStatus::GENERAL_ERROR, map_at(1, 11, at, HOST), "read-only"),
        (
            GrantStatus::GENERAL_ERROR,
            map_at(1, 23, at, HOST),
            "another kind",
        ),
        (GrantStatus::GENERAL_ERROR, map_at(1, 24, at, HOST), "no kind"),
        (
            GrantStatus::GENERAL_ERROR,
            map_at(1, 25, at, HOST),
            "to another domain",
        ),
        (GrantStatus::GENERAL_ERROR, map_at(1, 27, at, HOST), "to whom"),
        (GrantStatus::BAD_PAGE, map_at(1, 20, at, HOST), "a device's frame"),
        (GrantStatus::BAD_PAGE, map_at(1, 21, at, HOST), "no frame"),
        (
            GrantStatus::BAD_PAGE,
            map_at(1, 22, at, HOST),
            "not the granter's",
        ),
        (
            GrantStatus::BAD_PAGE,
            map_at(1, 22, at, HOST | MapFlags::READ_ONLY),
            "not the granter's",
        ),
        (
            GrantStatus::BAD_PAGE,
            map_at(1, 22, at, MapFlags::DEVICE_MAP),
            "not the granter's",
        ),
        (GrantStatus::BAD_PAGE, map_at(1, 26, at, HOST), "a table"),
        (
            GrantStatus::BAD_PAGE,
            map_at(1, 26, at, MapFlags::DEVICE_MAP),
            "a table, for devices",
        ),
        (
            GrantStatus::BAD_VIRT_ADDR,
            map_at(1, 10, at + 1, HOST),
            "inside a page",
        ),
        (
            GrantStatus::BAD_VIRT_ADDR,
            map_at(1, 10, 0x4000_0000, HOST),
            "no L1",
        ),
        (
            GrantStatus::BAD_VIRT_ADDR,
            map_at(1, 10, 0xFC00_0000, HOST),
            "the hypervisor's",
        ),
        (
            GrantStatus::BAD_VIRT_ADDR,
            map_at(1, 10, 0xFFFF_F000, HOST),
            "the hypervisor's",
        ),
    ];
    let far = [1 << 32, 0xFFFF_FFFF_FFFF_F000].map(|host_addr| MapGrantRef {
        host_addr,
        status: GrantStatus::BAD_VIRT_ADDR,
        ..map_at(1, 10, 0, HOST)
    });
    let near = cases.map(|(status, record, why)| (record.answered(status), why));
    near.into_iter()
        .chain(far.map(|record| (record, "no address")))
        .collect()
}

#[test]
fn of_a_mapping() {
    let (mut pair, _) = warm();
    for (record, why) in refusals(&mut pair) {
        std::println!("{why}");
        refused(&mut pair.world, record);
    }
}

/// The mapper has no frame of handles yet, and gets none for nothing.
#[test]
fn of_a_first_mapping() {
    let mut pair = pair();
    let refusals = refusals(&mut pair);
    let world = &mut pair.world;
    let frames = |world: &World| world.hv.domain_in(1).map(|domain| domain.grants.frames());
    let before = (world.hv.mm.allocator.free_frames(), frames(world));
    for (record, why) in refusals {
        std::println!("{why}");
        assert_eq!(one(world, record), record);
        let now = (world.hv.mm.allocator.free_frames(), frames(world));
        assert_eq!(now, before);
        assert_sound(world);
    }
    // Nor for an answer that cannot be told.
    world.protect(RECORDS);
    world.call(20, [MAP, RECORDS, 1, 0, 0]).expect_err("no answer");
    assert_eq!(frames(world), before.1);
}

#[test]
fn of_an_entry_named_by_its_machine_address() {
    let (mut pair, _) = warm();
    let world = &mut pair.world;
    let frame = |mfn: Mfn| mfn.addr().raw();
    let tables = [
        (frame(pair.mapper.low_l1()) + 4, "between entries"),
        (frame(pair.mapper.l2()), "an L2"),
        (frame(pair.mapper.l3()), "an L3"),
        (frame(pair.mapper.frames[20]), "a page"),
        (frame(pair.granter.l1()), "another domain's"),
        (frame(Mfn::new(3)), "a device's"),
        (frame(Mfn::new(20)), "the hypervisor's"),
        (!7, "nothing"),
        (1 << 44, "nothing"),
    ];
    for (host_addr, why) in tables {
        std::println!("{why}");
        let record = MapGrantRef {
            host_addr,
            status: GrantStatus::BAD_VIRT_ADDR,
            ..map_at(1, 10, 0, HOST | MapFlags::CONTAINS_PTE)
        };
        refused(world, record);
    }
}

#[test]
fn of_an_unmapping() {
    let (mut pair, first) = warm();
    let world = &mut pair.world;
    let both = HOST | MapFlags::DEVICE_MAP;
    let at = WINDOW + 0x1000;
    let done = one(world, map_at(1, 11, at, both | MapFlags::READ_ONLY));
    let handle = done.handle;
    let frame = done.dev_bus_addr;
    let cases = [
        (GrantStatus::BAD_HANDLE, unmap_at(2, at, 0), "never given out"),
        (GrantStatus::BAD_HANDLE, unmap_at(256, at, 0), "beyond them"),
        (GrantStatus::BAD_HANDLE, unmap_at(u32::MAX, at, 0), "beyond them"),
        (
            GrantStatus::BAD_VIRT_ADDR,
            unmap_at(handle, WINDOW, 0),
            "where another is",
        ),
        (
            GrantStatus::BAD_VIRT_ADDR,
            unmap_at(first, at, 0),
            "where another is",
        ),
        (
            GrantStatus::BAD_VIRT_ADDR,
            unmap_at(handle, at + 0x1000, 0),
            "where none is",
        ),
        (
            GrantStatus::BAD_VIRT_ADDR,
            unmap_at(handle, at + 8, 0),
            "inside the page",
        ),
        (
            GrantStatus::BAD_VIRT_ADDR,
            unmap_at(handle, 0x4000_0000, 0),
            "no L1",
        ),
        (
            GrantStatus::BAD_DEV_ADDR,
            unmap_at(handle, at, frame + 0x1000),
            "another frame",
        ),
        (
            GrantStatus::BAD_DEV_ADDR,
            unmap_at(handle, 0, frame + 1),
            "inside the frame",
        ),
        (
            GrantStatus::BAD_VIRT_ADDR,
            unmap_at(handle, WINDOW, frame),
            "one is good",
        ),
    ];
    for (status, record, why) in cases {
        std::println!("{why}");
        refused(world, record.answered(status));
    }
    unmap(world, unmap_at(handle, at, frame));
    let again = unmap_at(handle, at, frame).answered(GrantStatus::BAD_HANDLE);
    refused(world, again);
}

#[test]
fn a_handle_is_its_domains_own() {
    let (mut pair, first) = warm();
    let world = &mut pair.world;
    world.switch_to(&pair.granter);
    let record = unmap_at(first, WINDOW, 0).answered(GrantStatus::BAD_HANDLE);
    refused(world, record);
    let third = world.add_guest(3, true, 40);
    refused(world, record);
    drop(third);
}

#[test]
fn an_answer_that_cannot_be_written_undoes_the_mapping() {
    let (mut pair, first) = warm();
    let world = &mut pair.world;
    // The record lies in a page that is read-only.
    let low = u64::from(pair.mapper.low_l1().raw()) << 12;
    let word = crate::testing::entry(pair.mapper.frames[38], P);
    let owner = world.owner(pair.mapper.slot);
    put(
        world,
        RECORDS,
        &map_at(1, 11, WINDOW + 0x1000, HOST | MapFlags::READ_ONLY),
    );
    put(world, RECORDS + 0x100, &unmap_at(first, WINDOW, 0));
    let copy = copy_of(
        end(1, 10, 0),
        end(2, pair.mapper.frames[25].raw(), 0),
        4096,
        CopyFlags::SOURCE_GREF,
    );
    put(world, RECORDS + 0x200, &copy);
    world
        .mmu()
        .update_l1(Mfn::new((low >> 12) as u32), 0x20, word, owner)
        .expect("its own page");
    for (command, offset) in [(MAP, 0), (UNMAP, 0x100), (COPY, 0x200)] {
        fails(world, [command, 0x2_0000 + offset, 1, 0, 0], HvError::Fault);
        assert_sound(world);
    }
}
