//! Copies.

use super::*;
use proptest::prelude::*;

const SOURCE: CopyFlags = CopyFlags::SOURCE_GREF;
const DEST: CopyFlags = CopyFlags::DEST_GREF;
const NEITHER: CopyFlags = CopyFlags::empty();

fn bytes(world: &World, frame: Mfn) -> Vec<u8> {
    (0..512)
        .flat_map(|n| world.machine.peek(frame, n).to_le_bytes())
        .collect()
}

fn fill(world: &World, frame: Mfn, seed: u8) {
    for n in 0..512u64 {
        world.machine.poke(
            frame,
            n as usize,
            n.wrapping_mul(0x0101_0305_0709_0B0D + u64::from(seed)),
        );
    }
}

#[track_caller]
fn copied(world: &mut World, record: GrantCopy) {
    assert_eq!(one(world, record).status, OKAY);
    assert_sound(world);
}

#[test]
fn from_and_to_what_was_granted_and_ones_own() {
    let Pair {
        mut world,
        granter,
        mapper,
        table,
    } = pair();
    publish(&world, &table, 12, 2, granter.frames[22], ACCESS);
    let own = mapper.frames[25];
    let ends = [
        (end(1, 11, 3), SOURCE, granter.frames[21]),
        (end(1, 12, 3), SOURCE, granter.frames[22]),
        (end(2, own.raw(), 3), NEITHER, own),
        (end(0x7FF0, own.raw(), 3), NEITHER, own),
    ];
    for (source, source_flags, from) in ends {
        let to = mapper.frames[26];
        for (dest, dest_flags, to) in [
            (end(1, 10, 5), DEST, granter.frames[20]),
            (end(2, to.raw(), 5), NEITHER, to),
            (end(0x7FF0, to.raw(), 5), NEITHER, to),
        ] {
            fill(&world, from, 1);
            fill(&world, to, 2);
            let mut expected = bytes(&world, to);
            expected[5..4095].copy_from_slice(&bytes(&world, from)[3..4093]);
            copied(&mut world, copy_of(source, dest, 4090, source_flags | dest_flags));
            assert_eq!(bytes(&world, to), expected);
        }
    }
    assert_eq!(flags_of(&world, &table, 10), ACCESS);
    assert_eq!(flags_of(&world, &table, 11), ACCESS | GrantFlags::READ_ONLY);
}

#[test]
fn what_is_mapped_besides_stays_mapped() {
    let Pair {
        mut world,
        mapper,
        table,
        ..
    } = pair();
    let handle = map(
        &mut world,
        map_at(1, 10, WINDOW, MapFlags::HOST_MAP | MapFlags::READ_ONLY),
    );
    let own = end(2, mapper.frames[25].raw(), 0);
    copied(&mut world, copy_of(own, end(1, 10, 0), 8, DEST));
    assert_eq!(flags_of(&world, &table, 10), ACCESS | READING);
    // Both ends the same grant.
    copied(
        &mut world,
        copy_of(end(1, 10, 0), end(1, 10, 8), 64, DEST | SOURCE),
    );
    assert_eq!(flags_of(&world, &table, 10), ACCESS | READING);
    unmap(&mut world, unmap_at(handle, WINDOW, 0));
    copied(
        &mut world,
        copy_of(end(1, 10, 0), end(1, 10, 8), 64, DEST | SOURCE),
    );
    assert_eq!(flags_of(&world, &table, 10), ACCESS);
}

#[test]
fn refusals_change_nothing() {
    let Pair {
        mut world,
        granter,
        mapper,
        table,
    } = pair();
    publish(&world, &table, 12, 2, mapper.frames[30], ACCESS);
    publish(&world, &table, 13, 2, granter.l1(), ACCESS);
    let (own, page) = (end(2, mapper.frames[25].raw(), 0), end(1, 10, 0));
    let theirs = end(1, granter.frames[30].raw(), 0);
    let cases = [
        (
            GrantStatus::BAD_COPY_ARG,
            copy_of(end(1, 10, 1), own, 4096, SOURCE),
            "one byte too far",
        ),
        (
            GrantStatus::BAD_COPY_ARG,
            copy_of(page, end(2, own.ref_or_frame, 1), 4096, SOURCE),
            "one byte too far",
        ),
        (
            GrantStatus::BAD_COPY_ARG,
            copy_of(end(1, 10, 0xFFFF), own, 0xFFFF, SOURCE),
            "a sum that wraps",
        ),
        (
            GrantStatus::BAD_COPY_ARG,
            copy_of(end(1, 10, 4097), own, 0, SOURCE),
            "outside",
        ),
        (
            GrantStatus::PERMISSION_DENIED,
            copy_of(theirs, own, 8, NEITHER),
            "another's frame",
        ),
        (
            GrantStatus::PERMISSION_DENIED,
            copy_of(own, theirs, 8, NEITHER),
            "another's frame",
        ),
        (
            GrantStatus::GENERAL_ERROR,
            copy_of(own, page, 8, DEST | CopyFlags::from_bits_retain(8)),
            "bits",
        ),
        (
            GrantStatus::GENERAL_ERROR,
            copy_of(own, end(1, 11, 0), 8, DEST),
            "read-only",
        ),
        (
            GrantStatus::GENERAL_ERROR,
            copy_of(end(1, 14, 0), own, 8, SOURCE),
            "not granted",
        ),
        (
            GrantStatus::GENERAL_ERROR,
            copy_of(page, end(1, 14, 0), 8, SOURCE | DEST),
            "not granted",
        ),
        (
            GrantStatus::BAD_GNTREF,
            copy_of(end(1, 512, 0), own, 8, SOURCE),
            "beyond the table",
        ),
        (
            GrantStatus::BAD_GNTREF,
            copy_of(own, end(0x7FF0, 1, 0), 8, DEST),
            "no table of one's own",
        ),
        (
            GrantStatus::BAD_DOMAIN,
            copy_of(end(5, 10, 0), own, 8, SOURCE),
            "nobody",
        ),
        (
            GrantStatus::BAD_PAGE,
            copy_of(end(1, 12, 0), own, 8, SOURCE),
            "not the granter's",
        ),
        (
            GrantStatus::BAD_PAGE,
            copy_of(own, end(1, 13, 0), 8, DEST),
            "a table",
        ),
        (
            GrantStatus::BAD_PAGE,
            copy_of(own, end(2, mapper.l1().raw(), 0), 8, NEITHER),
            "one's own table",
        ),
        (
            GrantStatus::BAD_PAGE,
            copy_of(end(2, granter.frames[9].raw(), 0), own, 8, NEITHER),
            "not one's own",
        ),
        (
            GrantStatus::BAD_PAGE,
            copy_of(end(2, 3, 0), own, 8, NEITHER),
            "a device's",
        ),
        (
            GrantStatus::BAD_PAGE,
            copy_of(own, end(2, u32::MAX, 0), 8, NEITHER),
            "no frame",
        ),
    ];
    for (status, record, why) in cases {
        std::println!("{why}");
        refused(&mut world, record.answered(status));
    }
    assert_eq!(flags_of(&world, &table, 10), ACCESS);
}

proptest! {
    #[test]
    fn only_the_bytes_named_change(from in 0..4096u16, to in 0..4096u16, len in 0..4200u16, is_same: bool) {
        let Pair { mut world, granter, mapper, .. } = pair();
        let (source, dest) = (granter.frames[20], if is_same { granter.frames[20] } else { mapper.frames[26] });
        fill(&world, dest, 4);
        fill(&world, source, 3);
        let (old, mut expected) = (bytes(&world, source), bytes(&world, dest));
        let (dest_end, flags) = if is_same { (end(1, 10, to), SOURCE | DEST) } else { (end(2, dest.raw(), to), SOURCE) };
        let done = one(&mut world, copy_of(end(1, 10, from), dest_end, len, flags));
        let fits = from.max(to) + len <= 4096;
        prop_assert_eq!(done.status, if fits { OKAY } else { GrantStatus::BAD_COPY_ARG });
        if fits {
            let (from, to, len) = (usize::from(from), usize::from(to), usize::from(len));
            expected[to..to + len].copy_from_slice(&old[from..from + len]);
        }
        prop_assert_eq!(bytes(&world, dest), expected);
    }
}
