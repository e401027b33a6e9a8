//! PCI configuration space by the two ports that every PC has (configuration mechanism 1).
//!
//! Each access is two: the address port first, then the data port. The caller sees to it that nobody comes in between.
//!
//! Source: PCI Local Bus Specification 3.0, 3.2.2.3.2.

use crate::port::{Port, PortWidth};

/// Bit 31 of the address port: the data port is configuration space.
const ENABLE: u32 = 1 << 31;
const DATA: u16 = 0xCFC;

// SAFETY: selects a register and does nothing by itself.
const ADDRESS: Port<u32> = unsafe { Port::new(0xCF8) };

/// Selects the register at `offset` and gives the data port for it, which is as wide as the access.
fn select<T: PortWidth>(function: u16, offset: u8) -> Port<T> {
    ADDRESS.write(ENABLE | u32::from(function) << 8 | u32::from(offset & !3));
    // SAFETY: a read of a register has no effect on memory. What a write lets the device do is up to the domain that
    // owns it, which without an IOMMU is trusted with all of memory.
    unsafe { Port::new(DATA + u16::from(offset & 3)) }
}

/// Reads `len` bytes (1, 2, 4) at `offset`, aligned, of a function: bus in bits 15:8, device in 7:3, function in 2:0.
/// All ones where there is none.
#[must_use]
pub fn read(function: u16, offset: u8, len: u8) -> u32 {
    match len {
        1 => select::<u8>(function, offset).read().into(),
        2 => select::<u16>(function, offset).read().into(),
        _ => select::<u32>(function, offset).read(),
    }
}

/// Writes `len` bytes at `offset` of a function; as for [`read`].
pub fn write(function: u16, offset: u8, len: u8, value: u32) {
    match len {
        1 => select::<u8>(function, offset).write(value as u8),
        2 => select::<u16>(function, offset).write(value as u16),
        _ => select::<u32>(function, offset).write(value),
    }
}
