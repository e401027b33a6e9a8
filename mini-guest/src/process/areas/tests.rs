//! Areas against a page-by-page model.

use super::*;
use proptest::prelude::*;

const RW: Protection = Protection {
    readable: true,
    writable: true,
};
const RO: Protection = Protection {
    readable: true,
    writable: false,
};

fn area(start: u32, end: u32) -> Area {
    Area {
        range: start * PAGE..end * PAGE,
        protection: RW,
        source: Source::Zeroes,
    }
}

fn ranges(areas: &Areas) -> Vec<(u32, u32, bool)> {
    areas
        .iter()
        .map(|a| (a.range.start / PAGE, a.range.end / PAGE, a.protection.writable))
        .collect()
}

#[test]
fn neighbours_alike_are_one_area() {
    let mut areas = Areas::default();
    for (start, end) in [(10, 12), (14, 16), (12, 14)] {
        areas.insert(area(start, end)).unwrap();
    }
    assert_eq!(ranges(&areas), [(10, 16, true)]);
}

#[test]
fn holes_are_cut_out() {
    let mut areas = Areas::default();
    areas.insert(area(10, 20)).unwrap();
    areas.remove(12 * PAGE..14 * PAGE).unwrap();
    assert_eq!(ranges(&areas), [(10, 12, true), (14, 20, true)]);
    assert!(areas.find(12 * PAGE).is_none() && areas.find(14 * PAGE).is_some());
    areas.remove(5 * PAGE..15 * PAGE).unwrap();
    assert_eq!(ranges(&areas), [(15, 20, true)]);
}

#[test]
fn protection_splits_and_joins_again() {
    let mut areas = Areas::default();
    areas.insert(area(10, 20)).unwrap();
    areas.protect(12 * PAGE..14 * PAGE, RO).unwrap();
    assert_eq!(ranges(&areas), [(10, 12, true), (12, 14, false), (14, 20, true)]);
    areas.protect(12 * PAGE..14 * PAGE, RW).unwrap();
    assert_eq!(ranges(&areas), [(10, 20, true)]);
    assert_eq!(areas.protect(19 * PAGE..21 * PAGE, RO), Err(Errno::ENOMEM));
    assert_eq!(ranges(&areas), [(10, 20, true)]);
}

#[test]
fn bad_ranges_are_refused() {
    let mut areas = Areas::default();
    for range in [
        0x1001..0x3000,
        0x1000..0x3001,
        0x3000..0x3000,
        0xBFFF_F000..0xC000_1000,
    ] {
        assert_eq!(areas.remove(range.clone()), Err(Errno::EINVAL));
        assert_eq!(areas.protect(range, RO), Err(Errno::EINVAL));
    }
}

#[test]
fn free_space_is_found_from_above() {
    let mut areas = Areas::default();
    let limit = 100 * PAGE;
    assert_eq!(areas.find_free(10 * PAGE, limit), Ok(90 * PAGE..limit));
    areas.insert(area(95, 120)).unwrap();
    assert_eq!(areas.find_free(10 * PAGE, limit), Ok(85 * PAGE..95 * PAGE));
    areas.insert(area(80, 90)).unwrap();
    assert_eq!(areas.find_free(5 * PAGE, limit), Ok(90 * PAGE..95 * PAGE));
    assert_eq!(areas.find_free(6 * PAGE, limit), Ok(74 * PAGE..80 * PAGE));
    assert_eq!(areas.find_free(80 * PAGE, limit), Err(Errno::ENOMEM));
    assert_eq!(areas.find_free(0x8000_0000, limit), Err(Errno::ENOMEM));
}

#[test]
fn too_many_areas_are_refused() {
    let mut areas = Areas::default();
    areas.insert(area(1, 5000)).unwrap();
    let mut at = 2;
    while areas.remove(at * PAGE..(at + 1) * PAGE).is_ok() {
        at += 2;
    }
    assert!(areas.iter().count() <= MAX_AREAS && areas.iter().count() > MAX_AREAS - 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn agrees_with_a_page_by_page_model(ops in proptest::collection::vec((0_u8..3, 1_u32..60, 1_u32..20), 1..40)) {
        let mut areas = Areas::default();
        let mut model = [None; 100];
        for (op, start, len) in ops {
            let range = start * PAGE..(start + len) * PAGE;
            let pages = start as usize..(start + len) as usize;
            match op {
                0 => { areas.insert(area(start, start + len)).unwrap(); model[pages].fill(Some(true)); }
                1 => { areas.remove(range).unwrap(); model[pages].fill(None); }
                _ => {
                    let covered = model[pages.clone()].iter().all(Option::is_some);
                    prop_assert_eq!(areas.protect(range, RO).is_ok(), covered);
                    if covered { model[pages].fill(Some(false)); }
                }
            }
            for (page, wanted) in model.iter().enumerate() {
                let found = areas.find(page as u32 * PAGE + 5).map(|area| area.protection.writable);
                prop_assert_eq!(found, *wanted, "page {}", page);
            }
        }
    }
}
