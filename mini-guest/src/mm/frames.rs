//! Which page frames are free, and how often each is used.
//!
//! A frame's word holds its count, or, of a free one, `FREE` and the next free frame; so the free list needs no
//! memory of its own. Frames that are never given out (the image, page tables of the start, modules, what lies beyond
//! the direct map) are `RESERVED`. Those that were given back to the hypervisor are `ASIDE`, in a list of their own. A frame that two address spaces share after a fork is counted twice.

use guest_abi::addr::Pfn;

/// Flag of a free frame; the other bits are the next free frame.
const FREE: u32 = 1 << 31;
/// End of the free list.
const END: u32 = FREE - 1;
/// Count of a frame that is not for us to give out.
const RESERVED: u32 = 0x4000_0000;
/// Flag of a frame set aside; the lower bits are the next one.
const ASIDE: u32 = 0x2000_0000;
/// End of the list of frames set aside.
const ASIDE_END: u32 = ASIDE - 1;
/// Highest count.
const MAX_COUNT: u32 = 0x1FFF_FFFF;

/// The frames of the domain, over a word for each.
#[derive(Debug)]
pub struct FrameTable<'a> {
    words: &'a mut [u32],
    first_free: u32,
    free: u32,
    given: u32,
    first_aside: u32,
    aside: u32,
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
        assert!(words.len() < ASIDE_END as usize);
        words.fill(RESERVED);
        Self {
            words,
            first_free: END,
            free: 0,
            given: 0,
            first_aside: ASIDE_END,
            aside: 0,
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
    /// Where it is not in use, or used 2^29 times.
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

    /// There is no machine frame behind `pfn` any more, which has one use: it is not counted until it is brought back.
    ///
    /// # Panics
    /// Where it has not exactly one use.
    pub fn set_aside(&mut self, pfn: Pfn) {
        let word = &mut self.words[pfn.index()];
        assert_eq!(*word, 1, "frame {pfn:?} is set aside while it is {word:#x}");
        *word = ASIDE | self.first_aside;
        self.first_aside = pfn.raw();
        self.aside += 1;
        self.given -= 1;
    }

    /// How many frames are set aside.
    #[must_use]
    pub fn aside_count(&self) -> u32 {
        self.aside
    }

    /// The frame that was set aside last, with one use again; `None` where there is none.
    pub fn bring_back(&mut self) -> Option<Pfn> {
        if self.first_aside == ASIDE_END {
            return None;
        }
        let pfn = Pfn::new(self.first_aside);
        let word = &mut self.words[pfn.index()];
        self.first_aside = *word & !ASIDE;
        *word = 1;
        self.aside -= 1;
        self.given += 1;
        Some(pfn)
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
    fn frames_set_aside_are_not_given_out_until_they_are_back() {
        let mut words = [0; 6];
        let mut table = table(&mut words);
        let (a, b) = (table.alloc(0).unwrap(), table.alloc(0).unwrap());
        table.set_aside(a);
        table.set_aside(b);
        assert_eq!(
            (table.free_count(), table.total_count(), table.aside_count()),
            (2, 2, 2)
        );
        let others = [table.alloc(0).unwrap(), table.alloc(0).unwrap()];
        assert!(!others.contains(&a) && !others.contains(&b));
        assert_eq!(table.alloc(0), Err(OutOfFrames));
        assert_eq!(
            (table.bring_back(), table.bring_back(), table.bring_back()),
            (Some(b), Some(a), None)
        );
        assert!(table.put(a) && table.is_exclusive(b));
        assert_eq!(
            (table.free_count(), table.total_count(), table.aside_count()),
            (1, 4, 0)
        );
    }

    #[test]
    #[should_panic(expected = "set aside")]
    fn a_frame_in_use_twice_is_not_set_aside() {
        let mut words = [0; 4];
        let mut table = table(&mut words);
        let pfn = table.alloc(0).unwrap();
        table.share(pfn);
        table.set_aside(pfn);
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
