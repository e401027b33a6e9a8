//! What is in use of one grant: the active word.
//!
//! ```text
//!  31:0   frame
//!  39:32  mapped writable by a host       55:48  so by a device
//!  47:40  mapped read-only by a host      63:56  so by a device
//! ```
//!
//! A word that counts nothing is 0.

use bitflags::bitflags;

bitflags! {
    /// How a mapping uses a grant.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Uses: u8 {
        /// By an L1 entry.
        const HOST = 1 << 0;
        /// By devices.
        const DEVICE = 1 << 1;
        /// Only to read.
        const READ_ONLY = 1 << 2;
    }
}

/// The word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Active(pub u64);

/// Bits of all counts of writable uses.
const WRITABLE: u64 = 0x00FF_00FF << 32;
/// Lowest bit of the counts of writable uses.
const LANE: u32 = 32;

impl Active {
    /// Nothing is in use.
    pub const NONE: Self = Self(0);

    /// The frame, where anything is in use.
    #[must_use]
    pub const fn frame(self) -> u32 {
        self.0 as u32
    }

    /// Whether anything is in use.
    #[must_use]
    pub const fn is_used(self) -> bool {
        self.0 >> 32 != 0
    }

    /// Whether anything is in use for writing.
    #[must_use]
    pub const fn is_written(self) -> bool {
        self.0 & WRITABLE != 0
    }

    /// The uses, in the order of their bits.
    #[must_use]
    pub const fn counts(self) -> [u8; 4] {
        ((self.0 >> 32) as u32).to_le_bytes()
    }

    /// One of each of `uses`.
    #[inline(always)]
    const fn one(uses: Uses) -> u64 {
        ONE[(uses.bits() & Uses::all().bits()) as usize]
    }

    /// The word with one of each of `uses` of `frame` more, unless a count is at its limit.
    #[inline(always)]
    #[must_use]
    pub const fn with(self, frame: u32, uses: Uses) -> Option<Self> {
        let one = Self::one(uses);
        let full = one.wrapping_mul(0xFF);
        // A count is at its limit if all its bits are set: adding one to the count's bits alone carries out of them.
        if (self.0 & full).wrapping_add(one) & !full != 0 || (self.0 & full) >> 56 == 0xFF {
            return None;
        }
        Some(Self((self.0 & !0xFFFF_FFFF | frame as u64).wrapping_add(one)))
    }

    /// The word with one of each of `uses` less.
    ///
    /// # Panics
    /// Where they are not counted: a mistake of ours, after which no count can be believed.
    #[inline(always)]
    #[must_use]
    pub const fn without(self, uses: Uses) -> Self {
        let one = Self::one(uses);
        assert!(lanes_hold(self.0, one), "use of a grant given back twice");
        let left = self.0.wrapping_sub(one);
        if left >> 32 == 0 { Self::NONE } else { Self(left) }
    }
}

/// One of each use, by its bits.
const ONE: [u64; 8] = {
    let mut table = [0; 8];
    let mut bits = 0;
    while bits < table.len() {
        let uses = Uses::from_bits_truncate(bits as u8);
        let lane = if uses.contains(Uses::READ_ONLY) {
            LANE + 8
        } else {
            LANE
        };
        let host = (uses.contains(Uses::HOST) as u64) << lane;
        let device = (uses.contains(Uses::DEVICE) as u64) << (lane + 16);
        table[bits] = host | device;
        bits += 1;
    }
    table
};

/// Whether each count that is 1 in `one` is at least 1 in `word`: a count that is not 0 has its highest bit set, or carries into
/// it when all the others are added. The sum stays inside the count's byte.
const fn lanes_hold(word: u64, one: u64) -> bool {
    const HIGHEST: u64 = 0x8080_8080 << LANE;
    const OTHERS: u64 = 0x7F7F_7F7F << LANE;
    let is_more = ((word & OTHERS) + OTHERS) | word;
    (one << 7) & !is_more & HIGHEST == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_uses() -> impl Iterator<Item = Uses> {
        (1..8)
            .map(Uses::from_bits_retain)
            .filter(|u| u.intersects(Uses::HOST | Uses::DEVICE))
    }

    #[test]
    fn counts_go_up_to_their_limit_and_back() {
        for uses in all_uses() {
            let mut word = Active::NONE;
            for n in 0..255 {
                assert_eq!(word.is_used(), n > 0);
                word = word.with(0xDEAD_BEEF, uses).expect("room");
                assert_eq!(word.is_written(), !uses.contains(Uses::READ_ONLY));
                assert_eq!(word.frame(), 0xDEAD_BEEF);
                assert_eq!(word.counts().iter().map(|&c| u32::from(c)).max(), Some(n + 1));
            }
            assert_eq!(word.with(0xDEAD_BEEF, uses), None, "{uses:?}");
            // The other counts have room still.
            for other in all_uses() {
                let shares = Active::one(other) & Active::one(uses) != 0;
                assert_eq!(
                    word.with(0xDEAD_BEEF, other).is_none(),
                    shares,
                    "{uses:?} {other:?}"
                );
            }
            for _ in 0..255 {
                word = word.without(uses);
            }
            assert_eq!(word, Active::NONE);
        }
    }

    #[test]
    #[should_panic(expected = "given back twice")]
    fn a_use_that_is_not_counted_is_not_given_back() {
        let word = Active::NONE.with(5, Uses::HOST).expect("room");
        let _ = word.without(Uses::HOST | Uses::READ_ONLY);
    }
}
