//! What a domain leaves behind when it dies.
//!
//! As a grantee it gives back every mapping ([`end_mappings`]); its granters see their entries free again. As a granter
//! it keeps its table while others have mappings ([`end_table`]): their entries go on to name frames that are the dead
//! domain's, which stays on record until the last of them is gone.

use super::{
    active::Uses,
    books::{self, drop_directory, drop_handle_frame, drop_table_frame},
    map::{forget, grant_of},
};
use crate::{
    mm::{Granted, Mmu, Preempted, STRETCH},
    platform::Platform,
};
use guest_abi::grant_table::ENTRIES_PER_FRAME;

/// Entry checks that ending one mapping counts for.
const COST: u32 = 8;
/// Entry checks that looking at a frame of active words counts for: a word takes a quarter of what an entry does.
const LOOK_COST: u32 = ENTRIES_PER_FRAME / 4;
const _: () = assert!(LOOK_COST <= STRETCH, "one attempt must get through");

/// Why a domain's table is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// Work waits: ask again.
    Preempted,
    /// Somebody uses what it granted; to be asked again when one of its frames was given back.
    InUse,
}

impl From<Preempted> for Pending {
    fn from(_: Preempted) -> Self {
        Self::Preempted
    }
}

/// Gives back everything that the domain in `slot` has mapped by grants, and its handles. It does not run any more; its page
/// tables may or may not be gone already.
///
/// # Errors
/// A pause: ask again.
pub fn end_mappings<P: Platform>(mmu: &mut Mmu<'_, P>, slot: usize) -> Result<(), Preempted> {
    let platform = mmu.platform;
    let id = books::domain(mmu, slot).id;
    loop {
        let grants = *books::of(mmu, slot);
        if grants.used == 0 {
            break;
        }
        // Every handle below was looked at, and none is given out any more.
        let number = grants.ended;
        mmu.reserve(if number.is_multiple_of(8) { COST + 1 } else { COST })?;
        if let Some(handle) = grants.handle(platform, number) {
            let frame = grant_of(mmu, handle).active(platform).frame();
            if handle.uses.contains(Uses::HOST)
                && mmu.look_for_granted(handle.place, frame, id) != Granted::Gone
            {
                mmu.clear_granted(handle.place);
            }
            forget(
                mmu,
                slot,
                number,
                handle,
                handle.uses & (Uses::HOST | Uses::DEVICE),
            );
        }
        books::of(mmu, slot).ended = number + 1;
    }
    while books::of(mmu, slot).handle_frames != 0 {
        mmu.reserve(COST)?;
        drop_handle_frame(mmu, slot);
    }
    let grants = books::of(mmu, slot);
    (grants.first_free, grants.first_fresh, grants.ended) = (None, 0, 0);
    drop_directory(mmu, slot);
    Ok(())
}

/// Takes the table of the domain in `slot` away, which grants nothing any more and has no mappings itself
/// ([`end_mappings`]).
///
/// # Errors
/// Somebody uses it still. Or a pause.
pub fn end_table<P: Platform>(mmu: &mut Mmu<'_, P>, slot: usize) -> Result<(), Pending> {
    let platform = mmu.platform;
    while let Some(last) = books::of(mmu, slot).table_frames().checked_sub(1) {
        mmu.reserve(LOOK_COST)?;
        if books::of(mmu, slot).is_used(platform, last) {
            return Err(Pending::InUse);
        }
        drop_table_frame(mmu, slot);
    }
    drop_directory(mmu, slot);
    Ok(())
}
