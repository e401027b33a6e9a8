//! Typed uses: taking the first one, giving back the last one, and the way of a frame into and out of being a table.
//!
//! ```text
//!                 first use: check all entries          last use given back: release all entries
//!   any kind, 0 uses ──────────────► busy (1 use, not valid) ◄────────────── valid, 1 use
//!                         │ all taken      │ refused: release those taken          │
//!                         ▼                ▼                                       ▼
//!                    valid, 1 use     as it was before                        0 uses
//! ```
//!
//! Either walk may pause. The frame is then *partial*: no use, entries below the index hold their references, and
//! the frame holds one on itself. A claim as the same kind goes on upwards; tearing down goes on downwards; any other
//! claim is refused. What the hypervisor adds to a table (window slots, flags of L3 entries) it adds when the
//! walk up is complete and takes away before the walk down begins.
//!
//! The kind is written before the first entry is looked at, so a table that names itself meets its own kind.

use super::{
    error::{MmError, Preempted, Stop},
    frame::{FrameInfo, Kind, TypeWord},
    mmu::{Mmu, Owner, STRETCH},
    pte::{P, frame_number},
};
use crate::platform::Platform;
use guest_abi::addr::Mfn;

/// Why a walk stopped, and how many entries hold references.
pub(super) type Stopped = (usize, Stop);

impl<P: Platform> Mmu<'_, P> {
    /// Takes a typed use of a frame to which the caller holds a reference. For an L2 of an L3, `root` is that L3.
    ///
    /// # Errors
    /// In use as something else; not fit to be that; at its limit; or a pause.
    #[inline(always)]
    pub(super) fn get_type(
        &mut self,
        (mfn, info): (Mfn, &'static FrameInfo),
        kind: Kind,
        owner: Owner,
        root: Option<Mfn>,
    ) -> Result<(), Stop> {
        // A top L2 is used once: being valid already is a reason to refuse it.
        if !matches!(kind, Kind::L2Top) && info.get_valid(kind) {
            return Ok(());
        }
        self.claim_type((mfn, info), kind, owner, root)
    }

    /// Takes the first use.
    #[cold]
    #[inline(never)]
    pub(super) fn claim_type(
        &mut self,
        (mfn, info): (Mfn, &'static FrameInfo),
        kind: Kind,
        owner: Owner,
        root: Option<Mfn>,
    ) -> Result<(), Stop> {
        let word = info.type_word();
        if word.kind() != kind {
            if word.is_held() {
                return Err(MmError::TypeConflict {
                    mfn,
                    have: word.kind(),
                    want: kind,
                }
                .into());
            }
            let stale = self.hv.mm.clock.stale_cpus(word.stamp());
            self.flush_cpus(stale);
        } else if word.count() == TypeWord::MAX_COUNT {
            return Err(MmError::CountLimit(mfn).into());
        } else if word.count() != 0 {
            return Err(MmError::TypeConflict {
                mfn,
                have: kind,
                want: kind,
            }
            .into());
        }
        match kind {
            Kind::Writable => {
                info.set_type_word(TypeWord::valid(kind, 1));
                Ok(())
            }
            Kind::SegDesc => {
                self.reserve(STRETCH)?;
                self.check_descriptor_page(mfn)?;
                info.set_type_word(TypeWord::valid(kind, 1));
                Ok(())
            }
            Kind::L1 | Kind::L2 | Kind::L2Top | Kind::L3 => {
                self.promote((mfn, info), word, kind, owner, root)
            }
            Kind::None | Kind::L4 => Err(MmError::TypeConflict {
                mfn,
                have: word.kind(),
                want: kind,
            }
            .into()),
        }
    }

    /// Checks every entry of a frame that was `word`, from where an earlier attempt paused.
    fn promote(
        &mut self,
        (mfn, info): (Mfn, &'static FrameInfo),
        word: TypeWord,
        kind: Kind,
        owner: Owner,
        root: Option<Mfn>,
    ) -> Result<(), Stop> {
        let was_partial = word.has(TypeWord::PARTIAL);
        let start = if was_partial { word.index() } else { 0 };
        // The reference that a partial frame holds on itself; given back below unless it becomes one.
        if !was_partial && !info.get_page(info.owner_word().owner()) {
            return Err(MmError::CountLimit(mfn).into());
        }
        let stamp = word.stamp();
        info.set_type_word(TypeWord::not_valid(kind, 1, 0).with_stamp(stamp));
        let result = match kind {
            Kind::L1 => self.validate_l1(mfn, start, owner),
            Kind::L3 => self.validate_l3(mfn, start, owner),
            _ => self.validate_l2(mfn, kind, start, owner, root),
        };
        match result {
            Ok(()) => {
                info.set_type_word(TypeWord::valid(kind, 1).with_stamp(stamp));
                self.put_page(mfn, info);
                Ok(())
            }
            Err((done, Stop::Preempted)) => {
                set_partial(info, kind, 0, done);
                Err(Stop::Preempted)
            }
            Err((done, Stop::Refused(why))) => {
                let was_undoing = core::mem::replace(&mut self.is_undoing, true);
                let undone = self.drop_entries(mfn, kind, done);
                self.is_undoing = was_undoing;
                match undone {
                    Ok(()) => {
                        let is_as_before = word.kind() != kind;
                        info.set_type_word(if is_as_before {
                            word
                        } else {
                            TypeWord::unused(Kind::None, self.now())
                        });
                        self.put_page(mfn, info);
                    }
                    Err(at) => {
                        set_partial(info, kind, TypeWord::REFUSED, at);
                        self.leave_unfinished(mfn);
                    }
                }
                Err(Stop::Refused(why))
            }
        }
    }

    /// Gives a typed use back, and the reference that went with it.
    ///
    /// # Errors
    /// A pause in releasing the table's entries. The use is given back all the same; the frame is partial.
    #[inline(always)]
    pub(super) fn put_typed(&mut self, mfn: Mfn, info: &'static FrameInfo) -> Result<(), Preempted> {
        if info.put_type_unless_last() {
            self.put_page(mfn, info);
            return Ok(());
        }
        self.put_last_typed(mfn, info)
    }

    /// Gives a use back of a kind that stays valid without uses.
    pub(super) fn put_plain_type(&self, info: &FrameInfo) {
        match info.type_word().kind() {
            Kind::SegDesc => info.put_descriptors(self.hv.mm.clock),
            _ => info.put_writable(self.hv.mm.clock),
        }
    }

    #[cold]
    #[inline(never)]
    fn put_last_typed(&mut self, mfn: Mfn, info: &'static FrameInfo) -> Result<(), Preempted> {
        let word = info.type_word();
        let kind = word.kind();
        if !kind.is_table() {
            self.put_plain_type(info);
            self.put_page(mfn, info);
            return Ok(());
        }
        assert!(
            word.count() == 1 && word.is_validated(),
            "use of table {mfn:?} given back twice"
        );
        assert!(!word.has(TypeWord::PINNED), "pinned table {mfn:?} without a use");
        match kind {
            Kind::L2Top => self.clear_window(mfn),
            Kind::L3 => self.strip_l3(mfn),
            _ => {}
        }
        self.tear_down((mfn, info), kind, 0, kind.guest_entries())
    }

    /// Releases the entries below `from` of a table without uses; the caller's reference goes with the last. `fate` is
    /// [`TypeWord::REFUSED`] or nothing.
    fn tear_down(
        &mut self,
        (mfn, info): (Mfn, &'static FrameInfo),
        kind: Kind,
        fate: u64,
        from: usize,
    ) -> Result<(), Preempted> {
        info.set_type_word(TypeWord::not_valid(kind, 1, 0));
        match self.drop_entries(mfn, kind, from) {
            Ok(()) => {
                // An L1 or L2 stays known as one until it is used as something else; the other two have
                // meaning only inside an address space.
                let stays = fate == 0 && matches!(kind, Kind::L1 | Kind::L2);
                let stays = if stays { kind } else { Kind::None };
                info.set_type_word(TypeWord::unused(stays, self.now()));
                self.put_page(mfn, info);
                Ok(())
            }
            Err(at) => {
                set_partial(info, kind, fate, at);
                Err(Preempted)
            }
        }
    }

    /// Goes on tearing a partial frame down; does nothing to any other frame.
    pub(super) fn resume_tear_down(&mut self, mfn: Mfn) -> Result<(), Preempted> {
        let Some(info) = self.frames.get(mfn) else {
            return Ok(());
        };
        if info.owner_word().is_free() || !info.type_word().has(TypeWord::PARTIAL) {
            return Ok(());
        }
        let word = info.type_word();
        let fate = word.0 & TypeWord::REFUSED;
        let was_undoing = core::mem::replace(&mut self.is_undoing, fate != 0);
        let result = self.tear_down((mfn, info), word.kind(), fate, word.index());
        self.is_undoing = was_undoing;
        result
    }

    /// Releases the entries below `from`, last first. On a pause, gives how many still hold references.
    fn drop_entries(&mut self, mfn: Mfn, kind: Kind, from: usize) -> Result<(), usize> {
        if matches!(kind, Kind::L1) {
            return self.drop_l1_entries(mfn, from);
        }
        self.finish_child(mfn, kind, from).map_err(|Preempted| from)?;
        for index in (0..from).rev() {
            self.reserve(1).map_err(|Preempted| index + 1)?;
            let entry = self.platform.read_entry(mfn, index);
            if entry & P != 0 {
                self.put_directory_entry(mfn, entry).map_err(|Preempted| index)?;
            }
        }
        Ok(())
    }

    /// A walk of `table` that paused at entry `at` may have left the table that this entry names partial too, with
    /// nobody else to finish it.
    fn finish_child(&mut self, table: Mfn, kind: Kind, at: usize) -> Result<(), Preempted> {
        if at >= kind.guest_entries() {
            return Ok(());
        }
        let entry = self.platform.read_entry(table, at);
        let Some((child, info)) = self.frames.lookup(frame_number(entry)) else {
            return Ok(());
        };
        let owner = self.frames.at(table).owner_word().owner();
        let is_below = (info.type_word().kind() as u8) < kind as u8;
        if entry & P == 0 || !info.owner_word().is_owned_by(owner) || !is_below {
            return Ok(());
        }
        self.resume_tear_down(child)
    }

    /// Remembers a partial frame that no call will name again: the calling domain finishes it first thing in
    /// its next operation.
    #[cold]
    pub(super) fn leave_unfinished(&mut self, mfn: Mfn) {
        // Should one operation ever leave more, that table waits for its owner to unpin it, or to die.
        let is_remembered = self.caller_domain().unfinished.try_push(mfn).is_ok();
        debug_assert!(is_remembered, "{mfn:?}: more than an operation can leave");
        self.is_unfinished = true;
    }

    /// Makes a table with one use, which goes, as partial as one of which every entry was checked but nothing more was done: its
    /// next claim costs nothing. The use's reference becomes the frame's own.
    pub(super) fn keep_checked(&self, info: &FrameInfo, kind: Kind) {
        set_partial(info, kind, 0, kind.guest_entries());
    }

    /// Whether an earlier operation of the calling domain left something to finish.
    #[inline(always)]
    pub fn has_unfinished(&mut self) -> bool {
        !self.caller_domain().unfinished.is_empty()
    }

    /// Whether this operation left something to finish.
    #[inline(always)]
    pub const fn is_unfinished(&self) -> bool {
        self.is_unfinished
    }

    /// Finishes what an earlier operation of the calling domain left.
    ///
    /// # Errors
    /// A pause: ask again.
    #[inline(always)]
    pub fn finish(&mut self) -> Result<(), Preempted> {
        if self.caller_domain().unfinished.is_empty() {
            Ok(())
        } else {
            self.finish_frames()
        }
    }

    /// The last one left may lead to those before it, so it goes first.
    #[cold]
    #[inline(never)]
    fn finish_frames(&mut self) -> Result<(), Preempted> {
        self.is_unfinished = true;
        while let Some(&mfn) = self.caller_domain().unfinished.last() {
            self.resume_tear_down(mfn)?;
            self.caller_domain().unfinished.pop();
        }
        self.is_unfinished = false;
        Ok(())
    }
}

fn set_partial(info: &FrameInfo, kind: Kind, fate: u64, held: usize) {
    let stamp = info.type_word().stamp();
    info.set_type_word(
        TypeWord::not_valid(kind, 0, TypeWord::PARTIAL | fate)
            .with_index(held)
            .with_stamp(stamp),
    );
}
