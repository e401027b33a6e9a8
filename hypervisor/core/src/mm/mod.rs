//! Machine memory: frames, their owners, counts and types; page tables that are the guest's own and yet safe.
//!
//! A guest's page tables are the ones the processor walks. The guest may read them and never write them; each new
//! entry is judged before it is stored. What makes that sound is kept per frame ([`frame`]):
//!
//! 1. A frame has one [`Kind`] at a time, and the kind changes only when it has no typed use left.
//! 2. A frame is a page table only while nobody maps it writable, because that is another kind.
//! 3. Each present entry of a valid table holds references to what it names: as many as its meaning asks for, no
//!    more, no fewer. The [`audit`] recounts them.
//! 4. No translation that the processor may still remember reaches a frame that changed kind or owner ([`tlb`]).
//!
//! ```text
//!  kind, owner, frame    the two words of one frame
//!  refs, table           counted references; the table of all frames
//!  allocator, allocate   free frames; giving them to an owner
//!  pte                   which bits an entry may have at which level
//!  mmu                   the state, the machine and the work budget of one call: all below are methods of it
//!  types                 taking and giving back typed uses; turning a frame into a table and back
//!  l1, l2, l3            what one entry of each level holds; whole tables; updates of one entry
//!  pin                   pins and roots
//!  walk                  finding the entry of an address
//!  descriptors           pages of the GDT and the LDT
//!  update                one word by machine address, whatever the frame is
//!  emulate               a write to a live page table, done as an update
//!  transfer              frames that change owner
//!  granted               frames in use by leave of their owner
//!  io_maps               who maps frames of devices
//!  relinquish            all of a domain's memory, when it dies
//!  audit                 everything counted anew
//! ```
//!
//! Source: Xen 2.0 interface (frame types, page-table entry rules, pinning, TLB policy), applied to the PAE format
//! under a four-level walk (Intel SDM vol. 3A 4.5).

mod allocate;
pub mod allocator;
pub mod audit;
mod descriptors;
pub mod emulate;
mod error;
pub mod frame;
mod granted;
mod io_maps;
mod kind;
mod l1;
mod l2;
mod l3;
mod mmu;
mod owner;
pub mod pin;
pub mod pte;
mod refs;
mod relinquish;
mod table;
pub mod tlb;
mod transfer;
mod types;
mod update;
mod walk;

pub use self::{
    allocate::RecordFrame,
    allocator::{Allocator, MAX_ORDER},
    descriptors::check_ldt,
    error::{MmError, Preempted, Stop},
    frame::{FrameInfo, Kind},
    granted::{Granted, Place, granted_entry},
    io_maps::IoSearch,
    mmu::{Mmu, Owner, STRETCH},
    relinquish::Relinquish,
    table::FrameTable,
};
use self::{pte::EntryRules, tlb::FlushClock};
use crate::domain::DomId;
use core::ops::Range;

/// What the hypervisor knows about memory.
#[derive(Debug)]
pub struct Mm {
    /// Every frame of RAM.
    pub frames: FrameTable,
    /// The free ones.
    pub allocator: Allocator,
    /// Frames of RAM that the machine has, whoever keeps them.
    pub ram_frames: u32,
    /// Counts flushes.
    pub clock: FlushClock,
    /// What this machine lets an entry hold.
    pub rules: EntryRules,
    /// Entries for slots 480 to 511 of every top L2: the read-only machine-to-phys window.
    pub window: [u64; WINDOW_SLOTS],
}

/// Slots of a top L2 that are the hypervisor's.
pub const WINDOW_SLOTS: usize = 32;

impl Mm {
    /// No memory at all.
    pub const EMPTY: Self = Self::new(FrameTable::EMPTY, EntryRules::NOTHING, [0; WINDOW_SLOTS]);

    /// Memory management over `frames`, with nothing free yet.
    #[must_use]
    pub const fn new(frames: FrameTable, rules: EntryRules, window: [u64; WINDOW_SLOTS]) -> Self {
        Self {
            frames,
            allocator: Allocator::new(),
            ram_frames: 0,
            clock: FlushClock::new(),
            rules,
            window,
        }
    }
}

/// Frames inside the table's range that one question to [`Mm::is_device`] may be about.
const MAX_DEVICE_FRAMES: u64 = 4096;

impl Mm {
    /// Whether all of `range` are frames of devices that a domain may be given. Not where very many of them lie
    /// between RAM.
    #[must_use]
    pub fn is_device(&self, range: Range<u64>) -> bool {
        let denied = &self.rules.denied_io;
        let is_denied = denied
            .iter()
            .any(|&(start, end)| start < range.end && range.start < end);
        let inside = range.start..range.end.min(self.frames.len());
        let is_device = |n| {
            let found = self.frames.lookup(n);
            found.is_some_and(|(_, info)| info.owner_word().is_owned_by(DomId::IO))
        };
        let beyond = range.start.max(self.frames.len());
        range.end <= self.rules.bus_end
            && !is_denied
            && (beyond >= range.end || beyond >= self.rules.ram_end)
            && (inside.is_empty() || inside.end - inside.start <= MAX_DEVICE_FRAMES)
            && inside.into_iter().all(is_device)
    }
}

#[cfg(test)]
mod tests;
