//! The frames that a backend has mapped: found by their references, mapped where they are not, and kept as long as there is room and the
//! frontend says that it uses them again.

use alloc::vec::Vec;

use guest_abi::io::blkif::{BlkStatus, SECTOR_BYTES, Segment as Piece};
use zerocopy::IntoBytes;

use super::Backend;
use crate::blkif::kept::Slot;
use crate::blkif::ring::Asked;
use crate::block::Segment;

/// A granted frame, mapped.
pub trait Mapping {
    /// A piece of it. It may be used until the mapping is given to [`Guest::unmap`].
    fn segment(&self, offset: u32, len: u32) -> Segment;

    /// Copies its first bytes, which the frontend may change meanwhile.
    fn read(&self, into: &mut [u8]);
}

/// What the backend needs of the domains.
pub trait Guest {
    /// A granted frame that is mapped.
    type Mapping: Mapping;

    /// Maps the frames of these references, writable or not; all of them or none.
    ///
    /// # Errors
    /// The frontend does not grant that, or there is no room.
    #[expect(
        clippy::result_unit_err,
        reason = "the answer to the frontend is the same whatever it was"
    )]
    fn map(&mut self, references: &[u32], is_writable: bool) -> Result<Vec<Self::Mapping>, ()>;

    /// Unmaps them.
    fn unmap(&mut self, mappings: Vec<Self::Mapping>);

    /// Tells the frontend that there are answers.
    fn notify(&mut self);
}

/// A mapped frame.
pub(super) struct Frame<M> {
    pub(super) mapping: M,
    is_writable: bool,
}

impl<M: Mapping> Frame<M> {
    /// A piece of it, which was judged to be one.
    fn segment(&self, piece: &Piece) -> Segment {
        let sectors = u32::from(piece.last_sect) + 1 - u32::from(piece.first_sect);
        self.mapping
            .segment(u32::from(piece.first_sect) * SECTOR_BYTES, sectors * SECTOR_BYTES)
    }
}

impl<G: Guest> Backend<G> {
    /// Copies the segments of a request out of the page that they lie in, once.
    pub(super) fn fetch(&mut self, asked: &Asked, pieces: &mut Vec<Piece>) -> Result<(), BlkStatus> {
        pieces.resize(asked.count.into(), Piece::default());
        if let Some((_, frame)) = self.frames.take_up(asked.page, self.taken, |_| true) {
            frame.mapping.read(pieces.as_mut_bytes());
            return Ok(());
        }
        let page = Piece {
            gref: asked.page,
            ..Piece::default()
        };
        let (_, own) = self.hold(&[page], false)?;
        let slot = own.first().copied().or_else(|| self.frames.find(asked.page));
        if let Some(frame) = slot.and_then(|slot| self.frames.get(slot)) {
            frame.mapping.read(pieces.as_mut_bytes());
        }
        self.release(&own);
        Ok(())
    }

    /// Finds the memory of a request that is being taken, or maps it, all or none; and says which frames are mapped for this request alone.
    pub(super) fn hold(
        &mut self,
        pieces: &[Piece],
        is_writable: bool,
    ) -> Result<(Vec<Segment>, Vec<Slot>), BlkStatus> {
        let mut segments = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let is_right = |frame: &Frame<_>| frame.is_writable || !is_writable;
            let Some((_, frame)) = self.frames.take_up(piece.gref, self.taken, is_right) else {
                return self.hold_anew(pieces, segments, is_writable);
            };
            segments.push(frame.segment(piece));
        }
        self.counters.found += pieces.len() as u64;
        Ok((segments, Vec::new()))
    }

    /// The same where those from some piece on are not all mapped, or not so.
    #[cold]
    fn hold_anew(
        &mut self,
        pieces: &[Piece],
        mut segments: Vec<Segment>,
        is_writable: bool,
    ) -> Result<(Vec<Segment>, Vec<Slot>), BlkStatus> {
        let rest = &pieces[segments.len()..];
        let mut missing = Vec::new();
        let mut slots = Vec::with_capacity(rest.len());
        let is_right = |frame: &Frame<_>| frame.is_writable || !is_writable;
        for piece in rest {
            let mut slot = self.frames.find(piece.gref);
            if let Some(found) = slot
                && !self.frames.get(found).is_some_and(is_right)
            {
                // Mapped to be read alone: it is mapped anew to be written, which the hypervisor allows or not.
                self.frames.hide(found);
                slot = None;
            }
            if slot.is_none() {
                missing.push(piece.gref);
            }
            slots.push(slot);
        }
        let oldest = self.oldest().min(self.taken);
        let hidden = self.frames.hidden().filter(|(_, last, _)| *last < oldest);
        let hidden: Vec<Slot> = hidden.map(|(slot, ..)| slot).collect();
        self.release(&hidden);
        let Ok(mappings) = self.guest.map(&missing, is_writable) else {
            self.counters.bad_grants += 1;
            return Err(BlkStatus::ERROR);
        };
        self.counters.mapped += mappings.len() as u64;
        self.counters.found += (pieces.len() - mappings.len()) as u64;
        let mut mappings = mappings.into_iter();
        let mut own = Vec::new();
        for (piece, slot) in rest.iter().zip(slots) {
            let slot = match slot {
                Some(slot) => slot,
                None => {
                    let Some(mapping) = mappings.next() else { break };
                    let frame = Frame { mapping, is_writable };
                    // A request may name one twice.
                    let stays = self.keeps && self.frames.find(piece.gref).is_none();
                    let slot = self.frames.add(piece.gref, frame, self.taken, stays);
                    if !stays {
                        own.push(slot);
                    }
                    slot
                }
            };
            if let Some(frame) = self.frames.touch(slot, self.taken) {
                segments.push(frame.segment(piece));
            }
        }
        Ok((segments, own))
    }

    /// Unmaps frames that no request uses, so that there is room for `count` more; whether there is.
    pub(super) fn make_room(&mut self, count: usize) -> bool {
        let over = (self.frames.len() + count).saturating_sub(self.limit);
        over == 0 || self.unmap_oldest(over) >= over
    }

    /// Unmaps so many of those frames, and some more: looking for them takes a while.
    #[cold]
    fn unmap_oldest(&mut self, count: usize) -> usize {
        let slots = self.frames.oldest(self.oldest(), count.max(self.limit / 8));
        self.release(&slots);
        slots.len()
    }

    /// The oldest request that is not answered: what was used before is not in use.
    fn oldest(&self) -> u64 {
        let under_way = self.under_way.values().flatten().map(|taken| taken.number);
        let waiting = self.gathered.oldest();
        under_way.chain(waiting).min().unwrap_or(u64::MAX)
    }

    /// Unmaps frames that no request uses any more, by one call.
    pub(super) fn release<'s>(&mut self, slots: impl IntoIterator<Item = &'s Slot>) {
        let mut gone = Vec::new();
        for slot in slots {
            gone.extend(self.frames.remove(*slot).map(|frame| frame.mapping));
        }
        self.unmap(gone);
    }

    pub(super) fn unmap(&mut self, gone: Vec<G::Mapping>) {
        if !gone.is_empty() {
            self.guest.unmap(gone);
        }
    }
}
