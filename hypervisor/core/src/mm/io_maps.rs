//! Who maps frames of devices. Those beyond all RAM have no counts, so the page tables are searched.

use super::{error::Preempted, frame::Kind, mmu::Mmu, pte::P, pte::frame_number};
use crate::{
    domain::DomId,
    platform::{FrameWords, Platform},
};
use guest_abi::addr::Mfn;

/// Entries looked at between two looks at the budget.
const CHUNK: usize = 64;
/// Frames whose kind is looked at for the price of one entry check.
const FRAMES_PER_CHECK: u32 = 8;

/// How far a search is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoSearch {
    frame: u32,
    index: u16,
}

impl IoSearch {
    /// At its beginning.
    pub const START: Self = Self { frame: 0, index: 0 };
}

impl<P_: Platform> Mmu<'_, P_> {
    /// Whether an L1 entry names a frame in `ranges`, in a table of a living domain that `looks_at` says yes to. Tables that wait to be
    /// valid count as well.
    ///
    /// What was looked at must not gain such entries meanwhile; [`Mmu::may_reach_io`] sees to it.
    ///
    /// # Errors
    /// A pause, after which the search goes on from `from`.
    pub(crate) fn find_io_mapping(
        &mut self,
        ranges: &[(u32, u32)],
        looks_at: impl Fn(DomId) -> bool,
        from: &mut IoSearch,
    ) -> Result<bool, Preempted> {
        let is_one = |entry: u64| {
            let n = frame_number(entry);
            entry & P != 0
                && ranges
                    .iter()
                    .any(|&(start, end)| (u64::from(start)..u64::from(end)).contains(&n))
        };
        while let Some((mfn, info)) = self.frames.lookup(from.frame.into()) {
            if from.frame.is_multiple_of(FRAMES_PER_CHECK) && from.index == 0 {
                self.reserve(1)?;
            }
            let word = info.type_word();
            let owner = info.owner_word();
            let is_table = !owner.is_free() && word.kind() == Kind::L1 && word.is_held();
            // A dying domain never runs again.
            if is_table && looks_at(owner.owner()) && self.hv.slot_of(owner.owner()).is_some() {
                self.find_in_table(mfn, is_one, &mut from.index)?;
                if usize::from(from.index) < 512 {
                    return Ok(true);
                }
            }
            *from = IoSearch {
                frame: from.frame + 1,
                index: 0,
            };
        }
        Ok(false)
    }

    /// Moves `index` to the next entry that is one, or to 512.
    fn find_in_table(
        &mut self,
        table: Mfn,
        is_one: impl Fn(u64) -> bool,
        index: &mut u16,
    ) -> Result<(), Preempted> {
        let words = self.platform.words(table);
        while usize::from(*index) < 512 {
            let end = (usize::from(*index) / CHUNK + 1) * CHUNK;
            self.reserve(CHUNK as u32)?;
            let found = (usize::from(*index)..end).find(|&at| is_one(words.read(at)));
            *index = found.unwrap_or(end) as u16;
            if found.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether entries of `table` may name frame `n` of a device: those of a privileged domain any that is not given to another,
    /// those of others what they were given.
    #[cold]
    #[inline(never)]
    pub(super) fn may_reach_io(&self, table: Mfn, n: u64) -> bool {
        let owner = self.frames.at(table).owner_word().owner();
        let Some(slot) = self.hv.slot_of_any(owner) else {
            return false;
        };
        let domain = self.hv.domain_in(slot);
        domain.is_some_and(|domain| domain.is_privileged || domain.io.may_map(n))
            && !self.hv.given.is_kept_from(slot, n)
    }
}
