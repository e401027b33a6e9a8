//! Capabilities of a function that matter when it changes hands: messages instead of a line, and a reset of the function alone.
//!
//! Source: PCI Local Bus Specification 3.0, 6.7 and 6.8; PCI Express Base Specification 3.0, 6.6.2 and 7.8; Advanced Capabilities
//! for Conventional PCI.

use crate::{
    pci::{Function, Register},
    platform::PciConfig,
};

const STATUS: Register = Register { offset: 6, len: 2 };
const FIRST: Register = Register { offset: 0x34, len: 1 };
const HAS_LIST: u32 = 1 << 4;
/// Most capabilities that fit.
const MOST: usize = 48;

const MSI: u32 = 0x05;
const EXPRESS: u32 = 0x10;
const MSI_X: u32 = 0x11;
const ADVANCED: u32 = 0x13;

/// How long a function may take to reset itself.
const RESET_NS: u64 = 100_000_000;

/// How a function is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reset {
    /// By its PCI Express capability, which is there.
    Express(u8),
    /// By its advanced features.
    Advanced(u8),
}

impl Reset {
    /// Begins it, and says how long it takes.
    pub(super) fn begin<P: PciConfig>(self, platform: &P, function: Function) -> u64 {
        let (register, bit) = match self {
            Self::Express(at) => (inside(at, 8, 2), 1 << 15),
            Self::Advanced(at) => (inside(at, 4, 1), 1 << 0),
        };
        let Some(register) = register else { return 0 };
        let value = platform.read_pci(function, register);
        platform.write_pci(function, register, value | bit);
        RESET_NS
    }
}

/// Calls `each` with number and place of every capability.
fn walk<P: PciConfig>(platform: &P, function: Function, mut each: impl FnMut(u32, u8)) {
    if platform.read_pci(function, STATUS) & HAS_LIST == 0 {
        return;
    }
    let mut at = platform.read_pci(function, FIRST) as u8 & !3;
    for _ in 0..MOST {
        if at < 0x40 {
            return;
        }
        let head = platform.read_pci(function, Register { offset: at, len: 2 });
        each(head & 0xFF, at);
        at = (head >> 8) as u8 & !3;
    }
}

/// A register inside the capability at `at`, if it is inside configuration space.
fn inside(at: u8, offset: u8, len: u8) -> Option<Register> {
    let offset = at.checked_add(offset).filter(|offset| *offset <= u8::MAX - 3)?;
    Some(Register { offset, len })
}

/// Switches interrupts by messages off: they are writes to memory.
pub(super) fn disable_messages<P: PciConfig>(platform: &P, function: Function) {
    walk(platform, function, |id, at| {
        let enable = match id {
            MSI => 1 << 0,
            MSI_X => 1 << 15,
            _ => return,
        };
        if let Some(control) = inside(at, 2, 2) {
            let value = platform.read_pci(function, control);
            if value & enable != 0 {
                platform.write_pci(function, control, value & !enable);
            }
        }
    });
}

/// How `function` is reset, if it can be.
pub(super) fn find_reset<P: PciConfig>(platform: &P, function: Function) -> Option<Reset> {
    let mut found = None;
    walk(platform, function, |id, at| {
        // Where the capability says that there is a reset.
        let (says, can, reset) = match id {
            EXPRESS => (inside(at, 4, 4), 1 << 28, Reset::Express(at)),
            ADVANCED => (inside(at, 3, 1), 1 << 1, Reset::Advanced(at)),
            _ => return,
        };
        if says.is_some_and(|says| platform.read_pci(function, says) & can != 0) {
            found = Some(reset);
        }
    });
    found
}
