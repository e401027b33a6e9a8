//! The cache on disks that answer when the test says so: reads that fail, power that goes, everything in any order.

use proptest::prelude::*;

use super::*;
use crate::block::Device;
use crate::block::testing::TestDisk;

pub(super) fn cache(disk: &Rc<TestDisk>) -> Cache {
    Cache::new(disk.clone(), LEAST)
}

pub(super) fn numbered(blocks: usize) -> Rc<TestDisk> {
    let bytes = (0..blocks * BLOCK).map(|at| (at / BLOCK) as u8).collect();
    Rc::new(TestDisk::holding(bytes))
}

/// Does an operation, the disk doing what is asked of it in order.
pub(super) fn run<R>(
    disk: &TestDisk,
    cache: &Cache,
    mut work: impl FnMut(&Transaction) -> Result<R, Missing>,
) -> Result<R, BlockError> {
    for _ in 0..1000 {
        let transaction = Transaction::new(cache);
        match work(&transaction).and_then(|value| transaction.commit().map(|()| value)) {
            Ok(value) => return Ok(value),
            Err(Missing::Error(error)) => return Err(error),
            Err(Missing::Wait) => {
                assert!(disk.finish(0), "it waits for nothing");
                cache.take_completions();
            }
        }
    }
    panic!("no end");
}

pub(super) fn sync(disk: &TestDisk, cache: &Cache) -> Result<(), BlockError> {
    let ticket = cache.begin_sync();
    loop {
        match cache.poll_sync(ticket) {
            Ok(()) => return Ok(()),
            Err(Missing::Error(error)) => return Err(error),
            Err(Missing::Wait) => {
                assert!(disk.finish(0), "it waits for nothing");
                cache.take_completions();
            }
        }
    }
}

pub(super) fn read(disk: &TestDisk, cache: &Cache, at: u64, len: usize) -> Result<Vec<u8>, BlockError> {
    run(disk, cache, |transaction| {
        let mut bytes = vec![0; len];
        transaction.read(at, &mut bytes).map(|()| bytes)
    })
}

#[test]
fn bytes_are_read_across_blocks_and_once() {
    let disk = numbered(20);
    let cache = cache(&disk);
    let bytes = read(&disk, &cache, 4090, 10).unwrap();
    assert_eq!(bytes, [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]);
    // Read ahead: no further request.
    let bytes = read(&disk, &cache, 7 * BLOCK as u64, 1).unwrap();
    assert_eq!((bytes, disk.queue.borrow().len()), (vec![7], 0));
    assert_eq!(cache.usage().blocks, 8);
}

#[test]
fn what_is_beyond_the_disk_is_refused() {
    let disk = Rc::new(TestDisk::new(9));
    let cache = cache(&disk);
    assert_eq!(read(&disk, &cache, 8 * 512, 512).unwrap(), [0; 512]);
    assert_eq!(read(&disk, &cache, 8 * 512, 513), Err(BlockError::OutOfRange));
    assert_eq!(read(&disk, &cache, u64::MAX, 2), Err(BlockError::OutOfRange));
    // The last block is short: it is written as a whole without being read.
    run(&disk, &cache, |transaction| transaction.write(8 * 512, &[5; 512])).unwrap();
    sync(&disk, &cache).unwrap();
    assert_eq!(disk.medium.borrow()[8 * 512..], [5; 512]);
}

#[test]
fn an_operation_that_is_not_committed_never_was() {
    let disk = numbered(4);
    let cache = cache(&disk);
    read(&disk, &cache, 0, 1).unwrap();
    let transaction = Transaction::new(&cache);
    transaction.write(10, b"new").unwrap();
    let mut seen = [0; 3];
    transaction.read(10, &mut seen).unwrap();
    assert_eq!(&seen, b"new");
    drop(transaction);
    assert_eq!(read(&disk, &cache, 10, 3).unwrap(), [0; 3]);
    assert_eq!(cache.usage().dirty, 0);
}

/// For each read that an operation needs: that one fails, the operation fails with it, nothing of it is kept, and the next attempt succeeds.
#[test]
fn a_read_that_fails_leaves_nothing_behind() {
    // Far apart, so that nothing is read ahead.
    let places = [0_u64, 20, 40, 60].map(|block| block * BLOCK as u64 + 5);
    let work = |transaction: &Transaction| places.iter().try_for_each(|at| transaction.write(*at, b"xyz"));
    for fails in 0..places.len() {
        let disk = numbered(80);
        let before = disk.cached.borrow().clone();
        let cache = cache(&disk);
        for step in 0..=fails {
            let transaction = Transaction::new(&cache);
            assert_eq!(work(&transaction), Err(Missing::Wait));
            assert!(if step == fails {
                disk.fail(0)
            } else {
                disk.finish(0)
            });
            cache.take_completions();
        }
        let transaction = Transaction::new(&cache);
        assert_eq!(work(&transaction), Err(Missing::Error(BlockError::Io)));
        drop(transaction);
        assert_eq!(cache.usage().dirty, 0);
        assert_eq!(*disk.cached.borrow(), before);
        run(&disk, &cache, work).unwrap();
        sync(&disk, &cache).unwrap();
        for at in places {
            assert_eq!(&disk.medium.borrow()[at as usize..][..3], b"xyz");
        }
    }
}

#[test]
fn a_write_that_fails_is_told_and_tried_again() {
    let disk = numbered(4);
    let cache = cache(&disk);
    run(&disk, &cache, |transaction| transaction.write(0, &[9; BLOCK])).unwrap();
    let ticket = cache.begin_sync();
    disk.fail(0);
    cache.take_completions();
    assert_eq!(cache.poll_sync(ticket), Err(Missing::Error(BlockError::Io)));
    assert_eq!(cache.usage().dirty, 1);
    cache.write_at_leisure();
    assert!(disk.queue.borrow().is_empty(), "not again by itself");
    sync(&disk, &cache).unwrap();
    assert_eq!(disk.medium.borrow()[..BLOCK], [9; BLOCK]);
}

#[test]
fn a_sync_waits_for_its_own_round() {
    let disk = numbered(40);
    let cache = cache(&disk);
    run(&disk, &cache, |transaction| transaction.write(0, &[1; BLOCK])).unwrap();
    let first = cache.begin_sync();
    run(&disk, &cache, |transaction| {
        transaction.write(BLOCK as u64, &[2; BLOCK])
    })
    .unwrap();
    let second = cache.begin_sync();
    assert_ne!(first, second);
    // Write, flush: the first is done, the second begins.
    disk.finish(0);
    cache.take_completions();
    disk.finish(0);
    cache.take_completions();
    assert_eq!(cache.poll_sync(first), Ok(()));
    assert_eq!(cache.poll_sync(second), Err(Missing::Wait));
    assert_eq!(disk.medium.borrow()[BLOCK], 1);
    disk.finish(0);
    disk.finish(0);
    cache.take_completions();
    disk.finish(0);
    cache.take_completions();
    assert_eq!(cache.poll_sync(second), Ok(()));
    assert_eq!(disk.medium.borrow()[BLOCK], 2);
}

#[test]
fn a_block_that_is_being_written_is_not_changed() {
    let disk = numbered(4);
    let cache = cache(&disk);
    run(&disk, &cache, |transaction| transaction.write(0, &[1; BLOCK])).unwrap();
    cache.write_back();
    let transaction = Transaction::new(&cache);
    transaction.write(3, b"x").unwrap();
    assert_eq!(transaction.commit(), Err(Missing::Wait));
    disk.finish(0);
    cache.take_completions();
    assert_eq!(disk.cached.borrow()[..BLOCK], [1; BLOCK]);
    run(&disk, &cache, |transaction| transaction.write(3, b"x")).unwrap();
    assert_eq!(cache.usage().dirty, 1);
}

#[test]
fn many_blocks_go_through_a_small_cache() {
    let disk = numbered(1000);
    let cache = cache(&disk);
    for block in 0..1000_u64 {
        run(&disk, &cache, |transaction| {
            let mut first = [0];
            transaction.read(block * BLOCK as u64, &mut first)?;
            transaction.write(block * BLOCK as u64, &[first[0] ^ 0xFF])
        })
        .unwrap();
        assert!(cache.usage().blocks <= LEAST);
    }
    sync(&disk, &cache).unwrap();
    let medium = disk.medium.borrow();
    assert!((0..1000).all(|block| medium[block * BLOCK] == block as u8 ^ 0xFF));
    assert!((0..1000).all(|block| medium[block * BLOCK + 1] == block as u8));
}

#[test]
fn a_disk_that_answers_at_once_never_waits() {
    let disk: Rc<dyn Device> = Rc::new(crate::block::ram::RamDisk::new(&[], 1000 * BLOCK as u64));
    let cache = Cache::new(disk, LEAST);
    for block in 0..1000_u64 {
        let transaction = Transaction::new(&cache);
        transaction.write(block * BLOCK as u64 + 1, b"r").unwrap();
        transaction.commit().unwrap();
    }
    let ticket = cache.begin_sync();
    assert_eq!(cache.poll_sync(ticket), Ok(()));
    assert_eq!(cache.usage().dirty, 0);
}

#[test]
fn too_much_for_one_operation_is_refused() {
    let disk = numbered(200);
    let cache = cache(&disk);
    let all = vec![1; 100 * BLOCK];
    let refused = run(&disk, &cache, |transaction| transaction.write(0, &all));
    assert_eq!(refused, Err(BlockError::Malformed));
    assert_eq!(cache.usage().dirty, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Operations in any order, completions in any order, some failing, against a plain array.
    #[test]
    fn the_cache_is_the_disk(
        steps in proptest::collection::vec((0_u8..6, 0_usize..150 * BLOCK - 6000, 1_usize..6000, any::<u8>()), 1..120)
    ) {
        let disk = Rc::new(TestDisk::new(150 * 8));
        disk.depth.set(3);
        let cache = cache(&disk);
        let mut model = vec![0; 150 * BLOCK];
        for (kind, at, len, value) in steps {
            match kind {
                0 | 1 => {
                    let transaction = Transaction::new(&cache);
                    let bytes = vec![value; len];
                    let end = transaction.write(at as u64, &bytes).and_then(|()| transaction.commit());
                    if end.is_ok() {
                        model[at..at + len].fill(value);
                    }
                }
                2 => {
                    let transaction = Transaction::new(&cache);
                    let mut bytes = vec![0; len];
                    if transaction.read(at as u64, &mut bytes).is_ok() {
                        prop_assert_eq!(&bytes[..], &model[at..at + len]);
                    }
                }
                3 | 4 => {
                    let count = disk.queue.borrow().len();
                    let index = usize::from(value) % count.max(1);
                    if kind == 3 { disk.finish(index) } else { disk.fail(index) };
                    cache.take_completions();
                }
                _ => cache.write_back(),
            }
        }
        sync(&disk, &cache).or_else(|_| sync(&disk, &cache)).unwrap();
        prop_assert!(*disk.medium.borrow() == model);
    }
}

#[test]
fn what_is_being_read_is_forgotten_too() {
    let disk = numbered(4);
    let cache = cache(&disk);
    let mut byte = [0];
    assert_eq!(Transaction::new(&cache).read(0, &mut byte), Err(Missing::Wait));
    cache.forget(core::slice::from_ref(&(0..8)));
    // The disk has answered before somebody else writes.
    assert!(disk.finish(0));
    disk.cached.borrow_mut()[0] = 0xEE;
    assert_eq!(Transaction::new(&cache).write(5, &[1]), Err(Missing::Wait));
    cache.take_completions();
    assert_eq!(read(&disk, &cache, 0, 1), Ok(vec![0xEE]));
}
