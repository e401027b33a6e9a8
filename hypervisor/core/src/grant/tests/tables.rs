//! Tables: their size, whose they are, what they take.

use super::*;
use crate::{grant::MAX_TABLE_FRAMES, testing::Work};
use guest_abi::grant_table::QuerySize;

fn query_of(dom: DomId) -> QuerySize {
    QuerySize {
        dom,
        pad0: 0xFFFF,
        nr_frames: 99,
        max_nr_frames: 99,
        status: UNSET,
        pad1: 0xFFFF,
    }
}

fn size(world: &mut World, dom: DomId) -> (GrantStatus, u32, u32) {
    let done = one(world, query_of(dom));
    (done.status, done.nr_frames, done.max_nr_frames)
}

fn setup(dom: DomId, nr_frames: u32, status: GrantStatus) -> SetupTable {
    SetupTable {
        nr_frames,
        status,
        frame_list: GuestVirt::new(RECORDS + 0x800),
        ..setup_of(dom)
    }
}

#[test]
fn a_table_grows_and_never_shrinks() {
    let (mut world, guest) = World::with_dom0();
    assert_eq!(size(&mut world, DomId::SELF), (OKAY, 0, MAX_TABLE_FRAMES));
    assert_eq!(set_up(&mut world, 0), []);
    let first = set_up(&mut world, 1);
    let more = set_up(&mut world, 5);
    assert_eq!(more[0], first[0]);
    assert_eq!(set_up(&mut world, 2), more[..2]);
    assert_eq!(size(&mut world, DomId::new(0)), (OKAY, 5, MAX_TABLE_FRAMES));
    for frame in &more {
        assert!(world.info(*frame).owner_word().is_owned_by(guest.id));
        assert!((0..512).all(|n| world.machine.peek(*frame, n) == 0));
    }
    assert_eq!(
        set_up(&mut world, MAX_TABLE_FRAMES).len(),
        MAX_TABLE_FRAMES as usize
    );
    assert_sound(&world);
}

#[test]
fn growing_pauses_and_goes_on() {
    let (mut world, _) = World::with_dom0();
    world.machine.work.set(Work::Always);
    assert_eq!(
        set_up(&mut world, MAX_TABLE_FRAMES).len(),
        MAX_TABLE_FRAMES as usize
    );
    put(&world, RECORDS, &setup(DomId::SELF, 32, UNSET));
    assert_sound(&world);
}

#[test]
fn what_is_refused_grows_nothing() {
    let (mut world, dom0) = World::with_dom0();
    let other = world.add_guest(1, false, 40);
    let status = |status| setup(DomId::SELF, 1, status);
    refused(
        &mut world,
        SetupTable {
            nr_frames: MAX_TABLE_FRAMES + 1,
            ..status(GrantStatus::GENERAL_ERROR)
        },
    );
    refused(
        &mut world,
        setup(DomId::new(0), 1, GrantStatus::PERMISSION_DENIED),
    );
    refused(
        &mut world,
        setup(DomId::new(7), 1, GrantStatus::PERMISSION_DENIED),
    );
    for list in [
        0,
        0x4000_0000,
        0xFC00_0000,
        0xFFFF_FFFC,
        Guest::va(3),
        Guest::va(39) + 4096 - 4,
    ] {
        let record = SetupTable {
            nr_frames: 2,
            frame_list: GuestVirt::new(list),
            ..status(GrantStatus::BAD_VIRT_ADDR)
        };
        refused(&mut world, record);
    }
    for (dom, status) in [
        (0, GrantStatus::PERMISSION_DENIED),
        (7, GrantStatus::PERMISSION_DENIED),
    ] {
        refused(&mut world, query_of(DomId::new(dom)).answered(status));
    }
    world.switch_to(&dom0);
    for dom in [7, 0x7FF1, 0x7FFF, 0xFFFF] {
        refused(&mut world, setup(DomId::new(dom), 1, GrantStatus::BAD_DOMAIN));
        let status = GrantStatus::BAD_DOMAIN;
        refused(&mut world, query_of(DomId::new(dom)).answered(status));
    }
    drop(other);
}

#[test]
fn a_privileged_domain_sets_anothers_table_up_and_fills_it() {
    let (mut world, dom0) = World::with_dom0();
    let other = world.add_guest(1, false, 40);
    world.switch_to(&dom0);
    assert_eq!(one(&mut world, setup(DomId::new(1), 1, UNSET)).status, OKAY);
    let frame = Mfn::new(get(&world, RECORDS + 0x800));
    assert_eq!(size(&mut world, DomId::new(1)), (OKAY, 1, MAX_TABLE_FRAMES));
    assert_eq!(size(&mut world, DomId::SELF), (OKAY, 0, MAX_TABLE_FRAMES));
    // Mapped as a frame of the other's; its first entry is the console's ring.
    let word = crate::testing::entry(frame, P | RW);
    let args = [5, word as u32, (word >> 32) as u32, 2, 1];
    assert_eq!(world.call(22, args), Ok(Outcome::Return(0)));
    assert!(world.guest_write(0x5000, u32::from(ACCESS.bits())));
    assert!(world.guest_write(0x5004, other.frames[20].raw()));
    let handle = map(&mut world, map_at(1, 0, WINDOW, MapFlags::HOST_MAP));
    unmap(&mut world, unmap_at(handle, WINDOW, 0));
    assert_eq!(world.call(14, [5, 0, 0, 2, 0]), Ok(Outcome::Return(0)));
    assert_sound(&world);
}

#[test]
fn without_memory_the_table_stays_as_it_was() {
    let mut world = World::new(512);
    let guest = world.add_guest(1, false, 40);
    let table = set_up(&mut world, 1);
    let hog = world.add_guest(2, true, 40);
    for left in [0u32, 1, 2, 3] {
        while world.hv.mm.allocator.free_frames() > left {
            world.mmu().allocate(hog.id, 0).expect("a frame");
        }
        while world.hv.mm.allocator.free_frames() < left {
            let last = (32..512)
                .map(Mfn::new)
                .find(|&m| {
                    !hog.frames.contains(&m)
                        && world.info(m).owner_word().is_owned_by(hog.id)
                        && world.mmu().is_allocated_to(m.raw(), hog.id)
                })
                .expect("a frame of the hog's");
            world.mmu().free_allocation(last, hog.id).expect("its own");
        }
        world.switch_to(&guest);
        // What is refused may have been taken and given back: a free frame then knows another last owner.
        let of = |world: &World| {
            let domain = world.hv.domain_in(guest.slot).expect("a domain");
            (domain.grants, domain.total_pages)
        };
        let before = of(&world);
        let done = one(&mut world, setup(DomId::SELF, 4, UNSET));
        assert_eq!(done.status, GrantStatus::GENERAL_ERROR);
        assert_eq!(of(&world), before);
        assert_eq!(world.hv.mm.allocator.free_frames(), left);
        assert_sound(&world);
        assert_eq!(size(&mut world, DomId::SELF).1, 1);
    }
    assert_eq!(set_up(&mut world, 1), table);
}

#[test]
fn more_than_everyones_due_counts_against_what_a_domain_may_own() {
    let mut world = World::new(512);
    let guest = world.add_guest(1, false, 40);
    let record = |domain: &mut crate::domain::Domain| domain.max_pages = domain.total_pages;
    record(world.hv.domain_at(guest.slot).expect("a domain"));
    // The directory and four frames of each sort are its due, and one of handles.
    set_up(&mut world, 4);
    refused(&mut world, setup(DomId::SELF, 5, GrantStatus::GENERAL_ERROR));
    world.hv.domain_at(guest.slot).expect("a domain").max_pages += 1;
    set_up(&mut world, 5);
    // Now there is no room for a frame of memory.
    assert_eq!(
        world.mmu().allocate(guest.id, 0),
        Err(crate::mm::MmError::OverQuota.into())
    );
    assert_sound(&world);
}
