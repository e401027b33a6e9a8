//! Functions that a domain was given: direct assignment.
//!
//! Who holds a function reaches its registers, its ports and frames, and its line. Domain0, which owns all devices, keeps its
//! own way to each: it resets them, and decides who gets what. A function is given to one domain at a time.
//!
//! Its holder cannot move it: the base addresses are answered from what they were when it was given, so that a driver can ask
//! for their sizes as usual, and what is written there goes nowhere. Nor can the line's number be changed. Everything
//! else reaches the device. One that masters the bus reaches all of memory, as nothing here translates its addresses: who
//! gives such a function trusts the domain with the machine.
//!
//! When it is taken back, or its holder dies, its bus mastering, its decoding and its line are switched off first.
//!
//! Source: Xen 2.0 interface (direct device assignment), but: no privilege comes with a device, and it can be taken back;
//! PCI Local Bus Specification 3.0, chapter 6.2.

use super::{Function, Register, exists};
use crate::{
    error::HvError,
    event,
    hypervisor::Hypervisor,
    io_rights::{self, MAX_RANGES},
    platform::{PciConfig, Platform},
};
use arrayvec::ArrayVec;
use core::ops::Range;

/// Functions that one domain can be given.
pub const MAX_FUNCTIONS: usize = 4;
/// Base-address registers of a function that is no bridge.
const BARS: usize = 6;
/// Where the first one is; they are 4 bytes each.
const FIRST_BAR: u8 = 0x10;
const COMMAND: Register = Register { offset: 4, len: 2 };
const CLASS: Register = Register { offset: 0x0B, len: 1 };
const CLASS_BRIDGE: u32 = 6;
const ROM: u8 = 0x30;
const DECODES_PORTS: u32 = 1 << 0;
const DECODES_MEMORY: u32 = 1 << 1;
const MASTERS_BUS: u32 = 1 << 2;
const LINE_DISABLED: u32 = 1 << 10;
const IS_PORTS: u32 = 1 << 0;
const IS_64_BIT: u32 = 2 << 1;

/// What one base address leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Region {
    Ports(Range<u32>),
    Frames(Range<u64>),
}

/// A function that a domain holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    function: Function,
    line: Option<u8>,
    /// What each base address was.
    bases: [u32; BARS],
    /// What it reads as when all ones were written.
    sizes: [u32; BARS],
    /// All ones were written: the next answers are the sizes, a bit each.
    is_asked: u8,
}

/// Which of the six base addresses an access is to.
enum Place {
    Bar(usize),
    /// Answered with 0, and not written: the expansion ROM.
    Nothing,
    /// The line's number: not written.
    ReadOnly,
    Device,
}

fn place(register: Register) -> Place {
    let aligned = register.offset & !3;
    match aligned {
        ROM => Place::Nothing,
        0x3C => Place::ReadOnly,
        FIRST_BAR..0x28 => Place::Bar(usize::from(aligned - FIRST_BAR) / 4),
        _ => Place::Device,
    }
}

impl Assigned {
    /// Which function.
    #[must_use]
    pub const fn function(&self) -> Function {
        self.function
    }

    /// Asks the device for what its base addresses are. It does not decode meanwhile.
    fn examine<P: PciConfig>(platform: &P, function: Function) -> Self {
        let bar = |index: usize| Register {
            offset: FIRST_BAR + index as u8 * 4,
            len: 4,
        };
        let command = platform.read_pci(function, COMMAND);
        platform.write_pci(function, COMMAND, command & !(DECODES_PORTS | DECODES_MEMORY));
        let bases: [u32; BARS] = core::array::from_fn(|n| platform.read_pci(function, bar(n)));
        let sizes = core::array::from_fn(|n| {
            platform.write_pci(function, bar(n), u32::MAX);
            let size = platform.read_pci(function, bar(n));
            platform.write_pci(function, bar(n), bases[n]);
            size
        });
        platform.write_pci(function, COMMAND, command);
        let line = platform.read_pci(function, Register::INTERRUPT_LINE);
        let has_pin = platform.read_pci(function, Register::INTERRUPT_PIN) != 0;
        Self {
            function,
            line: u8::try_from(line)
                .ok()
                .filter(|_| has_pin && line < io_rights::LINES),
            bases,
            sizes,
            is_asked: 0,
        }
    }

    /// What the base addresses lead to, as far as firmware gave them a place.
    fn regions(&self) -> ArrayVec<Region, BARS> {
        let mut found = ArrayVec::new();
        let mut index = 0;
        while index < BARS {
            let (base, size) = (self.bases[index], self.sizes[index]);
            let is_wide = base & IS_PORTS == 0 && base & IS_64_BIT != 0 && index + 1 < BARS;
            if size != 0 && base & IS_PORTS != 0 {
                let start = base & 0xFFFC;
                let count = (!(size & !3) & 0xFFFF) + 1;
                if start != 0 {
                    found.push(Region::Ports(start..start + count));
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
                    found.push(Region::Frames(start >> 12..end.div_ceil(4096)));
                }
            }
            index += if is_wide { 2 } else { 1 };
        }
        found
    }

    fn frames(&self) -> impl Iterator<Item = Range<u64>> {
        self.regions().into_iter().filter_map(|region| match region {
            Region::Frames(frames) => Some(frames),
            Region::Ports(_) => None,
        })
    }

    fn ports(&self) -> impl Iterator<Item = Range<u32>> {
        self.regions().into_iter().filter_map(|region| match region {
            Region::Ports(ports) => Some(ports),
            Region::Frames(_) => None,
        })
    }

    /// Reads a register for the holder.
    pub fn read<P: PciConfig>(&self, platform: &P, register: Register) -> u32 {
        let whole = match place(register) {
            Place::Device | Place::ReadOnly => return platform.read_pci(self.function, register),
            Place::Nothing => 0,
            Place::Bar(index) if self.is_asked >> index & 1 != 0 => self.sizes[index],
            Place::Bar(index) => self.bases[index],
        };
        let shifted = whole >> (register.offset % 4 * 8);
        shifted & u32::MAX >> (32 - 8 * u32::from(register.len))
    }

    /// Writes a register for the holder.
    pub fn write<P: PciConfig>(&mut self, platform: &P, register: Register, value: u32) {
        match place(register) {
            Place::Device => platform.write_pci(self.function, register, value),
            Place::Bar(index) if register.len == 4 && value == u32::MAX => self.is_asked |= 1 << index,
            Place::Bar(index) => self.is_asked &= !(1 << index),
            Place::Nothing | Place::ReadOnly => {}
        }
    }

    /// Stops the device.
    fn quiet<P: PciConfig>(&self, platform: &P) {
        let command = platform.read_pci(self.function, COMMAND);
        let off = DECODES_PORTS | DECODES_MEMORY | MASTERS_BUS;
        platform.write_pci(self.function, COMMAND, command & !off | LINE_DISABLED);
    }
}

/// Gives `function` to the domain in `slot`, with its ports, frames and line. One that it holds already stays as it is.
///
/// # Errors
/// [`HvError::NoDevice`]; [`HvError::Denied`] for a bridge; [`HvError::Busy`] for a function that another domain holds, or whose
/// line is the hypervisor's; [`HvError::Invalid`] where its ports or frames are such as nobody is given, and for a domain that
/// owns the devices anyway;
/// [`HvError::NoMemory`]. Nothing is given then.
pub fn give<P: Platform>(
    hv: &mut Hypervisor,
    platform: &P,
    slot: usize,
    function: Function,
) -> Result<(), HvError> {
    if !exists(platform, function) {
        return Err(HvError::NoDevice);
    }
    if hv.domain_in(slot).is_some_and(|domain| domain.has_devices) {
        return Err(HvError::Invalid);
    }
    let is_plain = platform.read_pci(function, Register::HEADER_TYPE) & 0x7F == 0;
    if !is_plain || platform.read_pci(function, CLASS) == CLASS_BRIDGE {
        return Err(HvError::Denied);
    }
    match holder(hv, function) {
        Some(holder) if holder == slot => return Ok(()),
        Some(_) => return Err(HvError::Busy),
        None => {}
    }
    let assigned = Assigned::examine(platform, function);
    let rights = &hv.domain_in(slot).ok_or(HvError::NoSuchDomain)?.io;
    let has_room = rights.frames.len() + assigned.frames().count() <= MAX_RANGES;
    if !has_room || rights.functions.is_full() {
        return Err(HvError::NoMemory);
    }
    let are_free = assigned.frames().all(|frames| hv.mm.is_device(frames))
        && assigned.ports().all(|ports| io_rights::may_be_given(hv, &ports));
    if !are_free {
        return Err(HvError::Invalid);
    }
    if assigned.line.is_some_and(|line| hv.lines.is_own(line)) {
        return Err(HvError::Busy);
    }
    give_rights(hv, platform, slot, &assigned)?;
    let command = platform.read_pci(function, COMMAND);
    platform.write_pci(function, COMMAND, command & !LINE_DISABLED);
    if let Some(domain) = hv.domain_at(slot) {
        domain.io.functions.push(assigned);
    }
    Ok(())
}

/// Only the first ports can fail, for want of memory; they come first.
fn give_rights<P: Platform>(
    hv: &mut Hypervisor,
    platform: &P,
    slot: usize,
    assigned: &Assigned,
) -> Result<(), HvError> {
    for ports in assigned.ports() {
        io_rights::allow_ports(hv, platform, slot, ports, true)?;
    }
    for frames in assigned.frames() {
        io_rights::allow_frames(hv, slot, frames, true)?;
    }
    if let (Some(line), Some(domain)) = (assigned.line, hv.domain_at(slot)) {
        domain.io.lines |= 1 << line;
    }
    Ok(())
}

/// Takes `function` from the domain in `slot`, which may hold it or not, and what came with it. What else it holds keeps its
/// own; what it maps of the device stays mapped, and leads nowhere.
pub fn take<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize, function: Function) {
    let Some(domain) = hv.domain_at(slot) else { return };
    let held = &mut domain.io.functions;
    let Some(index) = held.iter().position(|one| one.function == function) else {
        return;
    };
    let gone = held.swap_remove(index);
    let others = held.clone();
    gone.quiet(platform);
    for ports in gone.ports() {
        let _ = io_rights::allow_ports(hv, platform, slot, ports, false);
    }
    for frames in gone.frames() {
        let _ = io_rights::allow_frames(hv, slot, frames, false);
    }
    if let Some(line) = gone.line
        && !others.iter().any(|other| other.line == Some(line))
    {
        if let Some(domain) = hv.domain_at(slot) {
            domain.io.lines &= !(1 << line);
        }
        event::close_line(hv, platform, slot, line);
    }
    // What two functions share stays: it was there, so it can be given.
    for other in &others {
        let _ = give_rights(hv, platform, slot, other);
    }
}

/// Stops every device that the domain in `slot`, which dies, holds.
pub fn take_all<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize) {
    let Some(domain) = hv.domain_at(slot) else { return };
    for held in domain.io.functions.drain(..) {
        held.quiet(platform);
    }
}

/// The slot of the domain that holds `function`.
fn holder(hv: &Hypervisor, function: Function) -> Option<usize> {
    let holds = |slot: &usize| {
        hv.domain_in(*slot)
            .is_some_and(|domain| domain.io.functions.iter().any(|one| one.function == function))
    };
    (0..hv.domains.len()).find(holds)
}

#[cfg(test)]
mod tests;
