//! The shared entry: what both sides do to it, and in which order.
//!
//! The granter publishes by writing domain and frame and then the flags, and withdraws by a compare-and-exchange of the
//! flags to 0 that fails while READING or WRITING is set. The hypervisor claims by a compare-and-exchange of the whole
//! entry that sets those bits, so that what it judged is what was there at that instant, and clears them when the
//! last use is over. Between the two the frame is the grantee's to use; a granter that keeps to the protocol
//! finds its frame its own again as soon as it has withdrawn.
//!
//! A granter that does not keep to it may write anything at any time. It is then refused after a few attempts, never waited for.
//!
//! ```text
//!  63:32 frame    31:16 domain    15:0 flags
//! ```

use super::Refusal;
use crate::{domain::DomId, platform::FrameMemory};
use core::sync::atomic::{Ordering, fence};
use guest_abi::{addr::Mfn, grant_table::GrantFlags};

/// How often a claim is attempted.
const ATTEMPTS: u32 = 5;

/// What the hypervisor does to an entry.
pub trait SharedEntry {
    /// The entry.
    fn load(&self) -> u64;
    /// Replaces the entry if it still is `old`. If so, what the granter wrote into the frame before is seen from here on.
    fn compare_exchange(&self, old: u64, new: u64) -> bool;
    /// Clears flags, after everything that was done to the frame before.
    fn clear(&self, flags: GrantFlags);
    /// Sets flags, after everything that was done to the frame and the entry before.
    fn set(&self, flags: GrantFlags);
    /// Writes the frame.
    fn set_frame(&self, frame: u32);
}

/// An entry in a frame of a table.
#[derive(Clone, Copy, Debug)]
pub struct InFrame<'a, M> {
    /// Machine memory.
    pub memory: &'a M,
    /// The frame.
    pub frame: Mfn,
    /// Which of its entries.
    pub index: usize,
}

impl<M: FrameMemory> SharedEntry for InFrame<'_, M> {
    #[inline(always)]
    fn load(&self) -> u64 {
        self.memory.read_entry(self.frame, self.index)
    }
    #[inline(always)]
    fn compare_exchange(&self, old: u64, new: u64) -> bool {
        let memory = self.memory;
        let is_done = memory
            .compare_exchange_entry(self.frame, self.index, old, new)
            .is_ok();
        fence(Ordering::Acquire);
        is_done
    }
    #[inline(always)]
    fn clear(&self, flags: GrantFlags) {
        fence(Ordering::Release);
        self.memory
            .fetch_clear_u32(self.frame, self.index * 8, flags.bits().into());
    }
    fn set(&self, flags: GrantFlags) {
        fence(Ordering::Release);
        self.memory
            .fetch_or_u32(self.frame, self.index * 8, flags.bits().into());
    }
    fn set_frame(&self, frame: u32) {
        self.memory.store_u32(self.frame, self.index * 8 + 4, frame);
    }
}

/// The flags of an entry.
const fn flags_of(entry: u64) -> GrantFlags {
    GrantFlags::from_bits_retain(entry as u16)
}

/// Whether the entry is of `kind`, and for `domain`.
const fn is_for(entry: u64, kind: GrantFlags, domain: DomId) -> bool {
    let is_its = (entry >> 16) as u16 == domain.0 || cfg!(feature = "mutant-grant-grantee");
    flags_of(entry).kind().bits() == kind.bits() && is_its
}

/// Claims the frame that the entry grants `by`, to write it or only to read, and says which it is. Where the grant is in
/// use already, of `in_use`, it must still be that frame.
///
/// # Errors
/// Not granted, or not so; or the entry never stood still.
#[inline(always)]
pub fn claim(
    entry: &impl SharedEntry,
    by: DomId,
    is_write: bool,
    in_use: Option<u32>,
) -> Result<u32, Refusal> {
    let mut bits = GrantFlags::READING;
    bits.set(GrantFlags::WRITING, is_write);
    for _ in 0..ATTEMPTS {
        let old = entry.load();
        let frame = (old >> 32) as u32;
        let is_granted = is_for(old, GrantFlags::PERMIT_ACCESS, by)
            && (!(is_write && flags_of(old).contains(GrantFlags::READ_ONLY))
                || cfg!(feature = "mutant-grant-read-only"))
            && in_use.is_none_or(|known| known == frame);
        if !is_granted {
            return Err(Refusal::NotGranted);
        }
        let new = old | u64::from(bits.bits());
        if entry.compare_exchange(old, new) {
            return Ok(frame);
        }
    }
    Err(Refusal::Unstable)
}

/// Clears those of READING and WRITING that nothing stands for any more.
#[inline(always)]
pub fn settle(entry: &impl SharedEntry, is_read: bool, is_written: bool) {
    let mut over = GrantFlags::empty();
    over.set(GrantFlags::READING, !is_read);
    over.set(GrantFlags::WRITING, !is_written);
    if !over.is_empty() {
        entry.clear(over);
    }
}

/// Claims the entry for a frame that `by` gives its owner.
///
/// # Errors
/// It does not accept one, or not from there; or the entry never stood still.
pub fn commit_transfer(entry: &impl SharedEntry, by: DomId) -> Result<(), Refusal> {
    for _ in 0..ATTEMPTS {
        let old = entry.load();
        if flags_of(old) != GrantFlags::ACCEPT_TRANSFER || !is_for(old, GrantFlags::ACCEPT_TRANSFER, by) {
            return Err(Refusal::NotGranted);
        }
        if entry.compare_exchange(old, old | u64::from(GrantFlags::TRANSFER_COMMITTED.bits())) {
            return Ok(());
        }
    }
    Err(Refusal::Unstable)
}

/// Says that `frame` has arrived, after it has.
pub fn complete_transfer(entry: &impl SharedEntry, frame: u32) {
    entry.set_frame(frame);
    entry.set(GrantFlags::TRANSFER_COMPLETED);
}
