//! Giving frames to the hypervisor and taking others: the moving part of the [`balloon`](super::balloon).

use core::cell::Cell;

use arrayvec::ArrayVec;
use guest_abi::addr::{Mfn, Pfn};
use guest_abi::domain::DomId;
use guest_abi::mmu::{MmuUpdate, Pte};

use super::balloon::{Balloon, Step};
use super::batch::Batch;
use super::kernel_map::READ_WRITE;
use super::layout::direct;
use super::state::{alloc_frame, put_frame, user_keep, with_frames, with_kernel_map};
use super::translate;
use crate::cell::OneCpu;
use crate::hypercall;
use crate::process::page_cache;

/// Frames that change hands at a time.
const AT_ONCE: usize = 64;

static BALLOON: OneCpu<Cell<Option<Balloon>>> = OneCpu::new(Cell::new(None));

/// Begins with the domain's size at its start.
pub(super) fn init(pages: u32) {
    BALLOON.set(Some(Balloon::new(pages)));
}

/// How large the domain is and is to be.
#[must_use]
pub fn balloon() -> Balloon {
    BALLOON.get().unwrap_or_else(|| Balloon::new(0))
}

/// Sets the target, and comes as close to it as it can now.
///
/// # Errors
/// EINVAL: a size that cannot be.
pub fn ask(kib: u64) -> Result<(), crate::linux::Errno> {
    let mut balloon = balloon();
    balloon.ask(kib)?;
    BALLOON.set(Some(balloon));
    approach();
    Ok(())
}

/// Comes as close to the target as it can now: while programs leave frames free, and the hypervisor has some.
pub fn approach() {
    let mut has_shrunk = false;
    loop {
        let mut balloon = balloon();
        let moved = match balloon.step(AT_ONCE as u32) {
            Step::Rest => return,
            Step::Give(count) => {
                let given = give(count);
                balloon.now -= given;
                given
            }
            Step::Take(count) => {
                let taken = take(count);
                balloon.now += taken;
                taken
            }
        };
        BALLOON.set(Some(balloon));
        if moved == 0 {
            // Pages of files that nobody uses now can be read again.
            if has_shrunk || balloon.now < balloon.target {
                return;
            }
            page_cache::shrink();
            has_shrunk = true;
        }
    }
}

/// Gives up to `count` free frames back, and says how many it were.
fn give(count: u32) -> u32 {
    let keep = user_keep();
    let mut frames = ArrayVec::<Pfn, AT_ONCE>::new();
    while frames.len() < count as usize {
        let Ok(frame) = alloc_frame(keep) else { break };
        frames.push(frame);
    }
    if frames.is_empty() {
        return 0;
    }
    map_frames(&frames, |_| Pte::EMPTY);
    let list: ArrayVec<Mfn, AT_ONCE> = frames.iter().map(|frame| translate::mfn(*frame)).collect();
    // SAFETY: the frames were free, and are mapped nowhere any more.
    let given = unsafe { hypercall::decrease_reservation(&list, 0, DomId::SELF) };
    let (gone, kept) = frames.split_at((given.unwrap_or(0) as usize).min(frames.len()));
    for frame in gone {
        translate::set(*frame, None);
        with_frames(|table| table.set_aside(*frame));
    }
    if !kept.is_empty() {
        map_frames(kept, |frame| Pte::new(translate::mfn(frame), READ_WRITE));
        kept.iter().for_each(|frame| put_frame(*frame));
    }
    gone.len() as u32
}

/// Takes up to `count` frames, and says how many it were.
fn take(count: u32) -> u32 {
    let mut list = [Mfn::new(0); AT_ONCE];
    let wanted = with_frames(|table| table.aside_count()).unwrap_or(0).min(count) as usize;
    if wanted == 0 {
        return 0;
    }
    let taken = hypercall::increase_reservation(&mut list[..wanted], 0, DomId::SELF).unwrap_or(0);
    let new = &list[..(taken as usize).min(wanted)];
    let mut frames = ArrayVec::<Pfn, AT_ONCE>::new();
    {
        let mut batch = Batch::new();
        for mfn in new {
            let Some(frame) = with_frames(|table| table.bring_back()).flatten() else {
                break;
            };
            translate::set(frame, Some(*mfn));
            // SAFETY: this names the frame; no mapping changes.
            unsafe { batch.push(MmuUpdate::machphys(*mfn, frame)) };
            frames.push(frame);
        }
    }
    map_frames(&frames, |frame| Pte::new(translate::mfn(frame), READ_WRITE));
    frames.iter().for_each(|frame| put_frame(*frame));
    frames.len() as u32
}

/// Maps frames in the direct map as `entry` says; the TLB knows it when this comes back.
fn map_frames(frames: &[Pfn], entry: impl Fn(Pfn) -> Pte) {
    let mut batch = Batch::new();
    with_kernel_map(|map| {
        for frame in frames {
            // SAFETY: the frames are the caller's, and nobody refers to what they hold.
            unsafe { map.set(&mut batch, direct(*frame), entry(*frame)) };
        }
    });
    batch.flush_tlb();
}
