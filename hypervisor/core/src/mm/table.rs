//! The frame table: what is known about each machine frame below the last frame of RAM.

use super::frame::{FrameInfo, FreeWord, Kind, OwnerWord, TypeWord};
use crate::domain::DomId;
use core::{fmt, ops::Range};
use guest_abi::addr::Mfn;

/// One [`FrameInfo`] per frame, from frame 0 on, without gaps. What is behind its end is no RAM of ours.
#[derive(Clone, Copy)]
pub struct FrameTable {
    frames: &'static [FrameInfo],
}

impl fmt::Debug for FrameTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameTable")
            .field("frames", &self.frames.len())
            .finish()
    }
}

impl FrameTable {
    /// No frames.
    pub const EMPTY: Self = Self { frames: &[] };

    /// The table over `frames`, each of them [`FrameInfo::new`].
    ///
    /// # Panics
    /// Where there are more frames than a frame number can name.
    #[must_use]
    pub fn new(frames: &'static [FrameInfo]) -> Self {
        assert!(u32::try_from(frames.len()).is_ok_and(|n| n < u32::MAX));
        Self { frames }
    }

    /// Number of frames.
    #[inline(always)]
    #[must_use]
    pub const fn len(self) -> u64 {
        self.frames.len() as u64
    }

    /// Whether there is no frame at all.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.frames.is_empty()
    }

    /// Frame number `n`, as found in an entry, if it is RAM of ours.
    #[inline(always)]
    #[must_use]
    pub fn lookup(self, n: u64) -> Option<(Mfn, &'static FrameInfo)> {
        if n < self.len() {
            Some((Mfn::new(n as u32), &self.frames[n as usize]))
        } else {
            None
        }
    }

    /// The same for a frame number of 32 bits.
    #[inline(always)]
    #[must_use]
    pub fn near(self, n: u32) -> Option<&'static FrameInfo> {
        if (n as usize) < self.frames.len() {
            Some(&self.frames[n as usize])
        } else {
            None
        }
    }

    /// What is known about `mfn`, if it is RAM of ours.
    #[inline(always)]
    #[must_use]
    pub fn get(self, mfn: Mfn) -> Option<&'static FrameInfo> {
        self.frames.get(mfn.index())
    }

    /// What is known about `mfn`, a frame that was found in this table before.
    ///
    /// # Panics
    /// Where it was not.
    #[inline(always)]
    #[must_use]
    pub fn at(self, mfn: Mfn) -> &'static FrameInfo {
        &self.frames[mfn.index()]
    }

    /// Makes frames the hypervisor's own, for nobody else ever. For boot: not for frames already given out.
    pub fn reserve(self, range: Range<Mfn>) {
        self.assign(range, DomId::NONE, TypeWord::valid(Kind::Writable, 0));
    }

    /// Makes frames those of devices: domains with the right may map them. For boot.
    pub fn reserve_for_io(self, range: Range<Mfn>) {
        self.assign(range, DomId::IO, TypeWord::valid(Kind::Writable, 0));
    }

    /// Lets privileged domains map frames of the hypervisor read-only (foreign domain `XEN`). For boot. They
    /// are held as descriptor pages, so that no writable use can ever be had.
    pub fn show_read_only(self, range: Range<Mfn>) {
        self.assign(range, DomId::XEN, TypeWord::valid(Kind::SegDesc, 1));
    }

    /// Makes one frame of the hypervisor a writable one of `owner`, which it can map and not release: its
    /// shared_info.
    pub fn share(self, mfn: Mfn, owner: DomId) {
        let word = TypeWord::valid(Kind::Writable, 1);
        self.assign(mfn..Mfn::new(mfn.raw().wrapping_add(1)), owner, word);
    }

    fn assign(self, range: Range<Mfn>, owner: DomId, word: TypeWord) {
        for info in &self.frames[range.start.index()..range.end.index().min(self.frames.len())] {
            let free = info.free_word();
            assert!(
                !OwnerWord(free.0).is_free() || free.head_order().is_none(),
                "frame is free for allocation"
            );
            info.set_type_word(word);
            info.set_owner_word(OwnerWord::of(owner, OwnerWord::KEPT));
        }
    }

    pub(super) fn free_word(self, n: u32) -> FreeWord {
        self.frames[n as usize].free_word()
    }

    /// Frames in a row, all of them in the table.
    pub(super) fn block(self, range: Range<u32>) -> &'static [FrameInfo] {
        &self.frames[range.start as usize..range.end as usize]
    }

    pub(super) fn index(self, n: u32) -> &'static FrameInfo {
        &self.frames[n as usize]
    }
}
