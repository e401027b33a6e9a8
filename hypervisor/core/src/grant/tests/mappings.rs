//! Mappings that are allowed, and their end.

use super::*;
use crate::mm::pte::{US, near_frame};

const HOST: MapFlags = MapFlags::HOST_MAP;

#[test]
fn a_page_granted_for_writing_is_the_same_page_on_both_sides() {
    let Pair {
        mut world,
        granter,
        mapper,
        table,
    } = pair();
    let free = world.hv.mm.allocator.free_frames();
    let done = one(&mut world, map_at(1, 10, WINDOW, HOST));
    assert_eq!((done.status, done.handle), (OKAY, 0));
    assert_eq!(done.dev_bus_addr, granter.frames[20].addr().raw());
    assert_eq!(done.dom, DomId::new(1));
    assert_sound(&world);
    assert_eq!(flags_of(&world, &table, 10), ACCESS | READING | WRITING);
    let entry = entry_at(&world, &mapper, WINDOW);
    assert!(is_marked(entry) && is_writable(entry) && entry & US == 0);
    assert!(world.guest_write(WINDOW + 8, 0x1234_5678));
    world.switch_to(&granter);
    assert_eq!(world.guest_read(Guest::va(20) + 8), Some(0x1234_5678));
    assert!(world.guest_write(Guest::va(20) + 8, 0x8765_4321));
    world.switch_to(&mapper);
    assert_eq!(world.guest_read(WINDOW + 8), Some(0x8765_4321));
    let flushes = world.machine.flushes.get();
    unmap(&mut world, unmap_at(0, WINDOW, 0));
    assert!(world.machine.flushes.get() > flushes);
    assert_eq!(world.guest_read(WINDOW + 8), None);
    assert_eq!(flags_of(&world, &table, 10), ACCESS);
    assert_eq!(entry_at(&world, &mapper, WINDOW), 0);
    // A directory and a frame of handles.
    assert_eq!(world.hv.mm.allocator.free_frames(), free - 2);
}

#[test]
fn a_page_granted_to_read_is_not_written() {
    let Pair {
        mut world,
        granter,
        mapper,
        table,
    } = pair();
    for reference in [10, 11] {
        let flags = HOST | MapFlags::READ_ONLY | MapFlags::APPLICATION_MAP | MapFlags::GUEST_AVAILABLE;
        let handle = map(&mut world, map_at(1, reference, WINDOW, flags));
        let entry = entry_at(&world, &mapper, WINDOW);
        assert!(is_marked(entry) && !is_writable(entry));
        assert_eq!(entry & (US | 7 << 9), US | 7 << 9);
        let readonly = flags_of(&world, &table, reference) & GrantFlags::READ_ONLY;
        assert_eq!(flags_of(&world, &table, reference), ACCESS | READING | readonly);
        assert!(world.guest_read(WINDOW).is_some());
        assert!(!world.guest_write(WINDOW, 1));
        // Nor by a call: what is copied out is refused as by a read-only page.
        assert!(world.call(20, [QUERY, WINDOW, 1, 0, 0]).is_err());
        unmap(&mut world, unmap_at(handle, WINDOW, 0));
    }
    drop(granter);
}

#[test]
fn a_page_table_may_be_granted_to_read_only() {
    let Pair {
        mut world,
        granter,
        table,
        ..
    } = pair();
    publish(&world, &table, 12, 2, granter.l1(), ACCESS);
    let mut record = map_at(1, 12, WINDOW, HOST);
    record.status = GrantStatus::BAD_PAGE;
    // A handle frame comes with the first attempt.
    one(&mut world, record);
    refused(&mut world, record);
    assert_eq!(flags_of(&world, &table, 12), ACCESS);
    record.flags |= MapFlags::READ_ONLY;
    let handle = map(&mut world, record);
    assert_eq!(world.guest_read(WINDOW + 20 * 8 + 4), Some(0));
    unmap(&mut world, unmap_at(handle, WINDOW, 0));
}

#[test]
fn while_a_frame_is_granted_writable_it_becomes_no_table() {
    let Pair {
        mut world,
        granter,
        mapper,
        ..
    } = pair();
    let frame = u64::from(granter.frames[20].raw());
    for flags in [HOST, MapFlags::DEVICE_MAP] {
        let handle = map(&mut world, map_at(1, 10, WINDOW, flags));
        world.switch_to(&granter);
        world.machine.zero(granter.frames[20]);
        let l1 = granter.l1();
        let owner = world.owner(granter.slot);
        world.mmu().update_l1(l1, 20, 0, owner).expect("its own entry");
        let kind = crate::mm::Kind::L1;
        assert!(world.mmu().pin(frame, kind, owner).is_err());
        world.switch_to(&mapper);
        unmap(&mut world, unmap_at(handle, WINDOW, frame << 12));
        assert!(world.mmu().pin(frame, kind, owner).is_ok());
        world.mmu().unpin(frame, owner).expect("pinned");
        let word = crate::testing::entry(granter.frames[20], P | RW);
        world.mmu().update_l1(l1, 20, word, owner).expect("its own entry");
        assert_sound(&world);
    }
}

#[test]
fn host_and_device_are_given_back_apart() {
    for host_first in [true, false] {
        let Pair { mut world, table, .. } = pair();
        let both = HOST | MapFlags::DEVICE_MAP;
        let done = one(&mut world, map_at(1, 10, WINDOW, both));
        let (host, device) = (
            unmap_at(done.handle, WINDOW, 0),
            unmap_at(done.handle, 0, done.dev_bus_addr),
        );
        let (first, second) = if host_first {
            (host, device)
        } else {
            (device, host)
        };
        unmap(&mut world, unmap_at(done.handle, 0, 0));
        unmap(&mut world, first);
        assert_eq!(world.guest_read(WINDOW).is_none(), host_first);
        assert_eq!(flags_of(&world, &table, 10), ACCESS | READING | WRITING);
        // What was given back already is not asked for again.
        unmap(&mut world, first);
        unmap(&mut world, second);
        assert_eq!(flags_of(&world, &table, 10), ACCESS);
        let mut again = first;
        again.status = GrantStatus::BAD_HANDLE;
        refused(&mut world, again);
    }
}

#[test]
fn an_entry_may_be_named_by_its_machine_address() {
    let Pair {
        mut world,
        granter,
        mapper,
        ..
    } = pair();
    let mut record = map_at(1, 10, 0, HOST | MapFlags::CONTAINS_PTE);
    record.host_addr = mapper.low_l1().addr().raw() + 8 * 0x10;
    let handle = map(&mut world, record);
    let entry = entry_at(&world, &mapper, WINDOW);
    assert_eq!(near_frame(entry), granter.frames[20].raw());
    // The linear address is not what it was mapped by.
    let mut bad = unmap_at(handle, WINDOW, 0);
    bad.status = GrantStatus::BAD_VIRT_ADDR;
    refused(&mut world, bad);
    let mut good = unmap_at(handle, 0, 0);
    good.host_addr = record.host_addr;
    unmap(&mut world, good);
}

#[test]
fn a_domain_may_grant_to_itself() {
    let (mut world, guest) = World::with_dom0();
    let table = set_up(&mut world, 1);
    publish(&world, &table, 3, 0, guest.frames[20], ACCESS);
    let first = map(&mut world, map_at(0, 3, WINDOW, HOST));
    let second = map(
        &mut world,
        map_at(0, 3, WINDOW + 0x1000, HOST | MapFlags::READ_ONLY),
    );
    assert!(world.guest_write(WINDOW, 77));
    assert_eq!(world.guest_read(WINDOW + 0x1000), Some(77));
    unmap(&mut world, unmap_at(first, WINDOW, 0));
    assert_eq!(flags_of(&world, &table, 3), ACCESS | READING);
    unmap(&mut world, unmap_at(second, WINDOW + 0x1000, 0));
    assert_eq!(flags_of(&world, &table, 3), ACCESS);
}

#[test]
fn what_was_mapped_there_before_is_given_back() {
    let Pair {
        mut world,
        granter,
        mapper,
        ..
    } = pair();
    let at = Guest::va(30);
    let count = world.info(mapper.frames[30]).owner_word().count();
    assert!(world.guest_write(at, 1));
    let handle = map(&mut world, map_at(1, 10, at, HOST));
    assert_eq!(world.info(mapper.frames[30]).owner_word().count(), count - 1);
    assert!(world.guest_write(at, 2));
    assert_eq!(
        world.machine.peek(granter.frames[20], 0) as u32,
        2,
        "a stale translation"
    );
    unmap(&mut world, unmap_at(handle, at, 0));
}

#[test]
fn the_grant_table_itself_can_be_mapped_and_not_released() {
    let (mut world, guest) = World::with_dom0();
    let table = set_up(&mut world, 2);
    for (n, frame) in table.iter().enumerate() {
        let at = WINDOW + 4096 * n as u32;
        let word = crate::testing::entry(*frame, P | RW);
        let args = [at >> 12, word as u32, (word >> 32) as u32, 2, 0];
        assert_eq!(world.call(14, args), Ok(Outcome::Return(0)));
        assert!(world.guest_write(at, 0));
    }
    put(&world, RECORDS, &table[0]);
    assert_eq!(
        world.call(12, [1, RECORDS, 1, 0, 0x7FF0]),
        Ok(Outcome::Return(0)),
        "none given back"
    );
    assert_sound(&world);
    drop(guest);
}
