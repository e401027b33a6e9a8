//! Kinds of memory, and how a loader's map becomes one without overlaps.
//!
//! Each entry is cut to what a processor can address and brought to page boundaries: RAM inwards, everything else
//! outwards, so that no page is called RAM that is not RAM to its last byte. Then the address space is swept from
//! boundary to boundary; where entries overlap, the most restrictive kind wins; neighbours of one kind are joined.
//! Addresses that no entry names are not in the map: they may be devices, they are never RAM.

use crate::error::BootError;
use crate::range::PhysRange;
use crate::warning::BootWarning;
use arrayvec::ArrayVec;
use core::fmt;

/// Most entries of a loader's map that are looked at (the sweep is quadratic).
pub const MAX_ENTRIES: usize = 512;
/// Most regions that the map keeps.
pub const MAX_REGIONS: usize = 128;
/// Guests are given no RAM from here on: the machine-to-phys window names 64 GiB.
pub const GUEST_RAM_END: u64 = 64 << 30;
/// Below this no RAM is given to anyone: firmware data, video memory, and where other processors start.
pub const LOW_MEMORY_END: u64 = 1 << 20;

/// First address that no x86 processor can form: 52 bits (Intel SDM vol. 3A 4.1.4).
const PHYS_END: u64 = 1 << 52;

/// What a region is good for, from the most to the least usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RegionKind {
    /// Ordinary memory.
    Ram,
    /// ACPI tables; ordinary memory for someone who has read them.
    AcpiTables,
    /// Firmware state that must survive.
    AcpiNvs,
    /// Anything else that is not memory to be used.
    Reserved,
    /// Memory that is broken.
    Bad,
}

impl RegionKind {
    /// The kind of a type number of the firmware's map (ACPI 6.5, 15.1); unknown ones are reserved.
    #[must_use]
    pub const fn from_e820(number: u32) -> Self {
        match number {
            1 => Self::Ram,
            3 => Self::AcpiTables,
            4 => Self::AcpiNvs,
            5 => Self::Bad,
            _ => Self::Reserved,
        }
    }
}

impl fmt::Display for RegionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ram => "RAM",
            Self::AcpiTables => "ACPI tables",
            Self::AcpiNvs => "ACPI NVS",
            Self::Reserved => "reserved",
            Self::Bad => "bad",
        })
    }
}

/// A region of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Where it is: page-aligned, not empty.
    pub range: PhysRange,
    /// What it is.
    pub kind: RegionKind,
}

/// An entry as a loader gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawEntry {
    /// First address.
    pub start: u64,
    /// Bytes.
    pub len: u64,
    /// Type number of the firmware's map.
    pub kind: u32,
}

impl RawEntry {
    /// The entry on page boundaries; `None` where nothing is left of it.
    fn region(&self) -> Option<Region> {
        let kind = RegionKind::from_e820(self.kind);
        let end = self.start.saturating_add(self.len).min(PHYS_END);
        let range = PhysRange::new(self.start, end);
        if range.is_empty() {
            return None;
        }
        let range = if kind == RegionKind::Ram {
            range.page_inward()
        } else {
            range.page_outward()
        };
        (!range.is_empty()).then_some(Region { range, kind })
    }

    fn is_cut(&self) -> bool {
        self.len != 0 && self.start.checked_add(self.len).is_none_or(|end| end > PHYS_END)
    }
}

/// The machine's memory: sorted, disjoint, page-aligned regions, neighbours of one kind joined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryMap {
    regions: ArrayVec<Region, MAX_REGIONS>,
}

impl MemoryMap {
    /// A map that names nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            regions: ArrayVec::new_const(),
        }
    }

    /// Replaces the map by what `entries` say, and tells `warn` what was cut.
    ///
    /// # Errors
    /// Too many entries or regions, or no RAM above 1 MiB. The map is then empty.
    pub fn fill(
        &mut self,
        entries: impl Iterator<Item = RawEntry> + Clone,
        mut warn: impl FnMut(BootWarning),
    ) -> Result<(), BootError> {
        self.regions.clear();
        if entries.clone().nth(MAX_ENTRIES).is_some() {
            return Err(BootError::TooManyEntries);
        }
        for entry in entries.clone().filter(RawEntry::is_cut) {
            warn(BootWarning::EntryCut {
                start: entry.start,
                len: entry.len,
            });
        }
        let regions = entries.filter_map(|entry| entry.region());
        let result = self.sweep(regions);
        if result.is_err() {
            self.regions.clear();
        }
        result?;
        if self.guest_ram().next().is_none() {
            self.regions.clear();
            return Err(BootError::NoRam);
        }
        let beyond = self
            .ram()
            .map(|r| r.end.saturating_sub(r.start.max(GUEST_RAM_END)))
            .sum();
        if beyond != 0 {
            warn(BootWarning::RamBeyondLimit { bytes: beyond });
        }
        Ok(())
    }

    /// Walks from boundary to boundary and keeps the most restrictive kind of each stretch.
    fn sweep(&mut self, regions: impl Iterator<Item = Region> + Clone) -> Result<(), BootError> {
        let mut at = 0;
        loop {
            let boundaries = regions.clone().flat_map(|r| [r.range.start, r.range.end]);
            let Some(next) = boundaries.filter(|&b| b > at).min() else {
                return Ok(());
            };
            let kind = regions
                .clone()
                .filter(|r| r.range.contains(at))
                .map(|r| r.kind)
                .max();
            if let Some(kind) = kind {
                self.append(PhysRange::new(at, next), kind)?;
            }
            at = next;
        }
    }

    fn append(&mut self, range: PhysRange, kind: RegionKind) -> Result<(), BootError> {
        match self.regions.last_mut() {
            Some(last) if last.kind == kind && last.range.end == range.start => {
                last.range.end = range.end;
                Ok(())
            }
            _ => self
                .regions
                .try_push(Region { range, kind })
                .map_err(|_| BootError::TooManyRegions),
        }
    }

    /// All regions, by rising address.
    #[must_use]
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// The RAM regions.
    pub fn ram(&self) -> impl Iterator<Item = PhysRange> + Clone + '_ {
        self.regions
            .iter()
            .filter(|r| r.kind == RegionKind::Ram)
            .map(|r| r.range)
    }

    /// RAM that may be used: above 1 MiB and below 64 GiB.
    pub fn guest_ram(&self) -> impl Iterator<Item = PhysRange> + Clone + '_ {
        let cut = |r: PhysRange| PhysRange::new(r.start.max(LOW_MEMORY_END), r.end.min(GUEST_RAM_END));
        self.ram().map(cut).filter(|r| !r.is_empty())
    }

    /// Whether every byte of `range` is RAM, usable or not.
    #[must_use]
    pub fn is_ram(&self, range: &PhysRange) -> bool {
        self.ram().any(|r| r.start <= range.start && range.end <= r.end)
    }

    /// Bytes of usable RAM.
    #[must_use]
    pub fn guest_ram_bytes(&self) -> u64 {
        self.guest_ram().map(|r| r.len()).sum()
    }

    /// The end of the highest usable RAM: the frames below it are those that a frame table must describe.
    #[must_use]
    pub fn guest_ram_end(&self) -> u64 {
        self.guest_ram().last().map_or(0, |r| r.end)
    }
}
