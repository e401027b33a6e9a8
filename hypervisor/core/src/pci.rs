//! PCI configuration space, for the domain that owns the devices and for those that were given one ([`assign`]).
//!
//! A domain that drives a device without an IOMMU can have it write to all of memory, so nothing in a function's registers
//! is kept from the owner. Domain0 owns every function; one that it has given away it only reads.
//!
//! Source: PCI Local Bus Specification 3.0, chapter 6; PCI-to-PCI Bridge Architecture 1.2, chapter 3; Xen 2.0 interface,
//! physdev_op.

pub mod assign;

use crate::{
    domain::Domain,
    error::HvError,
    platform::{InterruptLines, PciConfig, Platform},
};

/// A function: bus, device and function number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Function(u16);

impl Function {
    /// The function with these numbers, if they are such as one can have.
    #[must_use]
    pub const fn new(bus: u32, device: u32, function: u32) -> Option<Self> {
        if bus < 256 && device < 32 && function < 8 {
            Some(Self((bus << 8 | device << 3 | function) as u16))
        } else {
            None
        }
    }

    /// Its bus.
    #[must_use]
    pub const fn bus(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// Bus in bits 15:8, device in 7:3, function in 2:0.
    #[must_use]
    pub const fn raw(self) -> u16 {
        self.0
    }
}

/// A register, and how many bytes of it an access takes: 1, 2 or 4, aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register {
    offset: u8,
    len: u8,
}

impl Register {
    const VENDOR: Self = Self { offset: 0, len: 2 };
    const HEADER_TYPE: Self = Self { offset: 0x0E, len: 1 };
    const SECONDARY_BUS: Self = Self { offset: 0x19, len: 1 };
    const INTERRUPT_LINE: Self = Self { offset: 0x3C, len: 1 };
    const INTERRUPT_PIN: Self = Self { offset: 0x3D, len: 1 };

    /// The `len` bytes at `offset`, if one access reaches them.
    #[must_use]
    pub const fn new(offset: u32, len: u32) -> Option<Self> {
        if matches!(len, 1 | 2 | 4) && offset < 256 && offset.is_multiple_of(len) {
            Some(Self {
                offset: offset as u8,
                len: len as u8,
            })
        } else {
            None
        }
    }

    /// Its first byte.
    #[must_use]
    pub const fn offset(self) -> u8 {
        self.offset
    }

    /// Bytes of the access.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub const fn len(self) -> u8 {
        self.len
    }
}

/// Whether there is such a function.
pub(crate) fn exists<P: PciConfig>(platform: &P, function: Function) -> bool {
    const NOBODY: u32 = 0xFFFF;
    platform.read_pci(function, Register::VENDOR) != NOBODY
}

/// By which right a domain reaches a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// It owns the devices.
    Owner,
    /// It holds the function: which of those that it holds.
    Holder(usize),
}

/// A function by its numbers, for `domain`.
///
/// # Errors
/// [`HvError::Denied`] to who drives no device; [`HvError::Invalid`]; [`HvError::NoDevice`]; [`HvError::Denied`] to who does
/// not hold it: in this order.
pub fn reach<P: PciConfig>(
    platform: &P,
    domain: &Domain,
    [bus, device, function]: [u32; 3],
) -> Result<(Function, Right), HvError> {
    if !domain.drives_devices() {
        return Err(HvError::Denied);
    }
    let function = Function::new(bus, device, function).ok_or(HvError::Invalid)?;
    if !exists(platform, function) {
        return Err(HvError::NoDevice);
    }
    if domain.has_devices {
        return Ok((function, Right::Owner));
    }
    let mut held = domain.io.functions.iter();
    let index = held.position(|one| one.is_here() && one.function() == function);
    Ok((function, Right::Holder(index.ok_or(HvError::Denied)?)))
}

/// The buses of the functions that `domain` holds.
#[must_use]
pub fn buses_of(domain: &Domain) -> Buses {
    let mut buses = Buses::default();
    for held in &domain.io.functions {
        let bus = held.function().bus();
        buses[usize::from(bus / 32)] |= 1 << (bus % 32);
    }
    buses
}

/// Gets the interrupt of `function` ready to be bound: INTx lines are level-triggered, which firmware need not have said.
pub fn enable_interrupt<P: PciConfig + InterruptLines>(platform: &P, function: Function) {
    /// Lines that are edges for good: timer, keyboard, cascade, clock, coprocessor.
    const EDGES: u16 = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 8 | 1 << 13;
    let line = platform.read_pci(function, Register::INTERRUPT_LINE);
    let has_pin = platform.read_pci(function, Register::INTERRUPT_PIN) != 0;
    if has_pin && line < 16 && EDGES >> line & 1 == 0 {
        platform.make_level(line as u8);
    }
}

/// A bit per bus.
pub type Buses = [u32; 8];

/// All functions on `buses`.
pub fn functions<'a, P: PciConfig>(platform: &'a P, buses: &'a Buses) -> impl Iterator<Item = Function> + 'a {
    const MANY_FUNCTIONS: u32 = 0x80;
    let is_used = |bus: &u32| buses[*bus as usize / 32] >> (bus % 32) & 1 != 0;
    let devices = (0..256)
        .filter(is_used)
        .flat_map(|bus| (0..32).map(move |device| (bus, device)));
    devices.flat_map(move |(bus, device)| {
        let first = Function::new(bus, device, 0).filter(|&first| exists(platform, first));
        let has_many =
            |first: Function| platform.read_pci(first, Register::HEADER_TYPE) & MANY_FUNCTIONS != 0;
        let count = first.map_or(0, |first| if has_many(first) { 8 } else { 1 });
        (0..count)
            .filter_map(move |n| Function::new(bus, device, n))
            .filter(|&function| exists(platform, function))
    })
}

/// The buses that have a function, as the bridges show them now.
pub fn find_buses<P: Platform>(platform: &P) -> Buses {
    /// Low bits of the header type: a bridge to another bus.
    const BRIDGE: u32 = 1;
    const MANY_FUNCTIONS: u32 = 0x80;
    let bit = |bus: u32| (bus as usize / 32, 1 << (bus % 32));
    let (mut reached, mut used) = (Buses::default(), Buses::default());
    reached[0] = 1;
    // A bridge leads to a bus with a higher number than its own.
    for bus in 0..256 {
        let (word, mask) = bit(bus);
        if reached[word] & mask == 0 {
            continue;
        }
        for device in 0..32 {
            let mut functions = 1;
            let mut n = 0;
            while let Some(function) = Function::new(bus, device, n).filter(|_| n < functions) {
                n += 1;
                if !exists(platform, function) {
                    continue;
                }
                used[word] |= mask;
                let header = platform.read_pci(function, Register::HEADER_TYPE);
                if n == 1 && header & MANY_FUNCTIONS != 0 {
                    functions = 8;
                }
                if header & !MANY_FUNCTIONS == BRIDGE {
                    let (word, mask) = bit(platform.read_pci(function, Register::SECONDARY_BUS) % 256);
                    reached[word] |= mask;
                }
            }
        }
    }
    used
}
