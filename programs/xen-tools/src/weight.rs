//! Shares of the processor: weights as people give them, and what borrowed virtual time makes of them.
//!
//! Under BVT a domain's virtual time grows by `mcu_advance` for each 100 µs that it runs, and who is furthest behind runs
//! next; so shares are inverse to `mcu_advance`. A weight of 256, the ordinary one as with `xl`, is [`ORDINARY_ADVANCE`].
//! The advance is rounded to the nearest whole number; what is read back is the weight that this stands for.

use alloc::format;
use alloc::string::String;

/// The ordinary weight.
pub const ORDINARY: u32 = 256;
/// The highest weight.
pub const MAX: u32 = 65_535;
/// `mcu_advance` of a domain with the ordinary weight, as the hypervisor gives it to a new one.
pub const ORDINARY_ADVANCE: u32 = 10;

/// Whether `number` is a weight.
///
/// # Errors
/// The message says which numbers are.
pub fn check(number: u64) -> Result<u32, String> {
    u32::try_from(number)
        .ok()
        .filter(|weight| (1..=MAX).contains(weight))
        .ok_or_else(|| format!("a weight is between 1 and {MAX}; {ORDINARY} is an ordinary share"))
}

/// The `mcu_advance` for a weight.
pub fn to_advance(weight: u32) -> u32 {
    let weight = weight.clamp(1, MAX);
    ((ORDINARY * ORDINARY_ADVANCE + weight / 2) / weight).max(1)
}

/// The weight that an `mcu_advance` stands for.
pub fn from_advance(advance: u32) -> u32 {
    let advance = u64::from(advance.max(1));
    let weight = (u64::from(ORDINARY * ORDINARY_ADVANCE) + advance / 2) / advance;
    (weight as u32).clamp(1, MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_inverse_to_advances() {
        assert_eq!(to_advance(ORDINARY), ORDINARY_ADVANCE);
        for weight in [64, 128, 256, 512, 1280] {
            assert_eq!(from_advance(to_advance(weight)), weight);
            assert_eq!(to_advance(weight) * weight, ORDINARY * ORDINARY_ADVANCE);
        }
        for weight in [1, 3, 300, MAX] {
            let advance = to_advance(weight);
            assert!(advance >= 1, "0 is refused");
            // Rounded to the nearest: the next advance on either side is no better.
            let distance =
                |advance: u32| (i64::from(advance * weight) - i64::from(ORDINARY * ORDINARY_ADVANCE)).abs();
            assert!(distance(advance) <= distance(advance + 1));
        }
        assert_eq!(from_advance(0), from_advance(1));
        assert_eq!(from_advance(u32::MAX), 1);
    }

    #[test]
    fn weights_have_limits() {
        assert_eq!((check(1), check(65_535)), (Ok(1), Ok(65_535)));
        for number in [0, 65_536, u64::MAX] {
            assert!(check(number).unwrap_err().contains("between 1 and 65535"));
        }
    }
}
