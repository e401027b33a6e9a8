//! The memory map and the carver against the plainest model there is: a kind for each page.

mod common;

use common::{IMAGE, Loader, MIB};
use guest_abi::addr::Mfn;
use hv_bootinfo::frames::{Carver, FrameRange, MAX_PIECES, TooManyPieces};
use hv_bootinfo::memory_map::{GUEST_RAM_END, LOW_MEMORY_END, MemoryMap, RawEntry, RegionKind};
use hv_bootinfo::range::PhysRange;
use hv_bootinfo::warning::BootWarning as W;
use proptest::prelude::*;

fn map(entries: &[(u64, u64, u32)]) -> (MemoryMap, Vec<W>) {
    let mut map = MemoryMap::new();
    let mut warnings = Vec::new();
    let entries = entries
        .iter()
        .map(|&(start, len, kind)| RawEntry { start, len, kind });
    map.fill(entries, |w| warnings.push(w)).unwrap();
    (map, warnings)
}

fn regions(entries: &[(u64, u64, u32)]) -> Vec<(u64, u64, RegionKind)> {
    map(entries)
        .0
        .regions()
        .iter()
        .map(|r| (r.range.start, r.range.end, r.kind))
        .collect()
}

#[test]
fn the_more_restrictive_kind_wins() {
    use RegionKind::{AcpiNvs, AcpiTables, Bad, Ram, Reserved};
    let ram = (0, 8 * MIB, 1);
    for (number, kind) in [
        (2, Reserved),
        (3, AcpiTables),
        (4, AcpiNvs),
        (5, Bad),
        (0, Reserved),
        (77, Reserved),
    ] {
        let hole = (2 * MIB, MIB, number);
        let expected = [
            (0, 2 * MIB, Ram),
            (2 * MIB, 3 * MIB, kind),
            (3 * MIB, 8 * MIB, Ram),
        ];
        assert_eq!(regions(&[ram, hole]), expected);
        assert_eq!(regions(&[hole, ram]), expected, "in any order");
    }
    let layers = [ram, (MIB, 4 * MIB, 3), (2 * MIB, 4 * MIB, 4), (3 * MIB, MIB, 5)];
    assert_eq!(
        regions(&layers),
        [
            (0, MIB, Ram),
            (MIB, 2 * MIB, AcpiTables),
            (2 * MIB, 3 * MIB, AcpiNvs),
            (3 * MIB, 4 * MIB, Bad),
            (4 * MIB, 6 * MIB, AcpiNvs),
            (6 * MIB, 8 * MIB, Ram),
        ]
    );
}

#[test]
fn ram_shrinks_and_the_rest_grows_to_pages() {
    let entries = [(MIB + 1, MIB, 1), (4 * MIB - 1, 2, 2), (5 * MIB + 1, 4094, 1)];
    assert_eq!(
        regions(&entries),
        [
            (MIB + 4096, 2 * MIB, RegionKind::Ram),
            (4 * MIB - 4096, 4 * MIB + 4096, RegionKind::Reserved),
        ]
    );
}

#[test]
fn neighbours_of_one_kind_are_joined() {
    let entries = [
        (2 * MIB, MIB, 1),
        (MIB, MIB, 1),
        (3 * MIB, 0, 5),
        (MIB, 3 * MIB, 1),
    ];
    assert_eq!(regions(&entries), [(MIB, 4 * MIB, RegionKind::Ram)]);
}

#[test]
fn entries_that_leave_the_address_space_are_cut() {
    let absurd = (8 * MIB, u64::MAX, 2);
    let (map, warnings) = map(&[(MIB, MIB, 1), absurd, (1 << 60, 1 << 60, 1), (u64::MAX, 1, 2)]);
    let cut = |(start, len, _)| W::EntryCut { start, len };
    assert_eq!(
        warnings,
        [cut(absurd), cut((1 << 60, 1 << 60, 1)), cut((u64::MAX, 1, 2))]
    );
    assert_eq!(
        map.regions().last().unwrap().range,
        PhysRange::new(8 * MIB, 1 << 52)
    );
}

#[test]
fn ram_beyond_64_gib_is_counted_and_left() {
    let (map, warnings) = map(&[(MIB, 80 << 30, 1)]);
    assert_eq!(map.guest_ram_end(), GUEST_RAM_END);
    assert_eq!(map.guest_ram_bytes(), GUEST_RAM_END - MIB);
    assert_eq!(
        warnings,
        [W::RamBeyondLimit {
            bytes: (80 << 30) + MIB - GUEST_RAM_END
        }]
    );
    assert_eq!(
        warnings[0].to_string(),
        "16385 MiB of RAM above 64 GiB are not used"
    );
}

#[test]
fn low_memory_is_given_to_nobody() {
    let (map, _) = map(&[(0, 2 * MIB, 1)]);
    assert_eq!(
        map.guest_ram().collect::<Vec<_>>(),
        [PhysRange::new(LOW_MEMORY_END, 2 * MIB)]
    );
    assert!(map.is_ram(&PhysRange::new(0, 2 * MIB)), "though it is RAM");
    assert!(!map.is_ram(&PhysRange::new(MIB, 2 * MIB + 1)));
}

fn frames(start: u64, end: u64) -> FrameRange {
    FrameRange {
        start: Mfn::new((start >> 12) as u32),
        end: Mfn::new((end >> 12) as u32),
    }
}

#[test]
fn what_is_taken_is_not_free() {
    let info = Loader::sample().read2().unwrap();
    let mut carver = Carver::new(info.memory());
    assert_eq!(carver.free().collect::<Vec<_>>(), [frames(MIB, 127 * MIB)]);
    carver.reserve(IMAGE).unwrap();
    for module in info.modules() {
        carver.reserve(module.range).unwrap();
    }
    let free: Vec<_> = carver.free().collect();
    assert_eq!(
        free,
        [
            frames(MIB, 2 * MIB),
            frames(3 * MIB + 4096, 4 * MIB),
            frames(4 * MIB + 8192, 5 * MIB),
            frames(5 * MIB + 0x12_4000, 127 * MIB),
        ]
    );
    assert_eq!(
        carver.free_frames(),
        free.iter().map(FrameRange::count).sum::<u32>()
    );
}

#[test]
fn taking_finds_the_lowest_that_fits() {
    let (map, _) = map(&[(MIB, MIB, 1), (4 * MIB, 4 * MIB, 1)]);
    let mut carver = Carver::new(&map);
    assert_eq!(carver.take(1, 1, u64::MAX), Ok(Some(frames(MIB, MIB + 4096))));
    assert_eq!(
        carver.take(255, 1, u64::MAX),
        Ok(Some(frames(MIB + 4096, 2 * MIB)))
    );
    assert_eq!(
        carver.take(512, 512, u64::MAX),
        Ok(Some(frames(4 * MIB, 6 * MIB)))
    );
    assert_eq!(carver.take(1, 1, 4 * MIB), Ok(None), "nothing is left below");
    assert_eq!(carver.take(513, 1, u64::MAX), Ok(None));
    assert_eq!(
        carver.take(511, 512, 8 * MIB - 4096),
        Ok(Some(frames(6 * MIB, 8 * MIB - 4096)))
    );
    assert_eq!(carver.take(u32::MAX, u32::MAX, u64::MAX), Ok(None));
    assert_eq!(carver.free_frames(), 1);
}

#[test]
fn the_list_of_pieces_is_bounded() {
    let (map, _) = map(&[(MIB, 64 * MIB, 1)]);
    let mut carver = Carver::new(&map);
    for n in 0..MAX_PIECES as u64 {
        carver
            .reserve(PhysRange::new(MIB + n * 8192, MIB + n * 8192 + 1))
            .unwrap();
    }
    let before = carver.free_frames();
    assert_eq!(
        carver.reserve(PhysRange::new(32 * MIB, 32 * MIB + 1)),
        Err(TooManyPieces)
    );
    assert_eq!(carver.free_frames(), before, "nothing is changed");
    carver.reserve(PhysRange::new(MIB, 2 * MIB)).unwrap();
    assert_eq!(
        carver.reserve(PhysRange::new(32 * MIB, 32 * MIB + 1)),
        Ok(()),
        "joined pieces make room"
    );
}

/// Entries over a small address space with odd ends, so that overlaps are common.
fn entry() -> impl Strategy<Value = (u64, u64, u32)> {
    let place = prop_oneof![0_u64..0x40_0000, (0_u64..0x400).prop_map(|page| page << 12)];
    let len = prop_oneof![
        0_u64..0x20_0000,
        (0_u64..0x200).prop_map(|page| page << 12),
        Just(u64::MAX)
    ];
    (place, len, 0_u32..7)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn the_map_agrees_with_a_kind_for_each_page(entries in prop::collection::vec(entry(), 1..24)) {
        let mut map = MemoryMap::new();
        let raw = entries.iter().map(|&(start, len, kind)| RawEntry { start, len, kind });
        if map.fill(raw, |_| ()).is_err() {
            prop_assert_eq!(map.regions(), []);
            return Ok(());
        }
        // Sorted, disjoint, whole pages, joined.
        for pair in map.regions().windows(2) {
            prop_assert!(pair[0].range.end <= pair[1].range.start);
            prop_assert!(pair[0].range.end < pair[1].range.start || pair[0].kind != pair[1].kind);
        }
        prop_assert!(map.regions().iter().all(|r| r.range.page_outward() == r.range));
        prop_assert!(map.regions().iter().all(|r| r.range.start < r.range.end && r.range.end <= 1 << 52));

        for page in (0..0x60_0000_u64).step_by(4096) {
            let end_of = |e: &(u64, u64, u32)| e.0.saturating_add(e.1).min(1 << 52);
            let covers = |e: &&(u64, u64, u32)| {
                let kind = RegionKind::from_e820(e.2);
                if e.0 >= end_of(e) {
                    false
                } else if kind == RegionKind::Ram {
                    e.0 <= page && page + 4096 <= end_of(e)
                } else {
                    e.0 < page + 4096 && page < end_of(e)
                }
            };
            let expected = entries.iter().filter(covers).map(|e| RegionKind::from_e820(e.2)).max();
            let found = map.regions().iter().find(|r| r.range.contains(page)).map(|r| r.kind);
            prop_assert_eq!(found, expected, "page {:#x}", page);
        }
    }

    #[test]
    fn the_carver_agrees_with_a_flag_for_each_frame(
        holes in prop::collection::vec((0_u64..0x400, 1_u64..0x40), 0..4),
        pieces in prop::collection::vec((0_u64..0x40_0000, 0_u64..0x8000), 0..70),
        takes in prop::collection::vec((0_u32..40, 0_u32..9, 0_u64..0x60_0000), 0..12),
    ) {
        let entries: Vec<_> = [(0, 0x40_0000, 1)]
            .into_iter()
            .chain(holes.iter().map(|&(page, count)| (page << 12, count << 12, 2)))
            .map(|(start, len, kind)| RawEntry { start, len, kind })
            .collect();
        let mut map = MemoryMap::new();
        prop_assume!(map.fill(entries.into_iter(), |_| ()).is_ok());
        let mut free: Vec<bool> =
            (0..0x400).map(|f: u64| f >= 0x100 && map.is_ram(&PhysRange::new(f << 12, (f + 1) << 12))).collect();
        let mut carver = Carver::new(&map);
        for (start, len) in pieces {
            let piece = PhysRange::new(start, start + len);
            if carver.reserve(piece).is_ok() && len != 0 {
                let last = ((start + len - 1) >> 12).min(0x3FF);
                for frame in (start >> 12)..=last {
                    free[frame as usize] = false;
                }
            }
        }
        for (count, align, below) in takes {
            let Ok(taken) = carver.take(count, align, below) else { break };
            let fits = |f: usize| {
                let end = f + count as usize;
                f.is_multiple_of(align.max(1) as usize)
                    && end as u64 <= below >> 12
                    && free.get(f..end).is_some_and(|frames| frames.iter().all(|&f| f))
            };
            let model = (0..0x400).find(|&f| fits(f));
            match taken.filter(|_| count != 0) {
                Some(range) => {
                    prop_assert_eq!(Some(range.start.index()), model);
                    prop_assert_eq!(range.count(), count);
                    free[range.start.index()..range.end.index()].fill(false);
                }
                None => prop_assert!(count == 0 || model.is_none(), "{:?}", model),
            }
        }
        let mut listed = vec![false; 0x400];
        for range in carver.free() {
            prop_assert!(range.count() != 0);
            listed[range.start.index()..range.end.index()].fill(true);
        }
        let differs = (0..0x400).find(|&f| listed[f] != free[f]);
        prop_assert_eq!(differs, None, "frame");
    }
}
