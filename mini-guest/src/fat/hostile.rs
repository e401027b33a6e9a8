//! Volumes that an enemy has written: every operation ends, with an error or without, and nothing panics.

use proptest::prelude::*;

use super::fixture::{FIRST, disk_of, formatted, mounted, try_mount};
use super::*;

/// Mounts a disk and does a little of everything.
fn use_it(bytes: Vec<u8>) {
    let disk = disk_of(bytes);
    let Ok(mount) = try_mount(&disk, false) else {
        return;
    };
    let _ = mount.done(&disk, |mount| mount.list(""));
    let _ = mount.done(&disk, |mount| mount.list("dir"));
    let _ = mount.done(&disk, |mount| mount.read("dir/file", 5000, &mut [0; 3000]));
    let _ = mount.done(&disk, |mount| mount.write("dir/file", 7000, &[1; 3000]));
    let _ = mount.done(&disk, |mount| mount.create("new", false));
    let _ = mount.done(&disk, |mount| mount.write("new", 0, &[1; 3000]));
    let _ = mount.done(&disk, |mount| mount.rename("new", "dir/other"));
    let _ = mount.done(&disk, |mount| mount.remove("dir/file", false));
    let _ = mount.done(&disk, |mount| mount.create("second", true));
}

fn filled() -> Vec<u8> {
    let disk = disk_of(formatted());
    let mount = mounted(&disk);
    mount.done(&disk, |mount| mount.create("dir", true)).unwrap();
    mount
        .done(&disk, |mount| mount.create("dir/file", false))
        .unwrap();
    mount
        .done(&disk, |mount| mount.write("dir/file", 0, &[7; 9000]))
        .unwrap();
    mount.sync(&disk);
    disk.medium.borrow().clone()
}

/// A directory whose clusters go in a circle and are full, so that a search in it finds no end.
#[test]
fn a_directory_in_circles_ends() {
    let mut bytes = filled();
    let start = FIRST as usize * 512;
    let le16 = |at: usize| usize::from(bytes[start + at]) | usize::from(bytes[start + at + 1]) << 8;
    let (reserved, table, roots) = (le16(14), le16(22), le16(17));
    let root = (reserved + 2 * table) * 512;
    let entry = (0..roots)
        .map(|n| start + root + 32 * n)
        .find(|at| bytes[*at] == b'D')
        .unwrap();
    let cluster = usize::from(bytes[entry + 26]) | usize::from(bytes[entry + 27]) << 8;
    let data = start + root + roots * 32 + (cluster - 2) * 512;
    for n in 2..16 {
        bytes[data + 32 * n..][..11].copy_from_slice(b"FULL    TXT");
        bytes[data + 32 * n + 11] = 0x20;
    }
    let link = (cluster as u16).to_le_bytes();
    for copy in 0..2 {
        let at = start + (reserved + copy * table) * 512 + 2 * cluster;
        bytes[at..at + 2].copy_from_slice(&link);
    }
    let disk = disk_of(bytes);
    let mount = mounted(&disk);
    assert_eq!(mount.done(&disk, |mount| mount.list("dir")), Err(Errno::EIO));
    assert_eq!(
        mount.done(&disk, |mount| mount.write("dir/none", 0, b"x")),
        Err(Errno::EIO)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn any_volume_is_used_without_a_panic(
        boot in proptest::collection::vec((11_usize..90, any::<u8>()), 0..3),
        tables in proptest::collection::vec((512_usize..64 * 1024, any::<u8>()), 0..30),
    ) {
        let mut bytes = filled();
        for (at, value) in boot.into_iter().chain(tables) {
            bytes[FIRST as usize * 512 + at] = value;
        }
        use_it(bytes);
    }
}
