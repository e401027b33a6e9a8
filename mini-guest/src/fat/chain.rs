//! Where a file's sectors are: its chain of clusters, read from the table a piece at a time and judged as if an enemy had written it.
//!
//! The crate's own way to a chain begins anew with every block of the table that is not in the cache, and believes what it finds. This one goes on where it was, and
//! refuses what makes no sense. A chain is as long as the file's length says and ends there: so one that goes in a circle is refused, since it has no end.
//!
//! Layout: Microsoft's "FAT: General Overview of On-Disk Format" 1.03.

use alloc::rc::Rc;
use core::ops::Range;

use crate::block::SECTOR;
use crate::block::extents::Runs;

/// The first cluster with bytes.
const FIRST: u32 = 2;
/// Bytes of the table that are looked at together.
const PIECE: u64 = 4096;

/// What a table's entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Free,
    Cluster(u32),
    Reserved,
    End,
}

/// Width of an entry in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    Fat12,
    Fat16,
    Fat32,
}

impl Width {
    /// Where an entry begins in the table, and how many bytes it is in.
    fn place(self, cluster: u32) -> (u64, usize) {
        let cluster = u64::from(cluster);
        match self {
            Self::Fat12 => (cluster + cluster / 2, 2),
            Self::Fat16 => (2 * cluster, 2),
            Self::Fat32 => (4 * cluster, 4),
        }
    }

    fn link(self, cluster: u32, bytes: &[u8]) -> Link {
        let value = bytes
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u32::from(*byte));
        // Of the first that is no cluster's number.
        let (value, reserved) = match self {
            Self::Fat12 if cluster % 2 == 1 => (value >> 4, 0xFF0),
            Self::Fat12 => (value & 0xFFF, 0xFF0),
            Self::Fat16 => (value, 0xFFF0),
            Self::Fat32 => (value & 0x0FFF_FFFF, 0x0FFF_FFF0),
        };
        match value {
            0 => Link::Free,
            1 => Link::Reserved,
            value if value < reserved => Link::Cluster(value),
            value if value < reserved + 8 => Link::Reserved,
            _ => Link::End,
        }
    }
}

/// Where a volume has what; bytes and sectors from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    width: Width,
    /// First byte of the table, and the one behind its last.
    table: (u64, u64),
    data: u64,
    cluster_sectors: u64,
    clusters: u32,
}

impl Layout {
    /// By the boot sector of a volume of `sectors` sectors; `None` where it makes no sense.
    pub fn parse(boot: &[u8; SECTOR], sectors: u64) -> Option<Self> {
        let byte = |at: usize| u64::from(boot[at]);
        let half = |at: usize| byte(at) | byte(at + 1) << 8;
        let word = |at: usize| half(at) | half(at + 2) << 16;
        let either = |short: u64, long: u64| if short == 0 { long } else { short };
        let sector = half(11);
        let is_sector = sector.is_power_of_two() && (512..=4096).contains(&sector);
        if !is_sector || byte(13) == 0 {
            return None;
        }
        let unit = sector / SECTOR as u64;
        let (reserved, tables, roots) = (half(14), byte(16), half(17));
        let table = either(half(22), word(36));
        let total = either(half(19), word(32));
        let data = reserved + tables * table + (roots * 32).div_ceil(sector);
        let clusters = u32::try_from(total.checked_sub(data)? / byte(13)).ok()?;
        let width = match clusters {
            0..4085 => Width::Fat12,
            4085..65_525 => Width::Fat16,
            _ => Width::Fat32,
        };
        // Without mirrors one of the tables is the one that counts.
        let flags = if width == Width::Fat32 { half(40) } else { 0 };
        let active = if flags & 0x80 == 0 { 0 } else { flags & 0xF };
        let first = (reserved + active * table) * sector;
        (total * unit <= sectors && active < tables).then_some(Self {
            width,
            table: (first, first + table * sector),
            data: data * unit,
            cluster_sectors: byte(13) * unit,
            clusters,
        })
    }

    /// The cluster that begins at this byte.
    pub fn cluster_at(&self, byte: u64) -> Option<u32> {
        let data = byte.checked_sub(self.data * SECTOR as u64)?;
        let len = self.cluster_sectors * SECTOR as u64;
        let index = u32::try_from(data / len).ok()?;
        (data.is_multiple_of(len) && index < self.clusters).then(|| index + FIRST)
    }

    /// First sector of a cluster, where there is such a one.
    fn sector(&self, cluster: u32) -> Option<u64> {
        let index = cluster
            .checked_sub(FIRST)
            .filter(|index| *index < self.clusters)?;
        Some(self.data + u64::from(index) * self.cluster_sectors)
    }
}

/// A chain that is being read.
#[derive(Debug)]
pub(super) struct Chain {
    layout: Layout,
    runs: Runs,
    /// Sectors of the file that have no place yet.
    left: u64,
    /// The cluster whose entry is next; `None` at the end.
    at: Option<u32>,
}

impl Chain {
    /// The chain of a file that is `sectors` long and begins with cluster `first`.
    ///
    /// # Errors
    /// A sentence.
    pub fn new(layout: Layout, first: u32, sectors: u64) -> Result<Self, &'static str> {
        let mut chain = Self {
            layout,
            runs: Runs::default(),
            left: sectors,
            at: None,
        };
        chain.enter(first)?;
        Ok(chain)
    }

    /// Notes a cluster's sectors.
    fn enter(&mut self, cluster: u32) -> Result<(), &'static str> {
        let sector = self.layout.sector(cluster);
        let sector = sector.ok_or("the file's chain of clusters leads out of the file system")?;
        let count = self.left.min(self.layout.cluster_sectors);
        if !self.runs.push(sector, count) {
            return Err("the file lies in too many pieces; a copy of it may lie in fewer");
        }
        self.left -= count;
        self.at = Some(cluster);
        Ok(())
    }

    /// The bytes of the volume that are needed next; nothing at the end.
    ///
    /// # Errors
    /// A sentence: the table does not have them.
    pub fn next(&self) -> Result<Option<Range<u64>>, &'static str> {
        let Some(cluster) = self.at else {
            return Ok(None);
        };
        let (first, end) = self.layout.table;
        let (offset, len) = self.layout.width.place(cluster);
        let entry = first + offset;
        if entry + len as u64 > end {
            return Err("the file's chain of clusters leads out of the table");
        }
        Ok(Some(
            entry..(entry + PIECE - entry % PIECE).max(entry + len as u64).min(end),
        ))
    }

    /// Goes on with the bytes from byte `first` of the volume on, which [`Chain::next`] has asked for.
    ///
    /// # Errors
    /// A sentence.
    pub fn take(&mut self, first: u64, bytes: &[u8]) -> Result<(), &'static str> {
        let table = self.layout.table.0;
        while let Some(cluster) = self.at {
            let (offset, len) = self.layout.width.place(cluster);
            let place = (table + offset)
                .checked_sub(first)
                .and_then(|at| usize::try_from(at).ok());
            let Some(entry) = place.and_then(|at| bytes.get(at..at + len)) else {
                break;
            };
            match self.layout.width.link(cluster, entry) {
                Link::End if self.left == 0 => self.at = None,
                Link::End => return Err("the file's chain of clusters is shorter than the file"),
                Link::Cluster(_) if self.left == 0 => {
                    return Err("the file's chain of clusters is longer than the file, or goes in a circle");
                }
                Link::Cluster(next) => self.enter(next)?,
                Link::Free => return Err("the file's chain of clusters leads to a free cluster"),
                Link::Reserved => {
                    return Err("the file's chain of clusters leads to a bad or reserved cluster");
                }
            }
        }
        Ok(())
    }

    /// Where the file is.
    pub fn into_runs(self) -> Rc<Runs> {
        Rc::new(self.runs)
    }
}
