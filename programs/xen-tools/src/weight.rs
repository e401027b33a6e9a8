//! Shares of the processor: weights as people give them, and what borrowed virtual time makes of them.
//!
//! Under BVT a domain's virtual time grows by `mcu_advance` for each 100 µs that it runs, and who is furthest behind runs
//! next; so shares are inverse to `mcu_advance`. The hypervisor gives every domain an advance of 10, which would leave weights
//! in coarse steps (half of 5 is no whole number). So the tools give the ordinary weight, 256 as with `xl`, a far larger
//! advance, in which every weight up to 65535 is met within half a percent, and they give it to Domain0 too, before they make
//! another domain. Warps are virtual time as well, and are told in µs that an ordinary domain would have run.

use alloc::format;
use alloc::string::String;

/// The ordinary weight.
pub const ORDINARY: u32 = 256;
/// The highest weight.
pub const MAX: u32 = 65_535;
/// `mcu_advance` of a domain with the ordinary weight.
pub const ORDINARY_ADVANCE: u32 = 25_600;
/// What the hypervisor gives a domain of which nothing was said.
pub const UNSAID_ADVANCE: u32 = 10;
/// Time that an advance is for, in µs.
const UNIT_US: u64 = 100;

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

/// A warp of so many µs of an ordinary domain's time, as the scheduler counts it; `None` beyond what it can count.
pub fn to_warp(us: u64) -> Option<i32> {
    let value = us.checked_mul(u64::from(ORDINARY_ADVANCE))? / UNIT_US;
    i32::try_from(value).ok()
}

/// The µs that a warp stands for.
pub fn from_warp(value: i32) -> u64 {
    u64::try_from(value).unwrap_or(0) * UNIT_US / u64::from(ORDINARY_ADVANCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_inverse_to_advances() {
        assert_eq!(to_advance(ORDINARY), ORDINARY_ADVANCE);
        for weight in (1..=MAX).step_by(7).chain([MAX]) {
            let product = u64::from(to_advance(weight)) * u64::from(weight);
            let whole = u64::from(ORDINARY) * u64::from(ORDINARY_ADVANCE);
            assert!(
                product.abs_diff(whole) * 200 <= whole,
                "weight {weight} is met within half a percent"
            );
            if weight <= 2048 {
                assert_eq!(from_advance(to_advance(weight)), weight);
            }
        }
        assert_eq!(from_advance(0), from_advance(1));
        assert_eq!(from_advance(u32::MAX), 1);
    }

    #[test]
    fn warps_are_time_of_an_ordinary_domain() {
        for us in [0, 100, 5_000, 1_000_000] {
            assert_eq!(to_warp(us).map(from_warp), Some(us));
        }
        assert_eq!(to_warp(100).unwrap(), ORDINARY_ADVANCE.cast_signed());
        assert_eq!((to_warp(10_000_000), to_warp(u64::MAX)), (None, None));
        assert_eq!(from_warp(-1), 0);
    }

    #[test]
    fn weights_have_limits() {
        assert_eq!((check(1), check(65_535)), (Ok(1), Ok(65_535)));
        for number in [0, 65_536, u64::MAX] {
            assert!(check(number).unwrap_err().contains("between 1 and 65535"));
        }
    }
}
