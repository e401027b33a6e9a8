//! A domain's frames of grant tables, grown on demand.
//!
//! They are reached as words. A first frame, the *directory*, lists the others:
//!
//! ```text
//!  words 0..32    frames of the shared table, 512 entries each: the domain's to map, not its to release
//!  words 32..64   frames of active words, one for each of those
//!  words 64..512  frames of handles, 256 each
//! ```
//!
//! Nothing shrinks before the domain's end. A few frames are everyone's due; more of them count against what the domain may
//! own, so that nobody can have the hypervisor's memory for its handles.

use super::{Halt, Refusal, active::Active, entry::InFrame, handles::PER_FRAME};
use crate::{
    domain::Domain,
    mm::{Mmu, Stop},
    platform::{FrameMemory, FrameWords, Platform},
};
use guest_abi::{addr::Mfn, grant_table::ENTRIES_PER_FRAME};

/// Most frames of a domain's table.
pub const MAX_TABLE_FRAMES: u32 = 32;
/// Most frames of its handles.
pub const MAX_HANDLE_FRAMES: u32 = FRAMES_LISTED - FIRST_HANDLES;
/// Frames that do not count against what a domain may own: those of four pages of grants, so that disks can keep theirs, and one of handles.
pub const FREE_FRAMES: u32 = 10;

/// Entry checks that a frame counts for.
const FRAME_COST: u32 = 20;
const FRAMES_LISTED: u32 = 512;
const FIRST_ACTIVE: u32 = MAX_TABLE_FRAMES;
const FIRST_HANDLES: u32 = 2 * MAX_TABLE_FRAMES;

/// What a domain grants, and what it was granted and has mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grants {
    directory: Option<Mfn>,
    table_frames: u16,
    pub(super) handle_frames: u16,
    /// Free handle that was in use last, and through it the others.
    pub(super) first_free: Option<u32>,
    /// Handles from here on were never in use.
    pub(super) first_fresh: u32,
    /// How many are in use.
    pub(super) used: u32,
    /// How far its end has come.
    pub(super) ended: u32,
}

/// One grant: its shared entry and its active word.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    shared: Mfn,
    active: Mfn,
    index: usize,
}

impl Grant {
    /// The shared entry.
    #[inline(always)]
    pub const fn entry<M>(self, memory: &M) -> InFrame<'_, M> {
        InFrame {
            memory,
            frame: self.shared,
            index: self.index,
        }
    }

    /// The active word.
    #[inline(always)]
    pub fn active<M: FrameMemory>(self, memory: &M) -> Active {
        Active(memory.read_entry(self.active, self.index))
    }

    /// Sets it.
    #[inline(always)]
    pub fn set_active<M: FrameMemory>(self, memory: &M, word: Active) {
        memory.write_entry(self.active, self.index, word.0);
    }
}

impl Grants {
    /// Nothing.
    pub const NONE: Self = Self {
        directory: None,
        table_frames: 0,
        handle_frames: 0,
        first_free: None,
        first_fresh: 0,
        used: 0,
        ended: 0,
    };

    /// Frames of the table.
    #[must_use]
    pub const fn table_frames(&self) -> u32 {
        self.table_frames as u32
    }

    /// Handles in use.
    #[must_use]
    pub const fn handles_in_use(&self) -> u32 {
        self.used
    }

    /// All frames that it takes.
    #[must_use]
    pub const fn frames(&self) -> u32 {
        self.directory.is_some() as u32 + 2 * self.table_frames as u32 + self.handle_frames as u32
    }

    /// Those that count against what the domain may own.
    #[must_use]
    pub const fn charged(&self) -> u32 {
        self.frames().saturating_sub(FREE_FRAMES)
    }

    #[inline(always)]
    fn listed<M: FrameMemory>(&self, memory: &M, at: u32) -> Option<Mfn> {
        Some(Mfn::new(memory.read_entry(self.directory?, at as usize) as u32))
    }

    /// The grant `reference`, if the table has it.
    #[inline(always)]
    pub fn get<M: FrameMemory>(&self, memory: &M, reference: u32) -> Option<Grant> {
        let frame = reference / ENTRIES_PER_FRAME;
        if frame >= self.table_frames() {
            return None;
        }
        Some(Grant {
            shared: self.listed(memory, frame)?,
            active: self.listed(memory, FIRST_ACTIVE + frame)?,
            index: (reference % ENTRIES_PER_FRAME) as usize,
        })
    }

    /// Whether anything is in use of what frame `n` of the table grants.
    pub(super) fn is_used<M: FrameMemory>(&self, memory: &M, n: u32) -> bool {
        let words = self
            .listed(memory, FIRST_ACTIVE + n)
            .map(|frame| memory.words(frame));
        words.is_some_and(|words| (0..ENTRIES_PER_FRAME as usize).any(|at| words.read(at) != 0))
    }

    /// Frame `n` of the shared table, if it has so many.
    #[must_use]
    pub fn table_frame<M: FrameMemory>(&self, memory: &M, n: u32) -> Option<Mfn> {
        if n < self.table_frames() {
            self.listed(memory, n)
        } else {
            None
        }
    }

    /// Calls `each` with every frame that the hypervisor keeps for this.
    pub fn own_frames<M: FrameMemory>(&self, memory: &M, mut each: impl FnMut(Mfn)) {
        self.directory.into_iter().for_each(&mut each);
        let actives = FIRST_ACTIVE..FIRST_ACTIVE + self.table_frames();
        let handles = FIRST_HANDLES..FIRST_HANDLES + u32::from(self.handle_frames);
        actives
            .chain(handles)
            .filter_map(|at| self.listed(memory, at))
            .for_each(each);
    }

    /// Frame `n` of the handles, if there are so many.
    #[inline(always)]
    pub(super) fn handle_frame<M: FrameMemory>(&self, memory: &M, n: u32) -> Option<Mfn> {
        if n < u32::from(self.handle_frames) {
            self.listed(memory, FIRST_HANDLES + n)
        } else {
            None
        }
    }
}

/// The books of the domain in `slot`.
pub(super) fn of<'a, P: Platform>(mmu: &'a mut Mmu<'_, P>, slot: usize) -> &'a mut Grants {
    &mut domain(mmu, slot).grants
}

/// The domain in `slot`.
pub(crate) fn domain<'a, P: Platform>(mmu: &'a mut Mmu<'_, P>, slot: usize) -> &'a mut Domain {
    mmu.hv.domain_at(slot).expect("a domain with grants")
}

/// Sees to it that the domain in `slot` has a table of at least `frames` frames.
///
/// # Errors
/// More than a table may have; no memory: the table is as it was. Or a pause, after which to ask again.
pub fn grow_table<P: Platform>(mmu: &mut Mmu<'_, P>, slot: usize, frames: u32) -> Result<(), Halt> {
    if frames > MAX_TABLE_FRAMES {
        return Err(Refusal::TooManyFrames.into());
    }
    let before = of(mmu, slot).table_frames();
    while of(mmu, slot).table_frames() < frames {
        match add_table_frame(mmu, slot) {
            Ok(()) => {}
            Err(Halt::Refused(why)) => {
                while of(mmu, slot).table_frames() > before {
                    drop_table_frame(mmu, slot);
                }
                drop_directory(mmu, slot);
                return Err(why.into());
            }
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// Adds a frame to the table, and one of active words.
fn add_table_frame<P: Platform>(mmu: &mut Mmu<'_, P>, slot: usize) -> Result<(), Halt> {
    let directory = directory(mmu, slot, 2)?;
    let id = domain(mmu, slot).id;
    let n = of(mmu, slot).table_frames();
    let active = own_frame(mmu)?;
    let shared = mmu
        .allocate_shared(id)
        .inspect_err(|_: &Stop| mmu.free_own_frame(active))?;
    let platform = mmu.platform;
    platform.write_entry(directory, n as usize, shared.raw().into());
    platform.write_entry(directory, (FIRST_ACTIVE + n) as usize, active.raw().into());
    of(mmu, slot).table_frames += 1;
    Ok(())
}

/// Takes the last frame of the table away, whose active words count nothing.
pub(super) fn drop_table_frame<P: Platform>(mmu: &mut Mmu<'_, P>, slot: usize) {
    let grants = *of(mmu, slot);
    let n = grants.table_frames() - 1;
    of(mmu, slot).table_frames -= 1;
    if let Some(shared) = grants.listed(mmu.platform, n) {
        mmu.release_shared(shared);
    }
    drop_own(mmu, grants, FIRST_ACTIVE + n);
}

/// Adds a frame of handles.
pub(super) fn add_handle_frame<P: Platform>(mmu: &mut Mmu<'_, P>, slot: usize) -> Result<(), Halt> {
    let n = of(mmu, slot).handle_frames;
    if u32::from(n) >= MAX_HANDLE_FRAMES {
        return Err(Refusal::NoHandles.into());
    }
    let no_memory = |halt| match halt {
        Halt::Refused(_) => Refusal::NoHandles.into(),
        other => other,
    };
    let directory = directory(mmu, slot, 1).map_err(no_memory)?;
    let frame = match own_frame(mmu) {
        Ok(frame) => frame,
        Err(stop) => {
            drop_directory(mmu, slot);
            return Err(no_memory(stop.into()));
        }
    };
    mmu.platform.write_entry(
        directory,
        (FIRST_HANDLES + u32::from(n)) as usize,
        frame.raw().into(),
    );
    of(mmu, slot).handle_frames += 1;
    Ok(())
}

/// Takes the last frame of handles away, none of which is in use.
pub(super) fn drop_handle_frame<P: Platform>(mmu: &mut Mmu<'_, P>, slot: usize) {
    let grants = *of(mmu, slot);
    let n = u32::from(grants.handle_frames) - 1;
    of(mmu, slot).handle_frames -= 1;
    drop_own(mmu, grants, FIRST_HANDLES + n);
}

/// Takes away frames of handles of which none was ever in use, and the directory if it then lists nothing.
#[cold]
#[inline(never)]
pub(super) fn drop_fresh_handles<P: Platform>(mmu: &mut Mmu<'_, P>, slot: usize) {
    loop {
        let grants = of(mmu, slot);
        let frames = u32::from(grants.handle_frames);
        if frames == 0 || grants.first_fresh > (frames - 1) * PER_FRAME {
            return drop_directory(mmu, slot);
        }
        drop_handle_frame(mmu, slot);
    }
}

fn drop_own<P: Platform>(mmu: &mut Mmu<'_, P>, grants: Grants, at: u32) {
    if let Some(frame) = grants.listed(mmu.platform, at) {
        mmu.free_own_frame(frame);
    }
}

/// A zeroed frame that the hypervisor keeps for a domain.
fn own_frame<P: Platform>(mmu: &mut Mmu<'_, P>) -> Result<Mfn, Stop> {
    mmu.reserve(FRAME_COST)?;
    Ok(mmu.take_own_frame()?)
}

/// The directory of a domain that is about to get `more` frames, made if need be.
fn directory<P: Platform>(mmu: &mut Mmu<'_, P>, slot: usize, more: u32) -> Result<Mfn, Halt> {
    let domain = domain(mmu, slot);
    let mut after = domain.grants;
    after.handle_frames += more as u16;
    after.directory = after.directory.or(Some(domain.shared_info));
    let total = domain.total_pages.checked_add(after.charged());
    if after.charged() != 0 && total.is_none_or(|total| total > domain.max_pages) {
        return Err(Refusal::NoMemory.into());
    }
    match domain.grants.directory {
        Some(directory) => Ok(directory),
        None => {
            let directory = own_frame(mmu)?;
            of(mmu, slot).directory = Some(directory);
            Ok(directory)
        }
    }
}

/// Takes the directory away where it lists nothing.
pub(super) fn drop_directory<P: Platform>(mmu: &mut Mmu<'_, P>, slot: usize) {
    let grants = of(mmu, slot);
    if grants.table_frames == 0
        && grants.handle_frames == 0
        && let Some(directory) = grants.directory.take()
    {
        mmu.free_own_frame(directory);
    }
}
