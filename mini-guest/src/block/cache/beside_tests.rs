//! The cache beside others who write to sectors of the same blocks.

use proptest::prelude::*;

use super::tests::{cache, numbered, read, run, sync};
use super::*;
use crate::block::testing::TestDisk;

/// Sectors 0 to 4 of a block of eight.
const THEIRS: [Range<u64>; 2] = [0..4, 9..10];

/// What is written of a block is what was changed here, though somebody else has written beside it meanwhile.
#[test]
fn only_what_was_changed_is_written() {
    let disk = numbered(4);
    let cache = cache(&disk);
    run(&disk, &cache, |transaction| {
        transaction.write(5 * 512 + 7, b"own")?;
        transaction.write(7 * 512, &[1; 1024])?;
        transaction.write(10 * 512, &[2])
    })
    .unwrap();
    for theirs in [0, 4, 6, 9, 11] {
        disk.cached.borrow_mut()[theirs * 512..][..512].fill(0xEE);
    }
    let ticket = cache.begin_sync();
    let asked: Vec<_> = disk
        .queue
        .borrow()
        .iter()
        .map(|request| (request.sector, request.sectors()))
        .collect();
    assert_eq!(asked, [(5, 1), (7, 2), (10, 1)]);
    // The block is written when both of its parts are.
    for _ in 0..3 {
        assert_eq!(
            cache.usage().dirty,
            2 - asked.len().saturating_sub(disk.queue.borrow().len()) / 2
        );
        assert!(disk.finish(0));
        cache.take_completions();
    }
    assert_eq!(cache.usage().dirty, 0);
    disk.finish(0);
    cache.take_completions();
    assert_eq!(cache.poll_sync(ticket), Ok(()));
    let medium = disk.medium.borrow();
    for theirs in [0, 4, 6, 9, 11] {
        assert_eq!(medium[theirs * 512..][..512], [0xEE; 512]);
    }
    assert_eq!(medium[5 * 512 + 7..][..3], *b"own");
    assert_eq!(
        (medium[7 * 512], medium[9 * 512 - 1], medium[10 * 512]),
        (1, 1, 2)
    );
}

/// One part of a block fails: it stays newer than the disk, the other one is written.
#[test]
fn a_part_that_fails_stays() {
    let disk = numbered(4);
    let cache = cache(&disk);
    run(&disk, &cache, |transaction| {
        transaction.write(0, &[1])?;
        transaction.write(2 * 512, &[2])
    })
    .unwrap();
    cache.write_back();
    disk.fail(0);
    disk.finish(0);
    cache.take_completions();
    assert_eq!((cache.usage().dirty, disk.cached.borrow()[1024]), (1, 2));
    disk.cached.borrow_mut()[1024] = 0xEE;
    sync(&disk, &cache).unwrap();
    assert_eq!((disk.medium.borrow()[0], disk.medium.borrow()[1024]), (1, 0xEE));
}

/// A block that holds something newer than the disk and something that may be older: it is written, and read anew.
#[test]
fn what_is_partly_old_is_read_anew() {
    let disk = numbered(4);
    let cache = cache(&disk);
    run(&disk, &cache, |transaction| transaction.write(5 * 512, &[7; 512])).unwrap();
    disk.cached.borrow_mut()[..4 * 512].fill(0xEE);
    cache.forget(&THEIRS);
    assert_eq!(cache.usage().dirty, 1);
    assert_eq!(read(&disk, &cache, 3 * 512, 1), Ok(vec![0xEE]));
    assert_eq!(read(&disk, &cache, 5 * 512, 1), Ok(vec![7]));
    // The same while it is being written.
    run(&disk, &cache, |transaction| transaction.write(5 * 512, &[8; 512])).unwrap();
    cache.write_back();
    disk.cached.borrow_mut()[..4 * 512].fill(0xDD);
    cache.forget(&THEIRS);
    assert_eq!(read(&disk, &cache, 0, 1), Ok(vec![0xDD]));
    assert_eq!(read(&disk, &cache, 5 * 512, 1), Ok(vec![8]));
    // What cannot be written is an error, not an end of everything.
    run(&disk, &cache, |transaction| transaction.write(5 * 512, &[9; 512])).unwrap();
    cache.forget(&THEIRS);
    cache.write_back();
    disk.fail(0);
    cache.take_completions();
    assert_eq!(read(&disk, &cache, 0, 1), Err(BlockError::Io));
    sync(&disk, &cache).unwrap();
    assert_eq!(disk.medium.borrow()[5 * 512], 9);
    // Others' blocks stay.
    read(&disk, &cache, 2 * BLOCK as u64, 1).unwrap();
    let blocks = cache.usage().blocks;
    cache.forget(core::slice::from_ref(&(23..24)));
    assert_eq!(cache.usage().blocks, blocks - 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// This domain and another one write to different sectors of the same blocks; what the other one has is seen here after it is forgotten.
    #[test]
    fn two_write_side_by_side(
        theirs in proptest::collection::btree_set(0_u64..64, 1..40),
        steps in proptest::collection::vec((0_u8..6, 0_u64..64, any::<u8>()), 1..120),
    ) {
        let disk = Rc::new(TestDisk::new(64));
        disk.depth.set(2);
        let cache = cache(&disk);
        let ranges: Vec<_> = theirs.iter().map(|sector| *sector..sector + 1).collect();
        let mut model = [0; 64];
        for (kind, sector, value) in steps {
            let at = sector as usize * SECTOR;
            match kind {
                0 | 1 if theirs.contains(&sector) => {
                    disk.cached.borrow_mut()[at..at + SECTOR].fill(value);
                    model[sector as usize] = value;
                }
                0 | 1 => {
                    let transaction = Transaction::new(&cache);
                    // A part of the sector makes the whole block be looked at.
                    let end = transaction.write(at as u64 + 3, &[value; SECTOR - 3])
                        .and_then(|()| transaction.write(at as u64, &[value; 3]))
                        .and_then(|()| transaction.commit());
                    if end.is_ok() {
                        model[sector as usize] = value;
                    }
                }
                2 => {
                    cache.forget(&ranges);
                    // A read or write that failed before is told, once.
                    let mut seen = read(&disk, &cache, at as u64, 1);
                    for _ in 0..2 {
                        cache.write_failed.set(false);
                        seen = seen.or_else(|_| read(&disk, &cache, at as u64, 1));
                    }
                    prop_assert_eq!(seen, Ok(vec![model[sector as usize]]));
                }
                3 | 4 => {
                    let count = disk.queue.borrow().len();
                    let index = usize::from(value) % count.max(1);
                    if kind == 3 { disk.finish(index) } else { disk.fail(index) };
                    cache.take_completions();
                    cache.write_failed.set(false);
                }
                _ => cache.write_back(),
            }
        }
        sync(&disk, &cache).or_else(|_| sync(&disk, &cache)).unwrap();
        let medium = disk.medium.borrow();
        prop_assert!(medium.chunks(SECTOR).map(|sector| sector[SECTOR - 1]).eq(model));
    }
}
