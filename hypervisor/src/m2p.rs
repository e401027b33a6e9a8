//! The machine-to-phys table: one word per frame of RAM, which every guest may read at the window's start.
//!
//! The table lies in frames of ours. Guests see it through L1 tables of ours that hang in the reserved slots of
//! every top L2: read-only, supervisor only.

use crate::{machine, memory::BootMemory};
use core::ops::Range;
use guest_abi::addr::{HV_START, Mfn};
use hv_arch::paging::{TableFrames, direct};
use hv_core::mm::WINDOW_SLOTS;

/// Entry of a frame that nobody has given a pseudo-physical number.
const UNSET: u64 = 0x5555_5555_5555_5555;
/// Present and accessed; neither writable nor for ring 3.
const READ_ONLY: u64 = 1 | 1 << 5;
/// Bytes that one slot of an L2 maps.
const SLOT: u64 = 2 << 20;

/// The table once built.
pub struct MachineToPhys {
    /// Entries for the reserved slots of a top L2.
    pub window: [u64; WINDOW_SLOTS],
    /// The table's own frames.
    pub frames: Range<Mfn>,
}

/// Builds the table for `count` frames of RAM.
pub fn build(memory: &mut BootMemory<'_>, count: u32) -> MachineToPhys {
    let (table, range) = memory.take_array::<u64>((count as usize).div_ceil(2));
    let bytes = u64::from(range.count()) * 4096;
    for i in 0..(bytes / 8) as usize {
        // SAFETY: the array has just been taken and is that long.
        unsafe { table.wrapping_add(i).write(UNSET) };
    }
    machine::describe_memory(count, range);
    let mut window = [0; WINDOW_SLOTS];
    let slots = usize::try_from(bytes.div_ceil(SLOT))
        .unwrap_or(WINDOW_SLOTS)
        .min(WINDOW_SLOTS);
    for (slot, entry) in window.iter_mut().enumerate().take(slots) {
        let l1 = memory.table_frame();
        let first = range.start.raw() as usize + slot * 512;
        for (i, frame) in (first..range.end.raw() as usize).take(512).enumerate() {
            // SAFETY: `l1` is a fresh frame of ours.
            unsafe {
                direct(l1)
                    .cast::<u64>()
                    .wrapping_add(i)
                    .write((frame as u64) << 12 | READ_ONLY)
            };
        }
        *entry = l1 | READ_ONLY;
    }
    MachineToPhys {
        window,
        frames: range.start..range.end,
    }
}

/// First linear address behind the window on a machine of `count` frames: where flat guest segments end.
pub fn window_end(count: u32) -> u64 {
    const STEP: u64 = 4 << 20;
    u64::from(HV_START) + (u64::from(count) * 4).next_multiple_of(STEP).max(STEP)
}
