//! A domain's memory: lists, limits, page types.

use super::{Answer, Command, must_be_0, pages_of};
use crate::{
    domain::DomId,
    error::HvError,
    guest_mem::GuestSlice,
    hypervisor::Hypervisor,
    life::{self, Building},
    mm::{FrameInfo, Kind, Mmu, Stop, frame::TypeWord},
    platform::Platform,
};
use guest_abi::{
    addr::Mfn,
    domctl::{
        GetMemList, GetPageFrameInfo, GetPageFrameInfo2, MAX_FRAME_INFOS, SetDomainInitialMem,
        SetDomainMaxMem, frame_info,
    },
};

/// In ECX: a list is being written. EDX is the frame to look at next, ESI how many are written, EDI how many to pass over
/// still.
const LISTING: u32 = 0xC0E1_0000;
/// In ECX: a domain's growth is being undone.
const SHRINKING: u32 = 0xC0E2_0000;
/// In ECX: types are being told. EDX is the place in the list that is next.
const TYPING: u32 = 0xC0E3_0000;
/// Frames looked at for the price of one entry check.
const FRAMES_PER_CHECK: u32 = 8;
/// Entry checks that telling one frame's type counts for.
const INFO_COST: u32 = 2;

impl<P: Platform> Command<'_, '_, P> {
    /// GETMEMLIST.
    pub(super) fn memory_list(&mut self) -> Result<Answer, HvError> {
        let mut args: GetMemList = self.op.args();
        must_be_0(&[args.pad.into()])?;
        let slot = self.slot(args.domain)?;
        let list = GuestSlice::<u32>::new(args.buffer.raw(), args.max_pfns)?;
        let domain = self.domain(slot)?;
        let (id, span) = (domain.id, domain.span.clone());
        let (mut n, mut written, mut skip) = match self.state {
            [LISTING, n, written, skip] => (n.max(span.start), written, skip),
            _ => (span.start, 0, args.first),
        };
        let mut mmu = Mmu::new(self.cx.hv, self.cx.platform);
        while n < span.end && written < list.len() {
            let until = span.end.min(n.saturating_add(FRAMES_PER_CHECK));
            if mmu.reserve(FRAMES_PER_CHECK / 2).is_err() {
                return Ok(Answer::Pause([LISTING, n, written, skip]));
            }
            while n < until {
                if mmu.is_allocated_to(n, id) {
                    if skip > 0 {
                        skip -= 1;
                    } else if let Some(place) = list.get(written) {
                        place.write(mmu.platform, &n)?;
                        written += 1;
                    } else {
                        break;
                    }
                }
                n += 1;
            }
        }
        args.num_pfns = written;
        self.op.set_args(&args);
        Ok(Answer::Results)
    }

    /// SETDOMAININITIALMEM.
    pub(super) fn set_initial_memory(&mut self) -> Result<Answer, HvError> {
        let args: SetDomainInitialMem = self.op.args();
        must_be_0(&[args.pad0.into(), args.pad1])?;
        let slot = self.slot(args.domain)?;
        let wanted = pages_of(args.initial_memkb).ok_or(HvError::NoMemory)?;
        let free = self.cx.hv.mm.allocator.free_frames();
        let mark = self.state[0];
        let domain = self.domain(slot)?;
        let total = domain.total_pages;
        match (mark, domain.building) {
            (SHRINKING, Building::Populating { before }) => return self.undo_growth(slot, before),
            (_, Building::Ready) => {
                if free < wanted.saturating_sub(total) {
                    return Err(HvError::NoMemory);
                }
                domain.max_pages = wanted.max(total);
                domain.building = Building::Populating { before: total };
            }
            (_, Building::Populating { .. } | Building::Numbering { .. }) => {}
            (_, Building::Built) => return Err(HvError::Invalid),
        }
        match life::populate(self.cx.hv, self.cx.platform, slot) {
            Ok(()) => {
                self.domain(slot)?.max_pages = wanted;
                Ok(Answer::Done)
            }
            Err(Stop::Preempted) => Ok(Answer::Pause([0; 4])),
            Err(Stop::Refused(_)) => match self.domain(slot)?.building {
                Building::Populating { before } => self.undo_growth(slot, before),
                _ => Err(HvError::NoMemory),
            },
        }
    }

    fn undo_growth(&mut self, slot: usize, before: u32) -> Result<Answer, HvError> {
        match life::shrink_to(self.cx.hv, self.cx.platform, slot, before) {
            Err(Stop::Preempted) => return Ok(Answer::Pause([SHRINKING, 0, 0, 0])),
            Ok(()) | Err(Stop::Refused(_)) => {}
        }
        let domain = self.domain(slot)?;
        domain.max_pages = before;
        domain.building = Building::Ready;
        Err(HvError::NoMemory)
    }

    /// SETDOMAINMAXMEM.
    pub(super) fn set_max_memory(&mut self) -> Result<Answer, HvError> {
        let args: SetDomainMaxMem = self.op.args();
        must_be_0(&[args.pad0.into(), args.pad1])?;
        let slot = self.slot(args.domain)?;
        self.domain(slot)?.max_pages = pages_of(args.max_memkb).unwrap_or(u32::MAX);
        Ok(Answer::Done)
    }

    /// GETPAGEFRAMEINFO.
    pub(super) fn frame_info(&mut self) -> Result<Answer, HvError> {
        let mut args: GetPageFrameInfo = self.op.args();
        must_be_0(&[args.pad.into()])?;
        let slot = self.slot(args.domain).map_err(|_| HvError::Invalid)?;
        let id = self.domain(slot)?.id;
        let info = info_of(self.cx.hv, args.frame.raw(), id).ok_or(HvError::Invalid)?;
        let word = info.type_word();
        args.info = if word.count() == 0 { 0 } else { type_code(word) };
        self.op.set_args(&args);
        Ok(Answer::Results)
    }

    /// GETPAGEFRAMEINFO2.
    pub(super) fn frame_infos(&mut self) -> Result<Answer, HvError> {
        let args: GetPageFrameInfo2 = self.op.args();
        must_be_0(&[args.pad.into()])?;
        let slot = self.slot(args.domain)?;
        if args.num > MAX_FRAME_INFOS {
            return Err(HvError::TooBig);
        }
        let id = self.domain(slot)?.id;
        let words = GuestSlice::<u32>::new(args.array.raw(), args.num)?;
        let first = match self.state {
            [TYPING, first, ..] => first,
            _ => 0,
        };
        let mut mmu = Mmu::new(self.cx.hv, self.cx.platform);
        for n in first..args.num {
            if mmu.reserve(INFO_COST).is_err() {
                return Ok(Answer::Pause([TYPING, n, 0, 0]));
            }
            let Some(index) = words.get(n) else { break };
            let frame = index.read(mmu.platform)? & frame_info::FRAME_MASK;
            let found = match info_of(mmu.hv, frame, id) {
                None => frame_info::INVALID,
                Some(info) => {
                    let word = info.type_word();
                    let pinned = if word.has(TypeWord::PINNED) {
                        frame_info::PINNED
                    } else {
                        0
                    };
                    type_code(word) | pinned
                }
            };
            index.write(mmu.platform, &(frame | found))?;
        }
        Ok(Answer::Done)
    }
}

/// Frame number `frame`, if it is one of domain `id`'s.
fn info_of(hv: &Hypervisor, frame: u32, id: DomId) -> Option<&'static FrameInfo> {
    let info = hv.mm.frames.get(Mfn::new(frame))?;
    info.owner_word().is_owned_by(id).then_some(info)
}

/// The code of the table that a frame is.
fn type_code(word: TypeWord) -> u32 {
    match word.kind() {
        Kind::L1 => frame_info::L1,
        Kind::L2 | Kind::L2Top => frame_info::L2,
        Kind::L3 => frame_info::L3,
        Kind::L4 => frame_info::L4,
        Kind::Writable | Kind::SegDesc | Kind::None => 0,
    }
}
