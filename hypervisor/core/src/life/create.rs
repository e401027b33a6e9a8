//! A new domain: its record, its shared page, its memory.

use crate::{
    domain::{DomId, Domain, Personality},
    error::HvError,
    hypervisor::{Hypervisor, home_slot},
    mm::{MAX_ORDER, MmError, Mmu, Stop},
    platform::Platform,
    shared_info,
};
use guest_abi::{addr::Mfn, domain::DomId as WireId};

/// How far the making of a domain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Building {
    /// It is given frames up to its limit.
    Populating {
        /// How many it had before.
        before: u32,
    },
    /// Its frames are numbered in the machine-to-phys table, in the order of their machine numbers.
    Numbering {
        /// Next frame to look at.
        at: u32,
        /// Number of the next one that is its own.
        pfn: u32,
    },
    /// Its builder may fill its memory.
    Ready,
    /// It has its first context.
    Built,
}

/// Frames looked at for the price of one entry check.
const FRAMES_PER_CHECK: u32 = 8;
/// Entry checks that a number in the machine-to-phys table counts for, by eighths.
const LOOK: u32 = 32;

/// Makes a domain without memory, which may own `max_pages` frames: number `id`, or one that is free. Says in which slot.
///
/// # Errors
/// [`HvError::Invalid`] for a number that is taken; [`HvError::NoMemory`] where there is no slot, or not enough memory
/// for it and all its pages.
pub fn create<P: Platform>(
    hv: &mut Hypervisor,
    platform: &P,
    id: Option<DomId>,
    personality: Personality,
    max_pages: u32,
) -> Result<usize, HvError> {
    let (id, is_chosen) = match id {
        Some(id) if hv.slot_of_any(id).is_some() => return Err(HvError::Invalid),
        Some(id) => (id, true),
        None => (free_id(hv).ok_or(HvError::NoMemory)?, false),
    };
    let slot = hv.free_slot(id).ok_or(HvError::NoMemory)?;
    // Its record and its shared page come on top.
    if hv.mm.allocator.free_frames() < max_pages.saturating_add(2) {
        return Err(HvError::NoMemory);
    }
    let mut mmu = Mmu::new(hv, platform);
    let frame = mmu.take_record_frame()?;
    let shared_info = match mmu.take_shared_page(id) {
        Ok(shared_info) => shared_info,
        Err(why) => {
            mmu.free_record_frame(frame);
            return Err(why.into());
        }
    };
    platform.store_u8(shared_info, shared_info::V2.upcall_mask, 1);
    let mut domain = Domain::new(id, shared_info);
    domain.personality = personality;
    domain.max_pages = max_pages;
    domain.born = hv.mm.allocator.deaths();
    let record = platform.place_record(frame, domain);
    hv.insert(slot, record);
    if !is_chosen {
        hv.last_id = id;
    }
    Ok(slot)
}

/// A number that nobody has, the next after the last one given whose own slot is free.
fn free_id(hv: &Hypervisor) -> Option<DomId> {
    const IDS: u16 = WireId::FIRST_RESERVED;
    let first = hv.last_id.0;
    (1..IDS)
        .map(|step| DomId(((u32::from(first) + u32::from(step)) % u32::from(IDS)) as u16))
        .filter(|id| id.0 != 0)
        .take(crate::hypervisor::MAX_DOMAINS)
        .find(|&id| hv.domains[home_slot(id)].is_none() && hv.slot_of_any(id).is_none())
}

/// Gives the domain in `slot` the frames that it may own, and numbers them.
///
/// # Errors
/// [`MmError::NoFrames`], with some of the frames given. Or a pause: ask again.
pub fn populate<P: Platform>(hv: &mut Hypervisor, platform: &P, slot: usize) -> Result<(), Stop> {
    let mut mmu = Mmu::new(hv, platform);
    loop {
        let domain = mmu.hv.domain_at(slot).ok_or(MmError::NoSuchDomain)?;
        match domain.building {
            Building::Populating { .. } => {
                let (id, wanted) = (domain.id, domain.max_pages.saturating_sub(domain.total_pages));
                mmu.give_frames(id, wanted)?;
                if let Some(domain) = mmu.hv.domain_at(slot) {
                    domain.building = Building::Numbering {
                        at: domain.span.start,
                        pfn: 0,
                    };
                }
            }
            Building::Numbering { at, pfn } => mmu.number_frames(slot, at, pfn)?,
            Building::Ready | Building::Built => return Ok(()),
        }
    }
}

/// Takes frames from the domain in `slot` that nobody uses, the last ones first, until it owns `pages`.
///
/// # Errors
/// A pause: ask again.
pub fn shrink_to<P: Platform>(
    hv: &mut Hypervisor,
    platform: &P,
    slot: usize,
    pages: u32,
) -> Result<(), Stop> {
    let mut mmu = Mmu::new(hv, platform);
    loop {
        let domain = mmu.hv.domain_at(slot).ok_or(MmError::NoSuchDomain)?;
        let (id, span) = (domain.id, domain.span.clone());
        if domain.total_pages <= pages || span.is_empty() {
            return Ok(());
        }
        mmu.reserve(2)?;
        let last = Mfn::new(span.end - 1);
        if mmu.is_idle(last, id) {
            mmu.free_allocation(last, id)?;
        } else if mmu.is_owned(last, id) {
            // What somebody uses stays.
            return Ok(());
        }
        if let Some(domain) = mmu.hv.domain_at(slot) {
            domain.span.end = last.raw();
        }
    }
}

impl<P: Platform> Mmu<'_, P> {
    /// Gives domain `id` `count` frames, in the largest blocks there are.
    fn give_frames(&mut self, id: DomId, mut count: u32) -> Result<(), Stop> {
        let mut order = MAX_ORDER;
        while count > 0 {
            order = order.min(count.ilog2());
            match self.allocate(id, order) {
                Ok(_) => count -= 1 << order,
                Err(Stop::Refused(MmError::NoFrames)) if order > 0 => order -= 1,
                Err(stop) => return Err(stop),
            }
        }
        Ok(())
    }

    fn number_frames(&mut self, slot: usize, mut at: u32, mut pfn: u32) -> Result<(), Stop> {
        let domain = self.hv.domain_at(slot).ok_or(MmError::NoSuchDomain)?;
        let (id, end) = (domain.id, domain.span.end);
        let mut result = Ok(());
        while at < end {
            let next = end.min(at.saturating_add(LOOK));
            result = self.reserve(LOOK / FRAMES_PER_CHECK).map_err(Stop::from);
            if result.is_err() {
                break;
            }
            for n in at..next {
                if self.is_allocated_to(n, id) {
                    self.platform.set_m2p(Mfn::new(n), pfn);
                    pfn += 1;
                }
            }
            at = next;
        }
        if let Some(domain) = self.hv.domain_at(slot) {
            domain.building = if result.is_ok() {
                Building::Ready
            } else {
                Building::Numbering { at, pfn }
            };
        }
        result
    }
}
