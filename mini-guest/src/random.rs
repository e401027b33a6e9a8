//! Numbers that are hard to guess for a program that does not try: seeds of hash tables, canaries, temporary names.
//!
//! A SplitMix64 generator stirred with the time-stamp counter. **Not cryptographic**: the state is 64 bits, seeded by
//! the time of boot; a guest has no source of real entropy.

/// The generator.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// A generator that begins with `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Mixes something unpredictable in, such as the time.
    pub fn stir(&mut self, value: u64) {
        self.state = self.state.rotate_left(23) ^ value;
    }

    /// The next number. (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014.)
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let number = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&number[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sequence() {
        let mut random = Random::new(0);
        assert_eq!(random.next_u64(), 0xE220_A839_7B1D_CDAF);
        assert_eq!(random.next_u64(), 0x6E78_9E6A_A1B9_65F4);
    }

    #[test]
    fn stirring_changes_what_follows() {
        let (mut a, mut b) = (Random::new(1), Random::new(1));
        b.stir(7);
        assert_ne!(a.next_u64(), b.next_u64());
        let mut bytes = [0; 11];
        a.fill(&mut bytes);
        assert!(bytes[8..].iter().any(|byte| *byte != 0));
    }
}
