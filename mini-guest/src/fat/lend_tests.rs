//! Files as disks of other domains: found where they are, kept from this one, refused where their chains make no sense.

use alloc::rc::Rc;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::fixture::{FIRST, SECTORS, disk_of, formatted, mounted, try_mount};
use super::*;
use crate::block::exports::{Exports, Lot, Refusal};
use crate::block::testing::{TestDisk, segments};
use crate::block::{Client, Device, Op, Request, SECTOR};

/// Sectors of the two files, which lie in each other's gaps.
const LEN: usize = 24;

/// A volume of 512-byte clusters that begins in the middle of a block, with two files in pieces.
fn volume() -> (Rc<TestDisk>, Rc<Mount>) {
    let disk = disk_of(formatted());
    let mount = Rc::new(mounted(&disk));
    mount.done(&disk, |mount| mount.create("Images", true)).unwrap();
    for name in ["images/One.img", "images/two.img"] {
        mount.done(&disk, |mount| mount.create(name, false)).unwrap();
    }
    for (part, len) in [1, 3, 7, 2, 11].into_iter().enumerate() {
        for (seed, name) in [(1, "images/one.img"), (100, "images/two.img")] {
            let bytes = vec![seed + part as u8; len * SECTOR];
            let size = mount.done(&disk, |mount| mount.entry(name)).unwrap().size;
            let count = mount
                .done(&disk, |mount| mount.write(name, size, &bytes))
                .unwrap();
            assert_eq!(count, bytes.len());
        }
    }
    (disk, mount)
}

/// Begins and goes on until it is found or refused.
fn search(
    (disk, mount): (&TestDisk, &Rc<Mount>),
    lending: &mut Lending,
    (owner, path): (&str, &str),
    writes: bool,
) -> Result<Lot, &'static str> {
    let entry = mount.done(disk, |mount| mount.entry(path)).unwrap();
    lending.begin(owner, (mount, path, &entry), writes)?;
    for _ in 0..1000 {
        assert!(lending.has(owner));
        match lending.go_on(owner) {
            Err(Refusal::Wait) => {
                assert!(disk.finish(0), "it waits for nothing");
                mount.volume().cache.take_news();
            }
            other => {
                assert!(!lending.has(owner));
                return other.map_err(|refusal| match refusal {
                    Refusal::Because(why) => why,
                    Refusal::Wait => unreachable!(),
                });
            }
        }
    }
    panic!("no end");
}

fn give(
    disk: &TestDisk,
    mount: &Mount,
    exports: &mut Exports,
    owner: &str,
    lot: Lot,
) -> Result<Rc<dyn Device>, Refusal> {
    let mut answer = exports.give(owner, lot, false);
    while answer.as_ref().err() == Some(&Refusal::Wait) {
        assert!(disk.finish(0));
        mount.volume().cache.take_news();
        answer = exports.again(owner);
    }
    answer
}

fn ask(disk: &TestDisk, device: &dyn Device, op: Op, sector: u64, memory: &mut [u8]) {
    let client = Client::new();
    let request = Request::new(op, sector, segments(memory), 1, client.clone());
    device.submit(request).unwrap();
    while client.in_flight() > 0 {
        disk.finish(0);
        device.go_on();
    }
    assert_eq!(client.take().unwrap().result, Ok(()));
}

#[test]
fn a_file_in_pieces_is_a_disk_beside_others_that_are_written() {
    let (disk, mount) = volume();
    let before = mount.read_all(&disk, "images/one.img").unwrap();
    let (mut lending, mut exports) = (Lending::default(), Exports::default());
    let lot = search((&disk, &mount), &mut lending, ("a", "images/one.img"), true).unwrap();
    let device = give(&disk, &mount, &mut exports, "a", lot).unwrap();
    assert_eq!(device.info().sectors, LEN as u64);
    let mut memory = vec![0; LEN * SECTOR];
    ask(&disk, &*device, Op::Read, 0, &mut memory);
    assert!(memory == before, "what was written here is there");
    // Both write now: neighbours in the same blocks.
    let mut theirs: Vec<u8> = (0..LEN * SECTOR).map(|at| (at / 3) as u8).collect();
    let ours: Vec<u8> = theirs.iter().map(|byte| !byte).collect();
    mount.write_all(&disk, "images/two.img", &ours[..LEN * SECTOR / 2]);
    ask(&disk, &*device, Op::Write, 0, &mut theirs);
    mount.write_all(&disk, "images/two.img", &ours);
    mount
        .done(&disk, |mount| mount.create("images/three", false))
        .unwrap();
    mount.sync(&disk);
    ask(&disk, &*device, Op::Flush, 0, &mut []);
    mount
        .done(&disk, |mount| mount.write("images/three", 0, &[3; 5000]))
        .unwrap();
    drop(device);
    exports.keep(|_| false);
    assert!(mount.read_all(&disk, "images/one.img").unwrap() == theirs);
    assert!(mount.read_all(&disk, "images/two.img").unwrap() == ours);
    mount.sync(&disk);
    let disk = disk_of(disk.medium.borrow().clone());
    let mount = mounted(&disk);
    assert!(mount.read_all(&disk, "images/one.img").unwrap() == theirs);
    assert!(mount.read_all(&disk, "images/two.img").unwrap() == ours);
    assert!(mount.read_all(&disk, "images/three").unwrap() == [3; 5000]);
}

#[test]
fn a_file_that_is_lent_stays_as_it_is() {
    let (disk, mount) = volume();
    let (mut lending, mut exports) = (Lending::default(), Exports::default());
    let entry = mount.done(&disk, |mount| mount.entry("images/one.img")).unwrap();
    // From the beginning of the search on.
    lending
        .begin("a", (&mount, "images/One.img", &entry), true)
        .unwrap();
    let path = "images/ONE.IMG";
    let refused = |what: &str| {
        let busy = Err(Errno::EBUSY);
        let done = |work: &dyn Fn(&Mount) -> Result<(), Errno>| mount.done(&disk, work);
        for writes in [false, true] {
            assert_eq!(mount.not_lent(path, writes), busy, "{what}");
        }
        assert_eq!(
            done(&|mount| mount.write(path, 0, b"x").map(drop)),
            busy,
            "{what}"
        );
        assert_eq!(
            done(&|mount| mount.read(path, 0, &mut [0]).map(drop)),
            busy,
            "{what}"
        );
        assert_eq!(done(&|mount| mount.set_len(path, 0)), busy, "{what}");
        assert_eq!(done(&|mount| mount.set_len(path, 1 << 20)), busy, "{what}");
        assert_eq!(done(&|mount| mount.remove(path, false)), busy, "{what}");
        assert_eq!(done(&|mount| mount.rename(path, "other")), busy, "{what}");
        assert_eq!(
            done(&|mount| mount.rename("images/two.img", path)),
            busy,
            "{what}"
        );
        assert_eq!(done(&|mount| mount.rename("images", "pictures")), busy, "{what}");
        assert!(mount.is_busy(), "{what}");
    };
    refused("being looked for");
    let two = lending.begin("b", (&mount, path, &entry), false);
    assert_eq!(two, Err("another device of a domain is on it already"));
    lending.keep(|_| false);
    assert!(!mount.is_busy());
    let lot = search((&disk, &mount), &mut lending, ("a", path), true).unwrap();
    refused("found");
    give(&disk, &mount, &mut exports, "a", lot).unwrap();
    refused("given");
    let other = search((&disk, &mount), &mut lending, ("b", "images/two.img"), true).unwrap();
    give(&disk, &mount, &mut exports, "b", other).unwrap();
    exports.keep(|owner| owner != "a");
    assert_eq!(mount.not_lent(path, true), Ok(()));
    assert_eq!(mount.not_lent("images/two.img", false), Err(Errno::EBUSY));
    mount.done(&disk, |mount| mount.write(path, 0, b"x")).unwrap();
    mount
        .done(&disk, |mount| mount.rename(path, "images/new"))
        .unwrap();
    exports.keep(|_| false);
    assert!(!mount.is_busy());
}

#[test]
fn several_may_read_a_file_and_so_may_this_domain() {
    let (disk, mount) = volume();
    let (mut lending, mut exports) = (Lending::default(), Exports::default());
    let path = "images/one.img";
    let bytes = mount.read_all(&disk, path).unwrap();
    for owner in ["a", "b"] {
        let lot = search((&disk, &mount), &mut lending, (owner, path), false).unwrap();
        let device = give(&disk, &mount, &mut exports, owner, lot).unwrap();
        assert!(device.info().is_read_only);
        let mut memory = vec![0; LEN * SECTOR];
        ask(&disk, &*device, Op::Read, 0, &mut memory);
        assert!(memory == bytes);
    }
    assert!(mount.read_all(&disk, path).unwrap() == bytes);
    assert_eq!(mount.not_lent(path, true), Err(Errno::EBUSY));
    assert_eq!(
        mount.done(&disk, |mount| mount.remove(path, false)),
        Err(Errno::EBUSY)
    );
    let writer = search((&disk, &mount), &mut lending, ("c", path), true);
    assert_eq!(writer.err(), Some("another device of a domain is on it already"));
}

#[test]
fn what_is_no_disk_is_refused() {
    let (disk, mount) = volume();
    mount.done(&disk, |mount| mount.create("odd", false)).unwrap();
    let mut lending = Lending::default();
    let mut refused =
        |mount: &Rc<Mount>, path: &str| search((&disk, mount), &mut lending, ("a", path), true).err();
    assert_eq!(refused(&mount, "images"), Some("it is a directory"));
    let odd = Some("the file's length is no multiple of 512 bytes, or nothing");
    assert_eq!(refused(&mount, "odd"), odd);
    mount
        .done(&disk, |mount| mount.write("odd", 0, &[1; 513]))
        .unwrap();
    assert_eq!(refused(&mount, "odd"), odd);
    mount.sync(&disk);
    let mount = Rc::new(try_mount(&disk, true).unwrap());
    assert_eq!(
        refused(&mount, "images/one.img"),
        Some("its file system is mounted read-only")
    );
}

/// The volume's bytes; where its table and the table's copy are; the clusters of `one.img`.
fn opened() -> (Vec<u8>, [usize; 2], Vec<usize>) {
    let (disk, mount) = volume();
    mount.sync(&disk);
    let bytes = disk.medium.borrow().clone();
    let start = FIRST as usize * SECTOR;
    let half = |at: usize| usize::from(bytes[at]) | usize::from(bytes[at + 1]) << 8;
    let table = start + half(start + 14) * SECTOR;
    let copy = table + half(start + 22) * SECTOR;
    let mut lending = Lending::default();
    search((&disk, &mount), &mut lending, ("a", "images/one.img"), true).unwrap();
    let first = mount_first(&bytes);
    let mut chain = vec![first];
    while let Some(next) = chain
        .last()
        .map(|last| half(table + 2 * last))
        .filter(|next| *next < 0xFFF0)
    {
        chain.push(next);
    }
    assert_eq!(chain.len(), LEN);
    (bytes, [table, copy], chain)
}

/// Where the directory entry of `one.img` is.
fn entry_of(bytes: &[u8]) -> usize {
    let name = bytes
        .chunks(32)
        .position(|entry| entry.starts_with(b"ONE     IMG"));
    name.expect("it has a short name") * 32
}

fn mount_first(bytes: &[u8]) -> usize {
    let at = entry_of(bytes);
    usize::from(bytes[at + 26]) | usize::from(bytes[at + 27]) << 8
}

fn lend_from(bytes: Vec<u8>) -> Result<Lot, &'static str> {
    let disk = disk_of(bytes);
    let mount = Rc::new(mounted(&disk));
    search(
        (&disk, &mount),
        &mut Lending::default(),
        ("a", "images/one.img"),
        true,
    )
}

#[test]
fn chains_that_make_no_sense_are_refused() {
    let (bytes, tables, chain) = opened();
    let with = |index: usize, value: usize| {
        let mut bytes = bytes.clone();
        for table in tables {
            bytes[table + 2 * chain[index]..][..2].copy_from_slice(&(value as u16).to_le_bytes());
        }
        lend_from(bytes).err()
    };
    let last = LEN - 1;
    let end = Some("the file's chain of clusters is longer than the file, or goes in a circle");
    let out = Some("the file's chain of clusters leads out of the file system");
    let reserved = Some("the file's chain of clusters leads to a bad or reserved cluster");
    let short = Some("the file's chain of clusters is shorter than the file");
    let free = Some("the file's chain of clusters leads to a free cluster");
    for (index, value, answer) in [
        (last, 0xFFFF, None),
        (last, 0xFFF8, None),
        (last, chain[0], end),
        (last, chain[last] + 1, end),
        (5, chain[5], end),
        (5, chain[2], end),
        (last, 0, free),
        (3, 0, free),
        (3, 1, reserved),
        (3, 0xFFF7, reserved),
        (last, 0xFFF0, reserved),
        (3, 0xFFFF, short),
        (3, 0xFFEF, out),
        (3, SECTORS as usize, out),
    ] {
        assert_eq!(with(index, value), answer, "{value:#x} at {index}");
    }
}

#[test]
fn files_that_begin_nowhere_are_refused() {
    let (bytes, ..) = opened();
    for first in [1_u16, SECTORS as u16, 0xFFF0, 0xFFFF] {
        let mut bytes = bytes.clone();
        let at = entry_of(&bytes);
        bytes[at + 26..at + 28].copy_from_slice(&first.to_le_bytes());
        let refused = lend_from(bytes).err();
        assert_eq!(
            refused,
            Some("the file begins outside of the file system"),
            "{first:#x}"
        );
    }
    let mut nothing = bytes.clone();
    let at = entry_of(&bytes);
    nothing[at + 26..at + 28].fill(0);
    assert_eq!(
        lend_from(nothing).err(),
        Some("the file cannot be found on the disk")
    );
    // Another file's clusters: that is the file system's damage, but two domains do not get them.
    let (disk, mount) = volume();
    mount.sync(&disk);
    let mut crossed = disk.medium.borrow().clone();
    let two = crossed
        .chunks(32)
        .position(|entry| entry.starts_with(b"TWO     IMG"))
        .unwrap()
        * 32;
    let first = [crossed[two + 26], crossed[two + 27]];
    let at = entry_of(&crossed);
    crossed[at + 26..at + 28].copy_from_slice(&first);
    let disk = disk_of(crossed);
    let mount = Rc::new(mounted(&disk));
    let (mut lending, mut exports) = (Lending::default(), Exports::default());
    let one = search((&disk, &mount), &mut lending, ("a", "images/one.img"), true).unwrap();
    give(&disk, &mount, &mut exports, "a", one).unwrap();
    let two = search((&disk, &mount), &mut lending, ("b", "images/two.img"), true).unwrap();
    let refused = give(&disk, &mount, &mut exports, "b", two).err();
    assert_eq!(
        refused,
        Some(Refusal::Because("another device of a domain is on it already"))
    );
}

static VOLUME: LazyLock<Vec<u8>> = LazyLock::new(|| opened().0);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn any_volume_is_searched_without_a_panic(
        boot in proptest::collection::vec((11_usize..90, any::<u8>()), 0..3),
        tables in proptest::collection::vec((512_usize..2048, any::<u8>()), 0..4),
        entry in proptest::collection::vec((20_usize..32, any::<u8>()), 0..4),
    ) {
        let mut bytes = VOLUME.clone();
        let at = entry_of(&bytes);
        for (place, value) in entry {
            bytes[at + place] = value;
        }
        for (place, value) in boot.into_iter().chain(tables) {
            bytes[FIRST as usize * SECTOR + place] = value;
        }
        let disk = disk_of(bytes);
        let Ok(mount) = try_mount(&disk, false) else {
            return Ok(());
        };
        let mount = Rc::new(mount);
        if mount.done(&disk, |mount| mount.entry("images/one.img")).is_ok() {
            let _ = search((&disk, &mount), &mut Lending::default(), ("a", "images/one.img"), true);
            let _ = mount.done(&disk, |mount| mount.read("images/one.img", 5000, &mut [0; 3000]));
        }
    }
}
