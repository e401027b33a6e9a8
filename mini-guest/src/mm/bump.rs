//! Frames for the kernel's own tables before there is a frame table: taken one after the other, around the modules.

use core::ops::Range;

use arrayvec::ArrayVec;
use guest_abi::addr::Pfn;

/// Most runs of frames that may be set aside or taken.
const MAX_RUNS: usize = 72;

/// The frames from the end of the builder's pieces on.
#[derive(Debug)]
pub struct Bump {
    next: u32,
    modules: ArrayVec<Range<u32>, MAX_RUNS>,
    taken: ArrayVec<Range<u32>, MAX_RUNS>,
}

impl Bump {
    /// Takes frames from `first` on, none of `modules` (those beyond the capacity of the list are ignored:
    /// the builder passes on fewer).
    #[must_use]
    pub fn new(first: u32, modules: impl Iterator<Item = Range<u32>>) -> Self {
        let modules = modules.filter(|run| !run.is_empty()).take(MAX_RUNS).collect();
        Self {
            next: first,
            modules,
            taken: ArrayVec::new(),
        }
    }

    /// Takes `count` consecutive frames below `end`, or `None` where there are none.
    pub fn take(&mut self, count: u32, end: u32) -> Option<Pfn> {
        let mut first = self.next;
        while let Some(module) = self
            .modules
            .iter()
            .find(|run| run.start < first + count && first < run.end)
        {
            first = module.end;
        }
        let after = first.checked_add(count).filter(|after| *after <= end)?;
        match self.taken.last_mut() {
            Some(last) if last.end == first => last.end = after,
            _ => self.taken.try_push(first..after).ok()?,
        }
        self.next = after;
        Some(Pfn::new(first))
    }

    /// Whether `pfn` was taken or is a module's.
    #[must_use]
    pub fn is_used(&self, pfn: u32) -> bool {
        self.modules
            .iter()
            .chain(&self.taken)
            .any(|run| run.contains(&pfn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_stepped_over() {
        let mut bump = Bump::new(10, [12..20, 22..23].into_iter());
        assert_eq!(bump.take(2, 100), Some(Pfn::new(10)));
        assert_eq!(bump.take(1, 100), Some(Pfn::new(20)));
        assert_eq!(bump.take(3, 100), Some(Pfn::new(23)));
        assert!(
            [10, 11, 12, 19, 20, 22, 25]
                .into_iter()
                .all(|pfn| bump.is_used(pfn))
        );
        assert!([9, 21, 26].into_iter().all(|pfn| !bump.is_used(pfn)));
    }

    #[test]
    fn the_end_is_kept() {
        let mut bump = Bump::new(10, core::iter::empty());
        assert_eq!(bump.take(3, 12), None);
        assert_eq!(bump.take(2, 12), Some(Pfn::new(10)));
        assert_eq!(bump.take(1, 12), None);
    }
}
