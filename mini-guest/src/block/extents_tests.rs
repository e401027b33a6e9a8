//! Disks in pieces: what is split, what is merged, and parts that fail, wait or never fit.

use alloc::boxed::Box;
use alloc::rc::Rc;

use proptest::prelude::*;

use super::exports::{Lot, Part, Refusal, Use};
use super::extents::{Extents, MOST, Runs};
use super::testing::{TestDisk, read, segments, submit_one, write};
use super::{
    BlockError, Client, Completion, Device, Disks, Info, Op, Refused, Request, SECTOR, ram::RamDisk,
};

fn runs(pieces: &[(u64, u64)]) -> Rc<Runs> {
    let mut runs = Runs::default();
    assert!(pieces.iter().all(|(first, count)| runs.push(*first, *count)));
    Rc::new(runs)
}

fn on(disk: &Rc<TestDisk>, pieces: &[(u64, u64)]) -> Extents {
    Extents::new(disk.clone(), runs(pieces)).unwrap()
}

/// A disk whose sectors hold their numbers.
fn numbered(sectors: usize) -> Vec<u8> {
    (0..sectors * SECTOR).map(|at| (at / SECTOR) as u8).collect()
}

fn ask(
    device: &Extents,
    op: Op,
    sector: u64,
    memory: &mut [u8],
    client: &Rc<Client>,
) -> Result<(), BlockError> {
    let request = Request::new(op, sector, segments(memory), 5, client.clone());
    device.submit(request).map_err(|refused| {
        assert_eq!(
            (refused.request.sector, refused.request.id),
            (sector, 5),
            "unchanged"
        );
        refused.error
    })
}

/// The requests that the other disk has: first sector and sectors.
fn asked(disk: &TestDisk) -> Vec<(u64, u64)> {
    let queue = disk.queue.borrow();
    queue
        .iter()
        .map(|request| (request.sector, request.sectors()))
        .collect()
}

#[test]
fn neighbours_are_one_piece() {
    let runs = runs(&[(10, 2), (12, 3), (20, 1), (19, 1), (20, 4), (0, 0)]);
    let pieces: Vec<_> = runs.iter().collect();
    assert_eq!(pieces, [10..15, 20..21, 19..24]);
    assert_eq!(runs.sectors(), 11);
    let mut runs = Runs::default();
    assert_eq!(runs.iter().count(), 0);
    assert!(!runs.push(u64::MAX, 2));
    assert!((0..MOST as u64).all(|n| runs.push(2 * n, 1)));
    assert!(!runs.push(0, 1), "too many");
    assert!(runs.push(2 * MOST as u64 - 1, 1), "that is a neighbour");
}

#[test]
fn what_the_disk_does_not_have_is_refused() {
    let disk = Rc::new(TestDisk::new(20));
    for pieces in [&[][..], &[(20, 1)], &[(0, 4), (19, 2)], &[(u64::MAX - 1, 1)]] {
        assert!(Extents::new(disk.clone(), runs(pieces)).is_err(), "{pieces:?}");
    }
    assert!(Extents::new(disk, runs(&[(0, 4), (19, 1)])).is_ok());
}

/// A disk of 4 KiB blocks.
struct Large;

impl Device for Large {
    fn info(&self) -> Info {
        Info {
            sectors: 80,
            block_sectors: 8,
            is_read_only: false,
            has_cache: false,
            max_segments: 8,
            is_copying: false,
            depth: 1,
        }
    }

    fn submit(&self, request: Box<Request>) -> Result<(), Refused> {
        let error = BlockError::Gone;
        Err(Refused { request, error })
    }
}

#[test]
fn pieces_of_blocks_are_refused() {
    for pieces in [&[(8, 4)][..], &[(4, 8)], &[(8, 8), (17, 8)]] {
        assert!(Extents::new(Rc::new(Large), runs(pieces)).is_err());
    }
    let disk = Extents::new(Rc::new(Large), runs(&[(8, 16), (72, 8)])).unwrap();
    assert_eq!(write(&disk, 8, &[0; 8192]), Err(BlockError::Gone));
    assert_eq!(write(&disk, 0, &[0; 4096]), Err(BlockError::Gone));
}

#[test]
fn a_request_within_a_piece_goes_as_it_is() {
    let disk = Rc::new(TestDisk::holding(numbered(40)));
    let device = on(&disk, &[(10, 8), (30, 8)]);
    let (client, mut memory) = (Client::new(), vec![0; 4096]);
    ask(&device, Op::Read, 8, &mut memory, &client).unwrap();
    assert_eq!(asked(&disk), [(30, 8)]);
    assert!(Rc::ptr_eq(&disk.queue.borrow()[0].client, &client));
    assert!(disk.finish(0));
    assert_eq!(
        client.take(),
        Some(Completion {
            id: 5,
            result: Ok(())
        })
    );
    assert!(memory.chunks(SECTOR).map(|sector| sector[0]).eq(30..38));
    // The disk is full: it comes back as it was.
    disk.depth.set(0);
    assert_eq!(
        ask(&device, Op::Read, 8, &mut memory, &client),
        Err(BlockError::Busy)
    );
    assert_eq!(
        ask(&device, Op::Read, 4, &mut memory, &client),
        Err(BlockError::Busy)
    );
    assert_eq!(
        ask(&device, Op::Read, 9, &mut memory, &client),
        Err(BlockError::OutOfRange)
    );
    assert_eq!((client.in_flight(), client.has_completions()), (0, false));
}

#[test]
fn a_request_across_pieces_is_done_when_all_parts_are() {
    let disk = Rc::new(TestDisk::holding(numbered(40)));
    let device = on(&disk, &[(10, 3), (30, 1), (20, 9)]);
    let (client, mut memory) = (Client::new(), vec![0; 2 * 4096]);
    ask(&device, Op::Read, 1, &mut memory[..9 * SECTOR], &client).unwrap();
    assert_eq!(asked(&disk), [(11, 2), (30, 1), (20, 6)]);
    for part in [1, 1, 0] {
        device.go_on();
        assert_eq!((client.in_flight(), client.has_completions()), (1, false));
        assert!(disk.finish(part));
    }
    device.go_on();
    device.go_on();
    assert_eq!(
        client.take(),
        Some(Completion {
            id: 5,
            result: Ok(())
        })
    );
    assert_eq!((client.in_flight(), client.has_completions()), (0, false));
    let seen = memory[..9 * SECTOR].chunks(SECTOR).map(|sector| sector[0]);
    assert!(seen.eq([11, 12, 30, 20, 21, 22, 23, 24, 25]));
}

#[test]
fn parts_wait_for_room_and_go_on_then() {
    let disk = Rc::new(TestDisk::new(40));
    disk.depth.set(1);
    let device = on(&disk, &[(10, 1), (30, 1), (20, 1), (5, 1)]);
    let (client, mut memory) = (Client::new(), vec![7; 4 * SECTOR]);
    ask(&device, Op::Write, 0, &mut memory, &client).unwrap();
    for sector in [10, 30, 20, 5] {
        assert_eq!(asked(&disk), [(sector, 1)]);
        assert_eq!(client.in_flight(), 1);
        assert!(disk.finish(0));
        device.go_on();
    }
    assert_eq!(
        client.take(),
        Some(Completion {
            id: 5,
            result: Ok(())
        })
    );
    assert_eq!(client.in_flight(), 0);
    let written: Vec<_> = (0..40)
        .filter(|n| disk.cached.borrow()[n * SECTOR] == 7)
        .collect();
    assert_eq!(written, [5, 10, 20, 30]);
}

#[test]
fn an_error_of_a_part_is_the_requests() {
    for fails in 0..3 {
        let disk = Rc::new(TestDisk::new(40));
        let device = on(&disk, &[(10, 1), (30, 1), (20, 1)]);
        let (client, mut memory) = (Client::new(), vec![7; 3 * SECTOR]);
        ask(&device, Op::Write, 0, &mut memory, &client).unwrap();
        for part in 0..3 {
            assert!(!client.has_completions());
            assert!(if part == fails {
                disk.fail(0)
            } else {
                disk.finish(0)
            });
            device.go_on();
        }
        let result = Err(BlockError::Io);
        assert_eq!(client.take(), Some(Completion { id: 5, result }));
        assert_eq!((client.in_flight(), client.has_completions()), (0, false));
    }
}

/// What waits when a part fails is not begun, and the memory is the disk's until the last part is done.
#[test]
fn after_an_error_nothing_more_is_begun() {
    let disk = Rc::new(TestDisk::new(40));
    disk.depth.set(2);
    let device = on(&disk, &[(10, 1), (30, 1), (20, 1)]);
    let (client, mut memory) = (Client::new(), vec![7; 3 * SECTOR]);
    ask(&device, Op::Write, 0, &mut memory, &client).unwrap();
    disk.fail(0);
    device.go_on();
    assert_eq!((asked(&disk), client.in_flight()), (vec![(30, 1)], 1));
    assert!(!client.has_completions());
    disk.finish(0);
    device.go_on();
    let result = Err(BlockError::Io);
    assert_eq!(client.take(), Some(Completion { id: 5, result }));
    assert_eq!(disk.cached.borrow()[20 * SECTOR], 0);
}

#[test]
fn flushes_go_through_and_memory_answers_at_once() {
    let disk: Rc<dyn Device> = Rc::new(RamDisk::new(Box::leak(numbered(40).into_boxed_slice()), 0));
    let device = Extents::new(disk.clone(), runs(&[(10, 3), (2, 3)])).unwrap();
    assert_eq!(submit_one(&device, Op::Flush, 0, &mut []), Ok(()));
    write(&device, 2, &[0xAA; 2 * SECTOR]).unwrap();
    assert_eq!(read(&*disk, 12, SECTOR).unwrap(), [0xAA; SECTOR]);
    assert_eq!(read(&*disk, 2, SECTOR).unwrap(), [0xAA; SECTOR]);
    assert_eq!(read(&*disk, 13, SECTOR).unwrap(), [13; SECTOR]);
    assert_eq!(read(&device, 1, 4 * SECTOR).unwrap()[..SECTOR], [11; SECTOR]);
    assert_eq!(read(&device, 5, 2 * SECTOR), Err(BlockError::OutOfRange));
}

/// What files are excludes others by the sectors of the whole disk, in whatever order they lie.
#[test]
fn files_exclude_by_sectors() {
    let mut disks = Disks::default();
    assert!(disks.add_own("ram0", Rc::new(RamDisk::new(&[], 200 * SECTOR as u64)), 0));
    assert!(disks.add_part("ram0p1", "ram0", 50, 100));
    assert!(disks.add_part("ram0p2", "ram0", 150, 50));
    let part = disks.volume("ram0p1").unwrap();
    let file = |pieces: &[(u64, u64)], writes| {
        let part_of_it = Part {
            runs: runs(pieces),
            keeps: Rc::new(()),
        };
        Lot::file(&part, part_of_it, writes)
    };
    let twice = file(&[(10, 3), (40, 1), (12, 1)], false);
    assert_eq!(twice.err(), Some("it has the same sectors twice"));
    assert_eq!(
        file(&[(99, 2)], false).err(),
        Some("a part of it is beyond the disk")
    );
    let given = file(&[(60, 5), (3, 2), (20, 4)], true).unwrap();
    assert_eq!(disks.exports.give("a", given, false).err(), Some(Refusal::Wait));
    for cache in disks.caches() {
        cache.take_news();
    }
    let device = disks.exports.again("a").unwrap();
    write(&*device, 4, &[7; 3 * SECTOR]).unwrap();
    let whole = disks.volume("ram0").unwrap();
    assert_eq!(read(&*whole.device, 114, SECTOR).unwrap(), [7; SECTOR]);
    assert_eq!(read(&*whole.device, 53, 2 * SECTOR).unwrap(), [7; 2 * SECTOR]);
    for (name, clashes) in [("ram0", true), ("ram0p1", true), ("ram0p2", false)] {
        let volume = &disks.volume(name).unwrap();
        for writes in [false, true] {
            assert_eq!(disks.exports.exclude(Use { volume, writes }), clashes, "{name}");
        }
    }
    for (pieces, clashes) in [
        (&[(0, 3), (5, 15), (24, 36), (65, 35)][..], false),
        (&[(0, 1), (64, 1)], true),
        (&[(23, 1)], true),
        (&[(90, 1), (4, 1)], true),
    ] {
        let answer = disks.exports.give("b", file(pieces, false).unwrap(), false);
        assert_eq!(answer.err() != Some(Refusal::Wait), clashes, "{pieces:?}");
        disks.exports.keep(|owner| owner == "a");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Any pieces, any requests, done in any order, some failing: the disk is an array, and nothing else of the other disk changes.
    #[test]
    fn it_is_a_disk(
        gaps in proptest::collection::vec((1_u64..4, 1_u64..6), 1..12),
        turn in 0_usize..12,
        steps in proptest::collection::vec((any::<bool>(), 0_u64..40, 1_u64..20, any::<u8>(), any::<bool>()), 1..40),
    ) {
        let mut at = 0;
        let mut pieces: Vec<(u64, u64)> = gaps.iter().map(|(gap, count)| { at += gap + count; (at - count, *count) }).collect();
        let middle = turn % pieces.len();
        pieces.rotate_left(middle);
        let disk = Rc::new(TestDisk::holding(vec![0; (at as usize + 3) * SECTOR]));
        disk.depth.set(2);
        let device = on(&disk, &pieces);
        let sectors = device.info().sectors;
        let mut model = vec![0; sectors as usize];
        for (writes, sector, count, value, fails) in steps {
            let (first, len) = ((sector % sectors) as usize, count as usize);
            let mut memory = vec![if writes { value } else { 0xEE }; len * SECTOR];
            let op = if writes { Op::Write } else { Op::Read };
            let client = Client::new();
            let begun = ask(&device, op, first as u64, &mut memory, &client);
            if first + len > model.len() {
                prop_assert_eq!(begun, Err(BlockError::OutOfRange));
                continue;
            }
            prop_assert_eq!(begun, Ok(()));
            let mut failed = false;
            while client.in_flight() > 0 {
                device.go_on();
                let index = usize::from(value) % disk.queue.borrow().len().max(1);
                if fails && !failed {
                    failed = disk.fail(index);
                } else {
                    disk.finish(index);
                }
                device.go_on();
            }
            let result = client.take().unwrap().result;
            prop_assert_eq!(result.is_err(), failed);
            if failed {
                // Some of it may be written: written again it is.
                let mut again = vec![value; len * SECTOR];
                let client = Client::new();
                prop_assert_eq!(ask(&device, Op::Write, first as u64, &mut again, &client), Ok(()));
                while client.in_flight() > 0 {
                    disk.finish(0);
                    device.go_on();
                }
            } else if !writes {
                prop_assert!(memory.chunks(SECTOR).map(|sector| sector[0]).eq(model[first..first + len].iter().copied()));
                continue;
            }
            model[first..first + len].fill(value);
        }
        let cached = disk.cached.borrow();
        let mut seen = vec![0; cached.len() / SECTOR];
        let there = pieces.iter().flat_map(|(first, count)| *first..first + count);
        for (value, sector) in model.iter().zip(there) {
            seen[sector as usize] = *value;
        }
        prop_assert!(cached.chunks(SECTOR).map(|sector| sector[0]).eq(seen));
    }
}
