//! Tables as they should be, and as an enemy writes them.

use proptest::prelude::*;

use super::SECTOR;
use super::table::{Extent, MAX_PARTITIONS, Next, Scan, crc32};

/// Reads the table of a disk image.
fn scan(disk: &[u8]) -> Vec<Extent> {
    let mut scan = Scan::new((disk.len() / SECTOR) as u64);
    for _ in 0..1000 {
        let Next::Read(first, count) = scan.next() else {
            return scan.found().to_vec();
        };
        assert!((1..=128).contains(&count));
        let start = first as usize * SECTOR;
        scan.take(disk.get(start..start + count as usize * SECTOR));
    }
    panic!("it does not end");
}

fn extent(number: u32, first: u64, sectors: u64) -> Extent {
    Extent {
        number,
        first,
        sectors,
    }
}

fn put(disk: &mut [u8], sector: usize, index: usize, (kind, first, sectors): (u8, u32, u32)) {
    let at = sector * SECTOR + 446 + 16 * index;
    disk[at + 4] = kind;
    disk[at + 8..at + 12].copy_from_slice(&first.to_le_bytes());
    disk[at + 12..at + 16].copy_from_slice(&sectors.to_le_bytes());
    disk[sector * SECTOR + 510..][..2].copy_from_slice(&[0x55, 0xAA]);
}

#[test]
fn primary_and_logical_partitions_are_found() {
    let mut disk = vec![0; 1000 * SECTOR];
    put(&mut disk, 0, 0, (0x0C, 10, 90));
    put(&mut disk, 0, 2, (0x83, 100, 100));
    put(&mut disk, 0, 3, (0x05, 300, 600));
    put(&mut disk, 300, 0, (0x83, 2, 50));
    put(&mut disk, 300, 1, (0x05, 100, 100));
    put(&mut disk, 400, 0, (0x0C, 1, 20));
    let found = [
        extent(1, 10, 90),
        extent(3, 100, 100),
        extent(5, 302, 50),
        extent(6, 401, 20),
    ];
    assert_eq!(scan(&disk), found);
}

#[test]
fn what_does_not_fit_is_left_out() {
    let mut disk = vec![0; 100 * SECTOR];
    put(&mut disk, 0, 0, (0x83, 50, 51));
    put(&mut disk, 0, 1, (0x83, u32::MAX, u32::MAX));
    put(&mut disk, 0, 2, (0x83, 0, 100));
    put(&mut disk, 0, 3, (0x83, 50, 50));
    assert_eq!(scan(&disk), [extent(4, 50, 50)]);
    disk[511] = 0;
    assert_eq!(scan(&disk), []);
}

#[test]
fn a_chain_in_circles_ends() {
    let mut disk = vec![0; 1000 * SECTOR];
    put(&mut disk, 0, 0, (0x05, 100, 900));
    put(&mut disk, 100, 0, (0x83, 1, 10));
    put(&mut disk, 100, 1, (0x05, 50, 50));
    put(&mut disk, 150, 0, (0x83, 1, 10));
    put(&mut disk, 150, 1, (0x05, 0, 50));
    assert_eq!(scan(&disk), [extent(5, 101, 10), extent(6, 151, 10)]);
}

#[test]
fn a_long_chain_is_cut() {
    let mut disk = vec![0; 1000 * SECTOR];
    put(&mut disk, 0, 0, (0x05, 1, 999));
    for at in 1..900 {
        put(&mut disk, at, 0, (0x83, 1, 1));
        put(&mut disk, at, 1, (0x05, at as u32, 2));
    }
    assert_eq!(scan(&disk).len(), MAX_PARTITIONS);
}

/// A disk with a GPT of these partitions: first and last sector.
fn gpt(parts: &[(u64, u64)]) -> Vec<u8> {
    let mut disk = vec![0; 2048 * SECTOR];
    put(&mut disk, 0, 0, (0xEE, 1, 2047));
    for (index, (first, last)) in parts.iter().enumerate() {
        let at = 2 * SECTOR + 128 * index;
        disk[at..at + 16].fill(7);
        disk[at + 32..at + 40].copy_from_slice(&first.to_le_bytes());
        disk[at + 40..at + 48].copy_from_slice(&last.to_le_bytes());
    }
    let sum = crc32(&disk[2 * SECTOR..2 * SECTOR + 128 * 128]);
    let header = &mut disk[SECTOR..SECTOR + 92];
    header[..8].copy_from_slice(b"EFI PART");
    header[12..16].copy_from_slice(&92_u32.to_le_bytes());
    header[24..32].copy_from_slice(&1_u64.to_le_bytes());
    header[72..80].copy_from_slice(&2_u64.to_le_bytes());
    header[80..84].copy_from_slice(&128_u32.to_le_bytes());
    header[84..88].copy_from_slice(&128_u32.to_le_bytes());
    header[88..92].copy_from_slice(&sum.to_le_bytes());
    let sum = crc32(header);
    header[16..20].copy_from_slice(&sum.to_le_bytes());
    disk
}

#[test]
fn the_checksum_is_the_known_one() {
    assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
}

#[test]
fn a_gpt_is_read() {
    let disk = gpt(&[(34, 99), (100, 2000), (5, 4), (0, u64::MAX), (2000, 2048)]);
    assert_eq!(scan(&disk), [extent(1, 34, 66), extent(2, 100, 1901)]);
}

#[test]
fn a_damaged_gpt_is_none() {
    let good = gpt(&[(34, 99)]);
    // Signature, length, checksum, own sector, array's place, count, size, array's checksum, an entry.
    for at in [512, 524, 528, 536, 584, 592, 596, 600, 1024 + 33] {
        let mut disk = good.clone();
        disk[at] ^= 0x40;
        assert_eq!(scan(&disk), [], "byte {at}");
    }
}

proptest! {
    #[test]
    fn any_table_is_read_without_a_panic_and_what_is_found_fits(
        flips in proptest::collection::vec((0_usize..4096, any::<u8>()), 0..40), mbr in any::<bool>()
    ) {
        let mut disk = gpt(&[(34, 99), (100, 2000)]);
        if mbr {
            put(&mut disk, 0, 0, (0x05, 3, 900));
        }
        for (at, value) in flips {
            disk[at] = value;
        }
        // A header that was changed has a right checksum all the same.
        disk[528..532].fill(0);
        let sum = crc32(&disk[512..604]);
        disk[528..532].copy_from_slice(&sum.to_le_bytes());
        for part in scan(&disk) {
            prop_assert!(part.sectors > 0 && part.first + part.sectors <= 2048);
        }
    }
}
