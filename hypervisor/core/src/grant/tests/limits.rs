//! What there is only so much of.

use super::*;
use crate::grant::handles::PER_FRAME;

const HOST: MapFlags = MapFlags::HOST_MAP;

#[test]
fn a_grant_is_mapped_255_times_in_each_way() {
    let Pair { mut world, table, .. } = pair();
    for flags in [HOST, HOST | MapFlags::READ_ONLY, MapFlags::DEVICE_MAP] {
        let mut handles = Vec::new();
        for _ in 0..255 {
            let done = one(&mut world, map_at(1, 10, WINDOW, flags));
            assert_eq!(done.status, OKAY);
            handles.push(done);
        }
        let status = GrantStatus::GENERAL_ERROR;
        // A frame of handles may have to come first.
        one(&mut world, map_at(1, 10, WINDOW, flags).answered(status));
        refused(&mut world, map_at(1, 10, WINDOW, flags).answered(status));
        for done in handles {
            let host = if flags.contains(HOST) { WINDOW } else { 0 };
            assert_eq!(
                one(&mut world, unmap_at(done.handle, host, done.dev_bus_addr)).status,
                OKAY
            );
        }
        assert_eq!(flags_of(&world, &table, 10), ACCESS);
        assert_sound(&world);
    }
}

#[test]
fn handles_are_reused_before_new_ones_are_made() {
    let Pair { mut world, .. } = pair();
    let device = |reference| map_at(1, reference, 0, MapFlags::DEVICE_MAP | MapFlags::READ_ONLY);
    let handles: Vec<u32> = (0..5).map(|_| map(&mut world, device(10))).collect();
    assert_eq!(handles, [0, 1, 2, 3, 4]);
    let bus = one(&mut world, device(10)).dev_bus_addr;
    for handle in [3, 1] {
        unmap(&mut world, unmap_at(handle, 0, bus));
    }
    assert_eq!(map(&mut world, device(10)), 1);
    assert_eq!(map(&mut world, device(11)), 3);
    assert_eq!(map(&mut world, device(10)), 6);
    // The reused handle is the new mapping's: the old frame's address is none of its.
    let status = GrantStatus::BAD_DEV_ADDR;
    refused(&mut world, unmap_at(3, 0, bus).answered(status));
}

#[test]
fn handles_end_where_memory_or_the_domains_share_of_it_ends() {
    let Pair {
        mut world,
        table,
        granter,
        mapper,
    } = pair();
    for reference in 100..110 {
        publish(&world, &table, reference, 2, granter.frames[22], ACCESS);
    }
    let record = |n: u32| map_at(1, 100 + n / 250, 0, MapFlags::DEVICE_MAP);
    // A directory and nine frames of handles are everyone's due.
    let domain = world.hv.domain_at(mapper.slot).expect("a domain");
    domain.max_pages = domain.total_pages;
    for n in 0..9 * PER_FRAME {
        assert_eq!(one(&mut world, record(n)).status, OKAY, "{n}");
    }
    assert_sound(&world);
    let status = GrantStatus::NO_DEVICE_SPACE;
    refused(&mut world, record(9 * PER_FRAME).answered(status));
    world.hv.domain_at(mapper.slot).expect("a domain").max_pages += 1;
    assert_eq!(one(&mut world, record(9 * PER_FRAME)).handle, 9 * PER_FRAME);
    assert_sound(&world);
}

#[test]
fn a_count_of_the_frame_at_its_limit_is_a_bad_page() {
    let mut pair = pair();
    let handle = map(&mut pair.world, map_at(1, 10, WINDOW, HOST));
    unmap(&mut pair.world, unmap_at(handle, WINDOW, 0));
    let info = pair.world.info(pair.granter.frames[20]);
    let (references, uses) = (info.owner_word().count(), info.type_word().count());
    let most = (
        crate::mm::frame::OwnerWord::MAX_COUNT,
        crate::mm::frame::TypeWord::MAX_COUNT,
    );
    // One, two and three more references would be taken, and one and two more uses.
    for (references, uses) in [
        (most.0, uses),
        (most.0 - 1, uses),
        (most.0 - 2, uses),
        (references, most.1),
        (references, most.1 - 1),
    ] {
        info.force_counts(Some(references), Some(uses));
        put(
            &pair.world,
            RECORDS,
            &map_at(1, 10, WINDOW, HOST).answered(GrantStatus::BAD_PAGE),
        );
        let before = pair.world.snapshot();
        assert_eq!(
            pair.world.call(20, [MAP, RECORDS, 1, 0, 0]),
            Ok(Outcome::Return(0))
        );
        pair.world.assert_unchanged_since(&before);
    }
    info.force_counts(Some(references), Some(uses));
    map(&mut pair.world, map_at(1, 10, WINDOW, HOST));
}
