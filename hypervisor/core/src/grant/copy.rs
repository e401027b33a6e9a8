//! Copying from and to what was granted, without mapping it.

use super::{
    Halt, Refusal,
    books::{self, Grant},
    entry::{claim, settle},
    partner,
};
use crate::{
    domain::DomId,
    mm::Mmu,
    platform::{Fault, FrameMemory, Platform},
};
use guest_abi::addr::{Mfn, PAGE_SIZE};

/// Entry checks that a copy counts for, and further ones for each 256 bytes.
const COST: u32 = 8;

/// One end of a copy.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// A frame of the caller's.
    Frame(u32),
    /// A frame that was granted the caller.
    Granted {
        /// By whom.
        granter: DomId,
        /// The reference.
        reference: u32,
    },
}

/// One end, and where in the page.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// The page.
    pub end: End,
    /// First byte.
    pub offset: u16,
}

/// An end whose frame is held.
struct Held {
    frame: u32,
    is_write: bool,
    grant: Option<Grant>,
}

/// Copies `len` bytes.
///
/// # Errors
/// A refusal; or the answer could not be written; nothing has changed. Or a pause.
pub fn copy<P: Platform>(
    mmu: &mut Mmu<'_, P>,
    from: Part,
    to: Part,
    len: u16,
    answer: impl FnOnce() -> Result<(), Fault>,
) -> Result<(), Halt> {
    mmu.reserve(COST + u32::from(len) / 256)?;
    let is_inside = |part: Part| usize::from(part.offset) + usize::from(len) <= PAGE_SIZE;
    if !is_inside(from) || !is_inside(to) {
        return Err(Refusal::BadRange.into());
    }
    let source = take(mmu, from.end, false)?;
    let result = match take(mmu, to.end, true) {
        Err(why) => Err(why.into()),
        Ok(dest) => {
            let answered = answer();
            if answered.is_ok() {
                let place = |held: &Held, part: Part| (Mfn::new(held.frame), usize::from(part.offset));
                mmu.platform
                    .copy_bytes(place(&source, from), place(&dest, to), len.into());
            }
            release(mmu, &dest);
            answered.map_err(Halt::from)
        }
    };
    release(mmu, &source);
    result
}

/// Claims and holds the frame of one end.
fn take<P: Platform>(mmu: &mut Mmu<'_, P>, end: End, is_write: bool) -> Result<Held, Refusal> {
    let platform = mmu.platform;
    let caller = mmu.caller().id;
    let (frame, owner, grant) = match end {
        End::Frame(frame) => (frame, caller, None),
        End::Granted { granter, reference } => {
            let slot = partner(mmu.hv, granter)?;
            let granter = books::domain(mmu, slot);
            let owner = granter.id;
            let grant = granter
                .grants
                .get(platform, reference)
                .ok_or(Refusal::NoSuchReference)?;
            let word = grant.active(platform);
            let in_use = word.is_used().then(|| word.frame());
            let frame = claim(&grant.entry(platform), caller, is_write, in_use)?;
            (frame, owner, Some(grant))
        }
    };
    let taken = if is_write {
        mmu.hold_writable(frame, owner)
    } else {
        mmu.hold(frame, owner)
    };
    if let Err(why) = taken {
        unclaim(platform, grant);
        return Err(Refusal::BadFrame(why));
    }
    Ok(Held {
        frame,
        is_write,
        grant,
    })
}

fn release<P: Platform>(mmu: &mut Mmu<'_, P>, held: &Held) {
    if held.is_write {
        mmu.let_go_writable(held.frame);
    } else {
        mmu.let_go(held.frame);
    }
    unclaim(mmu.platform, held.grant);
}

/// The flags of a grant are those of its mappings again. Where both ends are the same grant that happens twice, the
/// first time while the source is held still; nothing is done between the two.
fn unclaim<M: FrameMemory>(memory: &M, grant: Option<Grant>) {
    if let Some(grant) = grant {
        let word = grant.active(memory);
        settle(&grant.entry(memory), word.is_used(), word.is_written());
    }
}
