//! Where a non-maskable interrupt came from.
//!
//! Source: port 0x61 as in the ICH data sheets ("NMI status and control").

use crate::port::Port;

// SAFETY: reading has no effect; the bits that are changed switch the two sources off and on.
const CONTROL_B: Port<u8> = unsafe { Port::new(0x61) };
/// Memory parity or SERR#; it is forgotten while its source is off.
const PARITY: u8 = 1 << 7;
const PARITY_OFF: u8 = 1 << 2;
/// IOCHK#, the same.
const IO_CHECK: u8 = 1 << 6;
const IO_CHECK_OFF: u8 = 1 << 3;
/// What is kept when the port is written.
const KEPT: u8 = 0x0F;

/// Sources that the chipset names; none of them: a button, a monitor, another controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sources {
    /// Memory parity, or a PCI system error.
    pub parity: bool,
    /// A card's I/O check.
    pub io_check: bool,
}

/// The sources that are up now, which are forgotten.
#[must_use]
pub fn take_sources() -> Sources {
    let now = CONTROL_B.read();
    for (source, off) in [(PARITY, PARITY_OFF), (IO_CHECK, IO_CHECK_OFF)] {
        if now & source != 0 {
            CONTROL_B.write(now & KEPT | off);
            CONTROL_B.write(now & KEPT & !off);
        }
    }
    Sources {
        parity: now & PARITY != 0,
        io_check: now & IO_CHECK != 0,
    }
}
