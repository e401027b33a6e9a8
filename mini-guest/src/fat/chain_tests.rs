//! Chains in tables of 12 and 32 bits, and layouts that make no sense. (Those of 16 bits: `lend_tests`.)

use core::ops::Range;

use super::chain::{Chain, Layout};
use crate::block::SECTOR;

/// A boot sector: sectors of the volume, of a cluster and of a table.
fn boot(total: u32, cluster: u8, table: u32) -> [u8; SECTOR] {
    let mut boot = [0; SECTOR];
    boot[11..13].copy_from_slice(&512_u16.to_le_bytes());
    boot[13] = cluster;
    boot[14] = 32;
    boot[16] = 2;
    boot[32..36].copy_from_slice(&total.to_le_bytes());
    boot[36..40].copy_from_slice(&table.to_le_bytes());
    boot
}

/// Reads a chain from a table of entries that `link` makes, piece by piece.
fn chain(
    boot: &[u8; SECTOR],
    table: &[u8],
    first: u32,
    sectors: u64,
) -> Result<Vec<Range<u64>>, &'static str> {
    let layout = Layout::parse(boot, u64::MAX).unwrap();
    let mut chain = Chain::new(layout, first, sectors)?;
    while let Some(needed) = chain.next()? {
        assert!((2..=4096).contains(&(needed.end - needed.start)), "{needed:?}");
        let at = (needed.start - 32 * 512) as usize;
        let mut bytes = table[at..].to_vec();
        bytes.resize((needed.end - needed.start) as usize, 0);
        chain.take(needed.start, &bytes)?;
    }
    Ok(chain.into_runs().iter().collect())
}

#[test]
fn entries_of_12_and_32_bits_are_read_too() {
    // From cluster 2 to 2700 and back in twos: across pieces of the table, and in the middle of an entry.
    let links: Vec<(u32, u32)> = (2..2700)
        .map(|n| (n, n + 2))
        .filter(|(n, _)| n % 2 == 0)
        .collect();
    for width in [12, 32] {
        let (boot, end) = if width == 12 {
            (boot(8000, 2, 12), 0xFFF)
        } else {
            (boot(200_000, 1, 1600), 0xFFFF_FFFF)
        };
        let mut table = vec![0_u8; 1600 * 512];
        let mut put = |cluster: u32, value: u32| {
            let cluster = cluster as usize;
            if width == 32 {
                table[4 * cluster..][..4].copy_from_slice(&(value | 0xA000_0000).to_le_bytes());
            } else {
                let at = cluster + cluster / 2;
                let old = u16::from_le_bytes([table[at], table[at + 1]]);
                let new = if cluster % 2 == 1 {
                    old & 0xF | (value as u16) << 4
                } else {
                    old & 0xF000 | value as u16 & 0xFFF
                };
                table[at..at + 2].copy_from_slice(&new.to_le_bytes());
            }
        };
        for (cluster, next) in &links {
            put(*cluster, *next);
        }
        put(2700, 2731);
        put(2731, 2730);
        put(2730, end);
        let clusters = links.len() as u64 + 3;
        let unit = u64::from(boot[13]);
        let pieces = chain(&boot, &table, 2, clusters * unit).unwrap();
        let data = 32 + 2 * if width == 12 { 12 } else { 1600 };
        assert_eq!(pieces.len() as u64, clusters);
        assert_eq!(pieces[0], data..data + unit);
        assert_eq!(pieces[1], data + 2 * unit..data + 3 * unit);
        assert_eq!(pieces[pieces.len() - 1].start, data + 2728 * unit);
        assert!(chain(&boot, &table, 2, clusters * unit + 1).is_err());
        assert!(chain(&boot, &table, 2, (clusters - 1) * unit).is_err());
        // Of the last cluster only what the file has.
        let short = chain(&boot, &table, 2, (clusters - 1) * unit + 1).unwrap();
        assert_eq!(short[short.len() - 1], data + 2728 * unit..data + 2728 * unit + 1);
    }
}

#[test]
fn layouts_that_make_no_sense_are_none() {
    let good = boot(200_000, 1, 1600);
    assert!(Layout::parse(&good, 200_000).is_some());
    assert!(
        Layout::parse(&good, 199_999).is_none(),
        "larger than its partition"
    );
    for (at, bytes) in [
        (11, &[0, 0][..]),
        (11, &[0, 1]),
        (11, &[1, 2]),
        (13, &[0]),
        (16, &[0]),
        (16, &[255]),
        (40, &[0x82]),
        (36, &[0xFF; 4]),
    ] {
        let mut bad = good;
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        assert!(Layout::parse(&bad, 200_000).is_none(), "{bytes:?} at {at}");
    }
    // The second table is the one that counts.
    let mut second = good;
    second[40] = 0x81;
    let chain = Chain::new(Layout::parse(&second, 200_000).unwrap(), 2, 1).unwrap();
    assert_eq!(chain.next().unwrap().unwrap().start, (32 + 1600) * 512 + 8);
    // A table that is too short for its clusters.
    let short = boot(200_000, 1, 16);
    let chain = Chain::new(Layout::parse(&short, 200_000).unwrap(), 3000, 1).unwrap();
    assert!(chain.next().is_err());
}
