//! Which page frames are free, and how often each is used.
//!
//! A frame's word holds its count, or, of a free one, `FREE` and the next free frame; so the free list needs no
//! memory of its own. Frames that are never given out (the image, page tables of the start, modules, what lies beyond
//! the direct map) are `RESERVED`. A frame that two address spaces share after a fork is counted twice.

use guest_abi::addr::Pfn;

/// Flag of a free frame; the other bits are the next free frame.
const FREE: u32 = 1 << 31;
/// End of the free list.
const END: u32 = FREE - 1;
/// Count of a frame that is not for us to give out.
const RESERVED: u32 = 0x4000_0000;
/// Highest count.
const MAX_COUNT: u32 = 0x3FFF_FFFF;

/// The frames of the domain, over a word for each.
#[derive(Debug)]
pub struct FrameTable<'a> {
    words: &'a mut [u32],
    first_free: u32,
    free: u32,
    given: u32,
}

/// No frame is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfFrames;

impl<'a> FrameTable<'a> {
    /// A table in which every frame is reserved.
    ///
    /// # Panics
    /// With more frames than the words can name.
    #[must_use]
    pub fn new(words: &'a mut [u32]) -> Self {
        assert!(words.len() < END as usize);
        words.fill(RESERVED);
        Self {
            words,
            first_free: END,
            free: 0,
            given: 0,
        }
    }

    /// Makes a reserved frame one that can be given out.
    ///
    /// # Panics
    /// Where it was not reserved.
    pub fn release(&mut self, pfn: Pfn) {
        assert_eq!(self.words[pfn.index()], RESERVED, "frame {pfn:?} released twice");
        self.push(pfn);
        self.given += 1;
    }

    /// Takes a free frame, with a count of 1. What it holds is whatever it held.
    ///
    /// # Errors
    /// There is none, or taking it would leave fewer than `keep`.
    pub fn alloc(&mut self, keep: u32) -> Result<Pfn, OutOfFrames> {
        if self.free <= keep || self.first_free == END {
            return Err(OutOfFrames);
        }
        let pfn = Pfn::new(self.first_free);
        let word = &mut self.words[pfn.index()];
        self.first_free = *word & !FREE;
        *word = 1;
        self.free -= 1;
        Ok(pfn)
    }

    /// Counts another use of a frame in use. Reserved frames are not counted.
    ///
    /// # Panics
    /// Where it is free, or used 2^30 times.
    pub fn share(&mut self, pfn: Pfn) {
        let word = &mut self.words[pfn.index()];
        match *word {
            RESERVED => {}
            count if (1..MAX_COUNT).contains(&count) => *word = count + 1,
            other => panic!("shared frame {pfn:?} is {other:#x}"),
        }
    }

    /// Ends one use; with the last the frame is free, and `true` is given. Reserved frames stay.
    ///
    /// # Panics
    /// Where it is free already.
    pub fn put(&mut self, pfn: Pfn) -> bool {
        let word = &mut self.words[pfn.index()];
        match *word {
            RESERVED => false,
            1 => {
                self.push(pfn);
                true
            }
            count if (2..=MAX_COUNT).contains(&count) => {
                *word = count - 1;
                false
            }
            other => panic!("freed frame {pfn:?} is {other:#x}"),
        }
    }

    /// Whether exactly one use of `pfn` is counted.
    #[must_use]
    pub fn is_exclusive(&self, pfn: Pfn) -> bool {
        self.words[pfn.index()] == 1
    }

    /// How many frames are free.
    #[must_use]
    pub fn free_count(&self) -> u32 {
        self.free
    }

    /// How many frames were ever released to this table.
    #[must_use]
    pub fn total_count(&self) -> u32 {
        self.given
    }

    fn push(&mut self, pfn: Pfn) {
        self.words[pfn.index()] = FREE | self.first_free;
        self.first_free = pfn.raw();
        self.free += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(words: &mut [u32]) -> FrameTable<'_> {
        let count = words.len() as u32;
        let mut table = FrameTable::new(words);
        (2..count).for_each(|n| table.release(Pfn::new(n)));
        table
    }

    #[test]
    fn frames_are_given_once_and_come_back() {
        let mut words = [0; 6];
        let mut table = table(&mut words);
        assert_eq!((table.free_count(), table.total_count()), (4, 4));
        let mut taken: Vec<_> = (0..4).map(|_| table.alloc(0).unwrap()).collect();
        assert_eq!(table.alloc(0), Err(OutOfFrames));
        taken.sort();
        taken.dedup();
        assert_eq!(taken.len(), 4);
        assert!(taken.iter().all(|pfn| pfn.raw() >= 2));
        for pfn in taken {
            assert!(table.put(pfn));
        }
        assert_eq!(table.free_count(), 4);
    }

    #[test]
    fn shared_frame_is_freed_with_its_last_use() {
        let mut words = [0; 4];
        let mut table = table(&mut words);
        let pfn = table.alloc(0).unwrap();
        table.share(pfn);
        assert!(!table.is_exclusive(pfn));
        assert!(!table.put(pfn));
        assert!(table.is_exclusive(pfn));
        assert!(table.put(pfn));
    }

    #[test]
    fn what_is_kept_back_stays() {
        let mut words = [0; 5];
        let mut table = table(&mut words);
        assert!(table.alloc(2).is_ok());
        assert_eq!(table.alloc(2), Err(OutOfFrames));
        assert!(table.alloc(1).is_ok());
    }

    #[test]
    fn reserved_frames_are_left_alone() {
        let mut words = [0; 3];
        let mut table = table(&mut words);
        table.share(Pfn::new(0));
        assert!(!table.put(Pfn::new(0)));
        assert!(!table.is_exclusive(Pfn::new(0)));
    }

    #[test]
    #[should_panic(expected = "freed frame")]
    fn freeing_twice_is_noticed() {
        let mut words = [0; 4];
        let mut table = table(&mut words);
        let pfn = table.alloc(0).unwrap();
        table.put(pfn);
        table.put(pfn);
    }
}
