//! Giving a frame away for good, to a domain that has invited it by an entry of its table.

use super::{
    Halt, Refusal, books,
    entry::{SharedEntry, commit_transfer, complete_transfer},
    partner,
};
use crate::{
    domain::DomId,
    mm::Mmu,
    platform::{Fault, Platform},
};
use guest_abi::grant_table::GrantFlags;

/// Entry checks that a transfer counts for.
const COST: u32 = 8;

/// Gives frame number `n` of the calling domain to domain `to`, into its entry `reference`. The caller flushes
/// translations before a guest runs again.
///
/// # Errors
/// Those of [`Mmu::reassign`]; the entry does not invite it; or the answer could not be written; nothing has changed. Or a
/// pause.
pub fn transfer<P: Platform>(
    mmu: &mut Mmu<'_, P>,
    n: u64,
    to: DomId,
    reference: u32,
    answer: impl FnOnce() -> Result<(), Fault>,
) -> Result<(), Halt> {
    mmu.reserve(COST)?;
    let platform = mmu.platform;
    let giver = mmu.caller().id;
    let slot = partner(mmu.hv, to)?;
    mmu.may_reassign(n, to).map_err(Refusal::BadFrame)?;
    let grant = books::of(mmu, slot)
        .get(platform, reference)
        .ok_or(Refusal::NoSuchReference)?;
    let entry = grant.entry(platform);
    commit_transfer(&entry, giver)?;
    if let Err(fault) = answer() {
        entry.clear(GrantFlags::TRANSFER_COMMITTED);
        return Err(fault.into());
    }
    // Neither the frame nor the receiver has changed since they were judged.
    mmu.reassign(n, to).map_err(Refusal::BadFrame)?;
    complete_transfer(&entry, n as u32);
    Ok(())
}
