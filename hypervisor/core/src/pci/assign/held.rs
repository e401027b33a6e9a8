//! A function that a domain holds: what belongs to it, and what state the hypervisor keeps it in.

use super::{
    caps::{self, Reset},
    registers::{COMMAND, Command},
};
use crate::{
    io_rights,
    pci::{Function, Register, exists, functions},
    platform::PciConfig,
};
use arrayvec::ArrayVec;
use core::ops::Range;

/// Base-address registers of a function that is no bridge.
pub(super) const BARS: usize = 6;
/// What they can lead to.
pub const MAX_REGIONS: usize = BARS;
const ROM: Register = Register { offset: 0x30, len: 4 };
const IS_PORTS: u32 = 1 << 0;
const IS_64_BIT: u32 = 2 << 1;

/// What one base address leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Region {
    Ports(Range<u32>),
    Frames {
        frames: Range<u64>,
        /// It is less than its frames.
        is_part: bool,
    },
}

/// A function that a domain holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    pub(super) function: Function,
    /// Whether it may be master of the bus.
    pub(super) has_dma: bool,
    pub(super) line: Option<u8>,
    line_register: u8,
    /// What each base address was.
    pub(super) bases: [u32; BARS],
    /// What it reads as when all ones were written.
    pub(super) sizes: [u32; BARS],
    /// All ones were written: the next answers are the sizes, a bit each.
    pub(super) is_asked: u8,
    /// Base addresses whose frames have registers of a function that its domain does not hold, a bit each.
    withheld: u8,
    /// What the holder wants of it.
    pub(super) wish: Command,
    /// Its line can be switched off at the device, and tells whether it asks.
    pub(super) can_be_muted: bool,
    /// It is.
    pub(super) is_muted: bool,
    reset: Option<Reset>,
    /// It is on its way back to the owner of the devices.
    pub(super) is_leaving: bool,
}

/// Register of base address `index`.
pub(super) const fn bar(index: usize) -> Register {
    Register {
        offset: super::registers::FIRST_BAR + index as u8 * 4,
        len: 4,
    }
}

impl Assigned {
    /// Which function.
    #[must_use]
    pub const fn function(&self) -> Function {
        self.function
    }

    /// Whether it may be master of the bus.
    #[must_use]
    pub const fn has_dma(&self) -> bool {
        self.has_dma
    }

    /// Whether it is still its holder's.
    #[must_use]
    pub const fn is_here(&self) -> bool {
        !self.is_leaving
    }

    /// Asks the device for what its base addresses are. It does not decode meanwhile, and is afterwards as it was.
    pub(super) fn examine<P: PciConfig>(platform: &P, function: Function, has_dma: bool) -> Self {
        let command = platform.read_pci(function, COMMAND);
        platform.write_pci(function, COMMAND, command & !Command::DECODES | Command::SILENT);
        let can_be_muted = platform.read_pci(function, COMMAND) & Command::SILENT != 0;
        let bases: [u32; BARS] = core::array::from_fn(|n| platform.read_pci(function, bar(n)));
        let sizes = core::array::from_fn(|n| {
            platform.write_pci(function, bar(n), u32::MAX);
            let size = platform.read_pci(function, bar(n));
            platform.write_pci(function, bar(n), bases[n]);
            size
        });
        platform.write_pci(function, COMMAND, command);
        let line_register = platform.read_pci(function, Register::INTERRUPT_LINE) as u8;
        Self {
            function,
            has_dma,
            line: line_of(platform, function),
            line_register,
            bases,
            sizes,
            is_asked: 0,
            withheld: 0,
            wish: Command::empty(),
            can_be_muted,
            is_muted: true,
            reset: caps::find_reset(platform, function),
            is_leaving: false,
        }
    }

    /// What the base addresses lead to, as far as firmware gave them a place; and which of them it is.
    pub(super) fn regions(&self) -> ArrayVec<(usize, Region), BARS> {
        let mut found = ArrayVec::new();
        let mut index = 0;
        while index < BARS {
            let (base, size) = (self.bases[index], self.sizes[index]);
            let is_wide = is_wide(base) && index + 1 < BARS;
            if size != 0 && base & IS_PORTS != 0 {
                let start = base & 0xFFFC;
                let count = (!(size & !3) & 0xFFFF) + 1;
                if start != 0 {
                    found.push((index, Region::Ports(start..start + count)));
                }
            } else if size != 0 {
                // Without a high half, that of the size is all ones, and that of the base 0.
                let (high_base, high_size) = if is_wide {
                    (self.bases[index + 1], self.sizes[index + 1])
                } else {
                    (0, u32::MAX)
                };
                let start = u64::from(high_base) << 32 | u64::from(base & !0xF);
                let writable = u64::from(high_size) << 32 | u64::from(size & !0xF);
                let end = start.saturating_add(!writable).saturating_add(1);
                if start != 0 {
                    let region = Region::Frames {
                        frames: start >> 12..end.div_ceil(4096),
                        is_part: (start | end) % 4096 != 0,
                    };
                    found.push((index, region));
                }
            }
            index += if is_wide { 2 } else { 1 };
        }
        found
    }

    /// Whether each base address that it has of that sort has a place. One that has none would answer to what lies at 0.
    pub(super) fn has_places(&self, are_ports: bool) -> bool {
        let mut index = 0;
        while index < BARS {
            let (base, size) = (self.bases[index], self.sizes[index]);
            let is_wide = is_wide(base) && index + 1 < BARS;
            let high = if is_wide { self.bases[index + 1] } else { 0 };
            let is_placed = base & !0xF != 0 || high != 0 || (base & IS_PORTS != 0 && base & !3 != 0);
            let is_of_sort = (base & IS_PORTS != 0) == are_ports;
            if size != 0 && is_of_sort && !is_placed {
                return false;
            }
            index += if is_wide { 2 } else { 1 };
        }
        true
    }

    /// All frames, those that are withheld included.
    pub(super) fn all_frames(&self) -> impl Iterator<Item = Range<u64>> {
        self.regions().into_iter().filter_map(|(_, region)| match region {
            Region::Frames { frames, .. } => Some(frames),
            Region::Ports(_) => None,
        })
    }

    pub(super) fn ports(&self) -> impl Iterator<Item = Range<u32>> {
        self.regions().into_iter().filter_map(|(_, region)| match region {
            Region::Ports(ports) => Some(ports),
            Region::Frames { .. } => None,
        })
    }

    /// The frames that its holder has by it.
    pub fn ranges(&self) -> impl Iterator<Item = (u32, u32)> {
        let withheld = self.withheld;
        self.regions()
            .into_iter()
            .filter_map(move |(index, region)| match region {
                Region::Frames { frames, .. } if withheld >> index & 1 == 0 => {
                    Some((frames.start as u32, frames.end as u32))
                }
                _ => None,
            })
    }

    /// Whether its holder may map frame `n`.
    #[must_use]
    pub fn may_map(&self, n: u64) -> bool {
        self.is_here()
            && self
                .ranges()
                .any(|(start, end)| (u64::from(start)..u64::from(end)).contains(&n))
    }

    /// Whether its holder may bind `line` by it.
    #[must_use]
    pub fn has_line(&self, line: u32) -> bool {
        self.is_here() && self.line.map(u32::from) == Some(line)
    }

    /// Withholds frames in which a function has registers that `is_ours` says no to.
    pub(super) fn settle<P: PciConfig>(
        &mut self,
        platform: &P,
        buses: &crate::pci::Buses,
        is_ours: impl Fn(Function) -> bool,
    ) {
        self.withheld = 0;
        for (index, region) in self.regions() {
            // One that fills its frames has them alone: a base address is a multiple of its size.
            let Region::Frames {
                frames,
                is_part: true,
            } = region
            else {
                continue;
            };
            let mut others = functions(platform, buses).filter(|&other| !is_ours(other));
            let is_shared = others.any(|other| {
                let mut places = places_of(platform, other).into_iter();
                places.any(|place| frames.contains(&(place >> 12)))
            });
            self.withheld |= u8::from(is_shared) << index;
        }
    }

    /// Stops the device: it neither answers, nor asks, nor is master of the bus. What it has written to memory before is there when
    /// this returns: the answer to a read comes behind the writes that the device sent before it.
    pub(super) fn quiet<P: PciConfig>(&mut self, platform: &P) {
        let command = platform.read_pci(self.function, COMMAND);
        let quiet = command & !Command::ALL | Command::SILENT;
        platform.write_pci(self.function, COMMAND, quiet);
        let _ = platform.read_pci(self.function, COMMAND);
        (self.wish, self.is_muted) = (Command::empty(), true);
    }

    /// Makes a device that was stopped ready for a holder: no ROM, no interrupts by messages.
    pub(super) fn prepare<P: PciConfig>(&self, platform: &P) {
        platform.write_pci(self.function, ROM, 0);
        caps::disable_messages(platform, self.function);
    }

    /// Has a device that was stopped forget all, if it can, and says how many ns that takes.
    pub(super) fn begin_reset<P: PciConfig>(&mut self, platform: &P) -> u64 {
        self.is_leaving = true;
        self.reset.map_or(0, |reset| reset.begin(platform, self.function))
    }

    /// After it, what firmware has set up is set up again.
    pub(super) fn end_reset<P: PciConfig>(&self, platform: &P) {
        if self.reset.is_none() {
            return;
        }
        for (index, &base) in self.bases.iter().enumerate() {
            platform.write_pci(self.function, bar(index), base);
        }
        platform.write_pci(self.function, Register::INTERRUPT_LINE, self.line_register.into());
        platform.write_pci(self.function, COMMAND, Command::SILENT);
    }
}

const fn is_wide(base: u32) -> bool {
    base & IS_PORTS == 0 && base & IS_64_BIT != 0
}

/// The line of a function that has one.
pub(super) fn line_of<P: PciConfig>(platform: &P, function: Function) -> Option<u8> {
    let line = platform.read_pci(function, Register::INTERRUPT_LINE);
    let has_pin = platform.read_pci(function, Register::INTERRUPT_PIN) != 0;
    u8::try_from(line)
        .ok()
        .filter(|_| has_pin && line < io_rights::LINES)
}

/// Where in memory the base addresses of a function lead.
fn places_of<P: PciConfig>(platform: &P, function: Function) -> ArrayVec<u64, BARS> {
    let mut places = ArrayVec::new();
    if !exists(platform, function) {
        return places;
    }
    let count = match platform.read_pci(function, Register::HEADER_TYPE) & 0x7F {
        0 => BARS,
        1 => 2,
        _ => 0,
    };
    let mut index = 0;
    while index < count {
        let base = platform.read_pci(function, bar(index));
        let mut place = u64::from(base & !0xF);
        if is_wide(base) && index + 1 < count {
            index += 1;
            place |= u64::from(platform.read_pci(function, bar(index))) << 32;
        }
        if base & IS_PORTS == 0 && place != 0 {
            places.push(place);
        }
        index += 1;
    }
    places
}
