//! Pseudo-physical and machine frame numbers: the domain's list one way, the hypervisor's table the other.

use core::cell::Cell;

use guest_abi::addr::{HV_START, INVALID_FRAME, MachAddr, Mfn, Pfn};
use guest_abi::start_info::StartInfo;

use crate::cell::OneCpu;

/// The P2M list: address and length.
static P2M: OneCpu<Cell<(u32, u32)>> = OneCpu::new(Cell::new((0, 0)));

/// Learns where the P2M list is.
pub fn init(start_info: &StartInfo) {
    P2M.set((start_info.mfn_list.raw(), start_info.nr_pages));
}

/// The machine frame of `pfn`.
///
/// # Panics
/// Where the domain has no such frame.
#[must_use]
pub fn mfn(pfn: Pfn) -> Mfn {
    let (list, count) = P2M.get();
    assert!(pfn.raw() < count, "{pfn:?} of {count}");
    // SAFETY: the builder made the list, `count` words long and aligned; only `set` changes it.
    let raw = unsafe { (list as *const u32).wrapping_add(pfn.index()).read() };
    assert_ne!(raw, INVALID_FRAME, "{pfn:?} has no frame");
    Mfn::new(raw)
}

/// From now on `mfn` is behind `pfn`, or nothing.
///
/// # Panics
/// Where the domain has no such frame.
pub(super) fn set(pfn: Pfn, mfn: Option<Mfn>) {
    let (list, count) = P2M.get();
    assert!(pfn.raw() < count, "{pfn:?} of {count}");
    let raw = mfn.map_or(INVALID_FRAME, Mfn::raw);
    // SAFETY: as above; the builder mapped the list writable, and there is one processor.
    unsafe { (list as *mut u32).wrapping_add(pfn.index()).write(raw) }
}

/// Machine address of byte `offset` of frame `pfn`.
#[must_use]
pub fn machine_address(pfn: Pfn, offset: u32) -> MachAddr {
    MachAddr::new(mfn(pfn).addr().raw() + u64::from(offset))
}

/// The frame of ours that machine frame `mfn` is, or `None` for one that is not ours. `mfn` must be a
/// frame that the hypervisor named, so that its entry is in the window.
#[must_use]
pub fn pfn(mfn: Mfn) -> Option<Pfn> {
    // SAFETY: the window is mapped read-only in every address space; its words change under us, hence volatile.
    let raw = unsafe { (HV_START as *const u32).wrapping_add(mfn.index()).read_volatile() };
    let found = Pfn::new(raw);
    let (list, count) = P2M.get();
    // SAFETY: as above; the list is that long.
    let is_ours =
        raw < count && unsafe { (list as *const u32).wrapping_add(found.index()).read() } == mfn.raw();
    is_ours.then_some(found)
}
