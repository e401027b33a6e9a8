//! Volumes on disks whose reads fail and whose power goes, block by block.

use super::fixture::{FIRST, SECTORS, disk_of, formatted, mounted, try_mount};
use super::*;
use crate::block::{Device, Op};

/// Something done to a volume.
type Operation = dyn Fn(&Mount) -> Result<(), Errno>;

fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|at| (at / 7) as u8 ^ seed).collect()
}

#[test]
fn files_and_directories_are_made_written_read_and_removed() {
    let disk = disk_of(formatted());
    let mount = mounted(&disk);
    let m = |work: &dyn Fn(&Mount) -> Result<(), Errno>| mount.done(&disk, work);
    m(&|mount| mount.create("A long directory's name", true)).unwrap();
    m(&|mount| mount.create("A long directory's name/file.txt", false)).unwrap();
    let path = "a LONG directory's name/file.txt";
    let bytes = pattern(100_000, 3);
    mount.write_all(&disk, path, &bytes);
    mount.sync(&disk);
    // Another kernel, with an empty cache.
    let disk = disk_of(disk.medium.borrow().clone());
    let mount = mounted(&disk);
    assert_eq!(mount.read_all(&disk, path).unwrap(), bytes);
    let m = |work: &dyn Fn(&Mount) -> Result<(), Errno>| mount.done(&disk, work);
    let names = mount.done(&disk, |mount| mount.list("")).unwrap();
    assert_eq!(
        (names.len(), &*names[0].name, names[0].is_directory),
        (1, "A long directory's name", true)
    );
    assert_eq!(
        m(&|mount| mount.remove("A long directory's name", true)),
        Err(Errno::ENOTEMPTY)
    );
    assert_eq!(
        m(&|mount| mount.remove("A long directory's name", false)),
        Err(Errno::EISDIR)
    );
    assert_eq!(m(&|mount| mount.create(path, false)), Err(Errno::EEXIST));
    let in_use = mount.keep(path);
    assert_eq!(m(&|mount| mount.remove(path, false)), Err(Errno::EBUSY));
    assert_eq!(m(&|mount| mount.rename(path, "other")), Err(Errno::EBUSY));
    drop(in_use);
    m(&|mount| mount.rename(path, "Other.Txt")).unwrap();
    assert_eq!(mount.read_all(&disk, "other.txt").unwrap(), bytes);
    m(&|mount| mount.remove("A long directory's name", true)).unwrap();
    m(&|mount| mount.remove("other.txt", false)).unwrap();
    assert_eq!(mount.done(&disk, |mount| mount.list("")).unwrap(), []);
}

#[test]
fn files_grow_with_zeroes_and_shrink() {
    let disk = disk_of(formatted());
    let mount = mounted(&disk);
    mount.done(&disk, |mount| mount.create("f", false)).unwrap();
    mount
        .done(&disk, |mount| mount.write("f", 70_000, b"end"))
        .unwrap();
    let bytes = mount.read_all(&disk, "f").unwrap();
    assert_eq!((bytes.len(), &bytes[70_000..]), (70_003, &b"end"[..]));
    assert!(bytes[..70_000].iter().all(|byte| *byte == 0));
    mount.done(&disk, |mount| mount.set_len("f", 1000)).unwrap();
    assert_eq!(mount.read_all(&disk, "f").unwrap(), [0; 1000]);
    mount.done(&disk, |mount| mount.set_len("f", 0)).unwrap();
    let refused = mount.done(&disk, |mount| mount.write("f", u64::from(u32::MAX), b"x"));
    assert_eq!(refused, Err(Errno::EFBIG));
    assert_eq!(mount.read_all(&disk, "f").unwrap(), []);
}

#[test]
fn a_full_volume_is_refused_and_stays_in_order() {
    let disk = disk_of(formatted());
    let mount = mounted(&disk);
    mount.done(&disk, |mount| mount.create("big", false)).unwrap();
    let part = pattern(32 * 1024, 1);
    let mut at = 0;
    let end = loop {
        match mount.done(&disk, |mount| mount.write("big", at, &part)) {
            Ok(count) => at += count as u64,
            Err(errno) => break errno,
        }
    };
    assert_eq!(end, Errno::ENOSPC);
    assert!(at > 3 << 20);
    let entry = mount.done(&disk, |mount| mount.entry("big")).unwrap();
    assert_eq!(entry.size, at, "what was refused left nothing");
    mount.done(&disk, |mount| mount.remove("big", false)).unwrap();
    mount.done(&disk, |mount| mount.create("small", false)).unwrap();
    mount.write_all(&disk, "small", &part);
}

#[test]
fn what_is_no_volume_is_refused() {
    for bytes in [vec![0; formatted().len()], vec![0xFF; formatted().len()]] {
        let result = try_mount(&disk_of(bytes), false).map(drop);
        assert_eq!(result, Err(Errno::EINVAL));
    }
}

/// Each read that making and writing a file needs fails once: the call fails, nothing of it is seen, and the next one succeeds.
#[test]
fn a_read_that_fails_at_any_point_undoes_the_operation() {
    let mut base = disk_of(formatted());
    {
        let mount = mounted(&base);
        mount.done(&base, |mount| mount.create("dir", true)).unwrap();
        mount.done(&base, |mount| mount.create("dir/old", false)).unwrap();
        mount.write_all(&base, "dir/old", &pattern(60_000, 9));
        mount.sync(&base);
    }
    let image = base.medium.borrow().clone();
    let operations: [(&str, &Operation); 4] = [
        ("create", &|mount| mount.create("dir/new", false)),
        ("write", &|mount| {
            mount.write("dir/old", 50_000, &pattern(20_000, 5)).map(drop)
        }),
        ("remove", &|mount| mount.remove("dir/old", false)),
        ("rename", &|mount| mount.rename("dir/old", "other")),
    ];
    for (name, operation) in operations {
        for fails in 0.. {
            base = disk_of(image.clone());
            let mount = mounted(&base);
            mount.volume().cache.forget(core::slice::from_ref(&(0..u64::MAX)));
            let mut reads = 0;
            let result = loop {
                match operation(&mount) {
                    Err(Errno::EIOCBQUEUED) => {
                        let done = if reads == fails {
                            base.fail(0)
                        } else {
                            base.finish(0)
                        };
                        assert!(done);
                        reads += 1;
                        mount.volume().cache.take_news();
                    }
                    other => break other,
                }
            };
            if reads <= fails {
                assert_eq!(result, Ok(()), "{name} without a failure");
                assert!(fails > 0, "{name} read nothing");
                break;
            }
            assert_eq!(result, Err(Errno::EIO), "{name}, read {fails}");
            assert_eq!(mount.volume().cache.usage().dirty, 0, "{name}, read {fails}");
            mount.done(&base, operation).unwrap();
            mount.sync(&base);
        }
    }
}

/// Power goes after each block that is written: what was synced before is there, and the volume can be used.
#[test]
fn a_cut_after_any_block_keeps_what_was_synced() {
    let disk = disk_of(formatted());
    let mount = mounted(&disk);
    mount.done(&disk, |mount| mount.create("kept", false)).unwrap();
    mount.write_all(&disk, "kept", &pattern(20_000, 1));
    mount.sync(&disk);
    let image = disk.medium.borrow().clone();
    for cut in 0..200 {
        let disk = disk_of(image.clone());
        let mount = mounted(&disk);
        mount.done(&disk, |mount| mount.create("new", false)).unwrap();
        mount.write_all(&disk, "new", &pattern(9000, 2));
        mount.done(&disk, |mount| mount.create("dir", true)).unwrap();
        let cache = &mount.volume().cache;
        let ticket = cache.begin_sync();
        // Block by block: a write of several is cut too.
        let mut medium = image.clone();
        let mut left = cut;
        'power: loop {
            let queue = disk.queue.borrow();
            let Some(request) = queue.front() else {
                break;
            };
            let mut at = request.sector as usize * 512;
            for segment in &request.segments {
                assert_eq!(request.op, Op::Write);
                if left == 0 {
                    break 'power;
                }
                left -= 1;
                let len = segment.len() as usize;
                segment.read(&mut medium[at..at + len]);
                at += len;
            }
            drop(queue);
            disk.finish(0);
            cache.take_news();
        }
        let is_whole = cache.poll_sync(ticket).is_ok();
        let again = disk_of(medium);
        let mount = mounted(&again);
        assert_eq!(
            mount.read_all(&again, "kept").unwrap(),
            pattern(20_000, 1),
            "cut after {cut}"
        );
        mount.done(&again, |mount| mount.create("after", true)).unwrap();
        if is_whole {
            assert!(cut > 3, "the cuts were none");
            assert_eq!(mount.read_all(&again, "new").unwrap(), pattern(9000, 2));
            return;
        }
    }
    panic!("no end");
}

#[test]
fn a_volume_on_a_read_only_disk_is_read() {
    let disk = disk_of(formatted());
    assert_eq!(disk.info().sectors, FIRST + SECTORS);
    let mount = try_mount(&disk, true).unwrap();
    assert_eq!(mount.done(&disk, |mount| mount.list("")).unwrap(), []);
    assert_eq!(
        mount.done(&disk, |mount| mount.create("x", false)),
        Err(Errno::EROFS)
    );
}
