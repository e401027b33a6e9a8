//! Calls 8 and 9, the virtual debug registers.
//!
//! `set_debugreg`: EBX register, ECX value. `get_debugreg`: EBX register; the value comes in EAX and the
//! status in EBX, so that −EINVAL is told from a value. A vCPU's registers are loaded only while its DR7 is
//! not 0.
//!
//! | register | set |
//! |---|---|
//! | 0–3 | linear address at most [`MAX_ADDRESS`], else −EPERM |
//! | 4, 5 | −EINVAL; read as 0 |
//! | 6 | forced bits, [`dr6`] |
//! | 7 | 0 is off; else forced bits and −EPERM for what is refused, [`dr7`] |
//! | others | −EINVAL |
//!
//! Source: Xen 2.0, `do_set_debugreg`; Intel SDM vol. 3B 18.2.

use crate::addr::HV_START;

/// How many registers are numbered.
pub const REGISTERS: u32 = 8;

/// Highest address that DR0 to DR3 may hold: the last aligned word below the hypervisor's window.
pub const MAX_ADDRESS: u32 = HV_START - 4;

/// DR6 bits.
pub mod dr6 {
    /// Always 1.
    pub const ALWAYS_ONE: u32 = 0xFFFF_0FF0;
    /// Always 0.
    pub const ALWAYS_ZERO: u32 = 0x0000_1000;
    /// Breakpoint 0 to 3 was met.
    pub const HIT: u32 = 0xF;
    /// A debug register was touched while DR7.GD was set.
    pub const ACCESS: u32 = 1 << 13;
    /// Single-step.
    pub const STEP: u32 = 1 << 14;

    /// What is stored when a guest writes `value`.
    #[must_use]
    pub const fn forced(value: u32) -> u32 {
        value & !ALWAYS_ZERO | ALWAYS_ONE
    }
}

/// DR7 bits.
pub mod dr7 {
    /// Always 1, unless the whole register is 0.
    pub const ALWAYS_ONE: u32 = 1 << 10;
    /// Always 0.
    pub const ALWAYS_ZERO: u32 = 0x0000_D800;
    /// GD: trap accesses to the debug registers; refused.
    pub const GENERAL_DETECT: u32 = 1 << 13;
    /// Bits of the four enables, local and global.
    pub const ENABLES: u32 = 0xFF;
    /// First of the eight 2-bit fields: R/W and LEN of each breakpoint.
    pub const FIELDS_SHIFT: u32 = 16;

    /// What is stored when a guest writes `value`, or `None` where it is refused: GD set, or an R/W field
    /// that says I/O (binary 10) or a LEN field that says 8 bytes (binary 10).
    #[must_use]
    pub const fn forced(value: u32) -> Option<u32> {
        if value == 0 {
            return Some(0);
        }
        if value & GENERAL_DETECT != 0 {
            return None;
        }
        // High bit set and low bit clear, for all eight fields at once.
        let fields = value >> FIELDS_SHIFT;
        if (fields >> 1) & !fields & 0x5555 != 0 {
            return None;
        }
        Some(value & !ALWAYS_ZERO | ALWAYS_ONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dr6_keeps_the_processors_fixed_bits() {
        assert_eq!(dr6::forced(0), 0xFFFF_0FF0);
        assert_eq!(dr6::forced(u32::MAX), 0xFFFF_EFFF);
    }

    #[test]
    fn dr7_zero_is_off_and_other_values_get_the_fixed_bits() {
        assert_eq!(dr7::forced(0), Some(0));
        assert_eq!(dr7::forced(1), Some(0x401));
        assert_eq!(dr7::forced(0xD801), Some(0x401));
        assert_eq!(dr7::forced(0x000D_0303), Some(0x000D_0703));
    }

    #[test]
    fn dr7_general_detect_io_and_eight_bytes_are_refused() {
        assert_eq!(dr7::forced(dr7::GENERAL_DETECT), None);
        for field in 0..8 {
            for value in 0..4u32 {
                let accepted = dr7::forced(value << (16 + 2 * field) | 1).is_some();
                assert_eq!(accepted, value != 2, "field {field} value {value}");
            }
        }
    }

    #[test]
    fn last_address_is_below_the_window() {
        assert_eq!(MAX_ADDRESS, 0xFBFF_FFFC);
    }
}
