//! The ACPI root pointer (ACPI 6.5, 5.2.5).

use crate::multiboot1::Reader;
use crate::wire::{u16_at, u32_at, u64_at};

const SIGNATURE: &[u8] = b"RSD PTR ";
/// Bytes of the first version, all under its checksum.
const LEN_V1: usize = 20;
/// Bytes of the second version, all under the extended checksum.
const LEN_V2: usize = 36;

/// Where the ACPI tables begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rsdp {
    /// 0 for ACPI 1.0, else 2 or more.
    pub revision: u8,
    /// Machine address of the RSDT.
    pub rsdt: u32,
    /// Machine address of the XSDT; to be preferred where it is given.
    pub xsdt: Option<u64>,
}

impl Rsdp {
    /// Decodes a copy of the structure; `None` where its signature or a checksum is wrong.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let first = bytes.get(..LEN_V1)?;
        if !first.starts_with(SIGNATURE) || !is_summed(first) {
            return None;
        }
        let revision = first[15];
        let rsdt = u32_at(first, 16)?;
        if revision < 2 {
            return Some(Self {
                revision,
                rsdt,
                xsdt: None,
            });
        }
        let all = bytes.get(..LEN_V2)?;
        let xsdt = u64_at(all, 24)?;
        is_summed(all).then_some(Self {
            revision,
            rsdt,
            xsdt: (xsdt != 0).then_some(xsdt),
        })
    }

    /// Searches the places where a BIOS puts the structure, for loaders that do not pass it: the first KiB of the
    /// extended BIOS data area, and 0xE0000 to 0xFFFFF, at multiples of 16.
    #[must_use]
    pub fn search(read: &Reader<'_>) -> Option<Self> {
        let segment = read(0x40E, 2).and_then(|bytes| u16_at(bytes, 0)).unwrap_or(0);
        let ebda = u64::from(segment) << 4;
        let in_ebda = (ebda >= 0x400).then(|| read(ebda, 0x400)).flatten();
        let in_rom = read(0xE_0000, 0x2_0000);
        in_ebda.into_iter().chain(in_rom).find_map(|area| {
            (0..area.len()).step_by(16).find_map(|at| {
                area[at..]
                    .starts_with(SIGNATURE)
                    .then(|| Self::decode(&area[at..]))?
            })
        })
    }
}

/// Whether the bytes add up to 0.
fn is_summed(bytes: &[u8]) -> bool {
    bytes.iter().fold(0_u8, |sum, &b| sum.wrapping_add(b)) == 0
}
