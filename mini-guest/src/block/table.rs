//! Partition tables, MBR and GPT, from disks that nobody vouches for.
//!
//! A table is read by asking for ranges of sectors one after the other ([`Scan`]), so that the reading can be asynchronous
//! and tested. What a table says is believed only as far as it fits: a partition beyond the disk, or of no sectors, is left out; a GPT whose
//! checksums are wrong is no GPT; chains of logical partitions end after [`MAX_PARTITIONS`].
//!
//! Source: UEFI 2.10, 5.2 and 5.3; the MBR as the PC industry has it.

use alloc::vec::Vec;

use super::SECTOR;

/// Most partitions of a disk.
pub const MAX_PARTITIONS: usize = 128;
/// Types of an MBR entry that hold logical partitions.
const EXTENDED: [u8; 3] = [0x05, 0x0F, 0x85];
/// Type of the MBR entry that protects a GPT.
const PROTECTIVE: u8 = 0xEE;
/// Largest array of GPT entries that is read: 128 of 128 bytes are usual.
const MAX_ARRAY: u64 = 64 * 1024;
/// Number of the first logical partition.
const FIRST_LOGICAL: u32 = 5;

/// A partition: its number, as names have it, and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// 1 and up; logical partitions from 5 on.
    pub number: u32,
    /// First sector.
    pub first: u64,
    /// How many.
    pub sectors: u64,
}

/// What is wanted next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// These sectors: the first, and how many (at most 128).
    Read(u64, u32),
    /// Nothing: [`Scan::found`] is complete.
    Done,
}

/// A table being read.
#[derive(Debug)]
pub struct Scan {
    disk: u64,
    step: Step,
    found: Vec<Extent>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Mbr,
    Gpt,
    /// Entries: how many, bytes of each, checksum of all.
    Array(u32, u32, u32),
    /// A logical partition's table at this sector, in the extended one that begins there and has so many sectors.
    Logical(u64, (u64, u64)),
    Done,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |word| u32::from_le_bytes(*word))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |word| u64::from_le_bytes(*word))
}

/// An entry of an MBR: type, first sector, sectors.
fn entry(sector: &[u8], index: usize) -> (u8, u64, u64) {
    let at = 446 + 16 * index;
    let (first, count) = (u32_at(sector, at + 8), u32_at(sector, at + 12));
    (sector[at + 4], first.into(), count.into())
}

fn is_signed(sector: &[u8]) -> bool {
    sector[510..512] == [0x55, 0xAA]
}

/// The checksum of UEFI: CRC-32 as in Ethernet.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            crc >> 1 ^ if crc & 1 != 0 { 0xEDB8_8320 } else { 0 }
        })
    })
}

impl Scan {
    /// The table of a disk of so many sectors.
    #[must_use]
    pub fn new(disk: u64) -> Self {
        Self {
            disk,
            step: if disk == 0 { Step::Done } else { Step::Mbr },
            found: Vec::new(),
        }
    }

    /// The partitions found so far, in order of their numbers.
    #[must_use]
    pub fn found(&self) -> &[Extent] {
        &self.found
    }

    /// What is wanted next.
    #[must_use]
    pub fn next(&self) -> Next {
        match self.step {
            Step::Mbr => Next::Read(0, 1),
            Step::Gpt => Next::Read(1, 1),
            Step::Array(count, size, _) => {
                // `gpt` has judged the product.
                Next::Read(2, (count * size).div_ceil(SECTOR as u32))
            }
            Step::Logical(at, _) => Next::Read(at, 1),
            Step::Done => Next::Done,
        }
    }

    /// Takes what was wanted; `None` where it could not be read, which ends the scan.
    pub fn take(&mut self, bytes: Option<&[u8]>) {
        let Next::Read(_, sectors) = self.next() else {
            return;
        };
        let bytes = bytes.filter(|bytes| bytes.len() >= sectors as usize * SECTOR);
        self.step = match (self.step, bytes) {
            (_, None) | (Step::Done, _) => Step::Done,
            (Step::Mbr, Some(sector)) => self.mbr(sector),
            (Step::Gpt, Some(sector)) => self.gpt(sector),
            (Step::Array(count, size, sum), Some(bytes)) => self.array(bytes, (count, size, sum)),
            (Step::Logical(at, whole), Some(sector)) => self.logical(sector, at, whole),
        };
    }

    /// Adds a partition that fits.
    fn add(&mut self, number: u32, first: u64, sectors: u64) {
        let fits = first.checked_add(sectors).is_some_and(|end| end <= self.disk);
        if fits && first > 0 && sectors > 0 && self.found.len() < MAX_PARTITIONS {
            self.found.push(Extent {
                number,
                first,
                sectors,
            });
        }
    }

    fn mbr(&mut self, sector: &[u8]) -> Step {
        // A FAT volume on the whole disk is signed too; its boot code is no table.
        let has_valid_flags = (0..4).all(|index| sector[446 + 16 * index] & 0x7F == 0);
        if !is_signed(sector) || !has_valid_flags {
            return Step::Done;
        }
        if (0..4).any(|index| entry(sector, index).0 == PROTECTIVE) {
            return Step::Gpt;
        }
        let mut extended = Step::Done;
        for index in 0..4 {
            let (kind, first, sectors) = entry(sector, index);
            if EXTENDED.contains(&kind) && first > 0 {
                extended = Step::Logical(first, (first, sectors));
            } else if kind != 0 {
                self.add(index as u32 + 1, first, sectors);
            }
        }
        self.checked(extended)
    }

    /// A step whose sector the disk has.
    fn checked(&self, step: Step) -> Step {
        match step {
            Step::Logical(at, _) if at >= self.disk => Step::Done,
            other => other,
        }
    }

    fn logical(&mut self, sector: &[u8], at: u64, whole: (u64, u64)) -> Step {
        if !is_signed(sector) {
            return Step::Done;
        }
        let (kind, first, sectors) = entry(sector, 0);
        let logical = self.found.iter().filter(|found| found.number >= FIRST_LOGICAL);
        let number = FIRST_LOGICAL + logical.count() as u32;
        let before = self.found.len();
        if kind != 0 {
            self.add(number, at + first, sectors);
        }
        let (kind, next, _) = entry(sector, 1);
        // Each table lies behind the one before it, so a chain cannot go in circles; one that finds nothing ends.
        let next_at = whole.0 + next;
        let goes_on = EXTENDED.contains(&kind) && next_at > at && next < whole.1 && self.found.len() > before;
        if goes_on && self.found.len() < MAX_PARTITIONS {
            self.checked(Step::Logical(next_at, whole))
        } else {
            Step::Done
        }
    }

    fn gpt(&mut self, sector: &[u8]) -> Step {
        let len = u32_at(sector, 12) as usize;
        if &sector[..8] != b"EFI PART" || !(92..=SECTOR).contains(&len) {
            return Step::Done;
        }
        let mut header = sector[..len].to_vec();
        header[16..20].fill(0);
        if crc32(&header) != u32_at(sector, 16) || u64_at(sector, 24) != 1 {
            return Step::Done;
        }
        let (at, count, size) = (u64_at(sector, 72), u32_at(sector, 80), u32_at(sector, 84));
        let bytes = u64::from(count) * u64::from(size);
        let is_usual = at == 2 && size >= 128 && size.is_power_of_two() && (1..=MAX_ARRAY).contains(&bytes);
        if is_usual && at + bytes.div_ceil(SECTOR as u64) <= self.disk {
            Step::Array(count, size, u32_at(sector, 88))
        } else {
            Step::Done
        }
    }

    fn array(&mut self, bytes: &[u8], (count, size, sum): (u32, u32, u32)) -> Step {
        let entries = &bytes[..(count * size) as usize];
        if crc32(entries) == sum {
            for (index, entry) in entries.chunks_exact(size as usize).enumerate() {
                let (first, last) = (u64_at(entry, 32), u64_at(entry, 40));
                if entry[..16] != [0; 16] && last >= first {
                    self.add(index as u32 + 1, first, (last - first).saturating_add(1));
                }
            }
        }
        Step::Done
    }
}
