//! Physical memory before there is a frame table.
//!
//! Frames taken here stay the hypervisor's for ever (page tables, the frame table, the machine-to-phys table, the
//! boot heap); what remains goes to the frame table's allocator.

use hv_arch::paging::{TableFrames, direct};
use hv_bootinfo::frames::{Carver, FrameRange};

/// The boot loader's tables and the boot page tables show memory below this address only.
pub const MAPPED_AT_BOOT: u64 = 4 << 30;

/// Hands out frames below 4 GiB while booting.
#[derive(Debug)]
pub struct BootMemory<'m>(pub Carver<'m>);

impl BootMemory<'_> {
    /// Takes `count` contiguous frames.
    ///
    /// # Panics
    /// Where memory is too small or too broken up to boot in.
    pub fn take(&mut self, count: u32) -> FrameRange {
        match self.0.take(count, 1, MAPPED_AT_BOOT) {
            Ok(Some(range)) => range,
            Ok(None) => panic!("not enough memory below 4 GiB: {count} contiguous frames are wanted to boot"),
            Err(e) => panic!("cannot boot here: {e}"),
        }
    }

    /// Takes room for `count` values of `T` and gives its address in the direct map, uninitialised.
    pub fn take_array<T>(&mut self, count: usize) -> (*mut T, FrameRange) {
        let bytes = count
            .checked_mul(size_of::<T>())
            .expect("a size that fits the address space");
        let range = self.take(u32::try_from(bytes.div_ceil(4096)).expect("fewer than 2^32 frames"));
        (direct(range.start.addr().raw()).cast(), range)
    }
}

impl TableFrames for BootMemory<'_> {
    fn table_frame(&mut self) -> u64 {
        let phys = self.take(1).start.addr().raw();
        // SAFETY: the frame is free RAM below 4 GiB, which the boot tables and the final ones map.
        unsafe { direct(phys).write_bytes(0, 4096) };
        phys
    }
}
