//! Registers of devices: I/O frames mapped into a part of the kernel's addresses, uncached, for good.
//!
//! Which frames may be mapped is the hypervisor's decision: Domain0 has the right to all that are not memory.

use core::cell::Cell;
use core::ptr::NonNull;

use guest_abi::addr::PAGE_SIZE;
use guest_abi::mmu::{Pte, PteFlags};

use crate::cell::OneCpu;
use crate::linux::Errno;
use crate::mm::batch::try_update;
use crate::mm::kernel_map::READ_WRITE;
use crate::mm::layout::{IO_PAGES, IO_START};
use crate::mm::with_kernel_map;

/// Pages of the window that are in use.
static USED: OneCpu<Cell<u32>> = OneCpu::new(Cell::new(0));
/// Flags of a page of registers.
const FLAGS: PteFlags = READ_WRITE.union(PteFlags::NO_CACHE);

/// Maps `len` bytes of registers at machine address `address` and says where.
///
/// # Errors
/// ENOSPC: the window is full; EINVAL: not frames of registers, or nothing at all; ENODEV: not in this domain.
pub fn map(address: u64, len: u64) -> Result<NonNull<u8>, Errno> {
    let page = PAGE_SIZE as u64;
    let offset = address % page;
    let count = offset
        .checked_add(len)
        .filter(|_| len > 0)
        .ok_or(Errno::EINVAL)?
        .div_ceil(page);
    let first = USED.get();
    let end = u64::from(first) + count;
    if end > u64::from(IO_PAGES) {
        return Err(Errno::ENOSPC);
    }
    let start = IO_START + first * PAGE_SIZE as u32;
    for n in 0..count {
        let at = start + n as u32 * PAGE_SIZE as u32;
        let entry = Pte::from_raw((address - offset + n * page) | FLAGS.bits());
        let place = with_kernel_map(|map| map.entry_address(at)).flatten();
        // SAFETY: nobody has a reference into these addresses: they were never given out.
        unsafe { try_update(place.ok_or(Errno::ENODEV)?, entry, at) }?;
    }
    USED.set(end as u32);
    NonNull::new((start as usize + offset as usize) as *mut u8).ok_or(Errno::EINVAL)
}
