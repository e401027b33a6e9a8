//! The ACPI power-management timer: a free-running counter at 3.579545 MHz behind one I/O port.
//!
//! Source: ACPI specification 6.5, section 4.8.3.3.

use crate::port::Port;

/// Its frequency.
pub const FREQUENCY_HZ: u64 = 3_579_545;

/// The counter.
#[derive(Clone, Copy, Debug)]
pub struct PmTimer {
    port: Port<u32>,
    mask: u32,
}

impl PmTimer {
    /// The timer at the port that the FADT names; `is_32_bit` as its flag TMR_VAL_EXT says, else 24 bits count.
    ///
    /// # Safety
    /// `port` is the FADT's PM_TMR_BLK in I/O space.
    #[must_use]
    pub const unsafe fn new(port: u16, is_32_bit: bool) -> Self {
        // SAFETY: a counter that is only read; the caller says that it is this port.
        let port = unsafe { Port::new(port) };
        Self {
            port,
            mask: if is_32_bit { u32::MAX } else { 0x00FF_FFFF },
        }
    }

    /// Reads the counter.
    #[must_use]
    pub fn read(self) -> u32 {
        self.port.read() & self.mask
    }

    /// Ticks from `start` to `end`, over at most one wrap (4.7 s for 24 bits).
    #[must_use]
    pub const fn elapsed(self, start: u32, end: u32) -> u32 {
        end.wrapping_sub(start) & self.mask
    }
}
