//! Calls about memory: 1, 12–14, 21, 22.

use guest_abi::addr::{GuestVirt, Mfn};
use guest_abi::domain::DomId;
use guest_abi::errno::Errno;
use guest_abi::hypercall::CallNumber;
use guest_abi::memory::{self, MemoryCmd};
use guest_abi::mmu::{MmuUpdate, Pte, UvmFlags};
use guest_abi::multicall::MulticallEntry;
use guest_abi::vm_assist::{AssistCmd, AssistType};

use super::raw::call;

/// A batch of [`mmu_update`] that was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchError {
    /// What the hypervisor answered.
    pub errno: Errno,
    /// How many requests were done before.
    pub done: u32,
}

/// Call 1: a batch of page-table updates and extended commands.
///
/// # Errors
/// The answer, and how many requests were completed: those stay.
///
/// # Safety
/// Rust's view of memory must not change: no mapping of memory in use may be taken away, redirected or made
/// read-only under somebody who writes.
pub unsafe fn mmu_update(requests: &[MmuUpdate]) -> Result<(), BatchError> {
    let mut done = 0_u32;
    let count = u32::try_from(requests.len()).unwrap_or(u32::MAX);
    // SAFETY: the requests are only read, `done` is ours; the rest is the caller's promise.
    let answer = unsafe {
        call(
            CallNumber::MMU_UPDATE,
            [requests.as_ptr() as u32, count, &raw mut done as u32],
        )
    };
    answer.map(drop).map_err(|errno| BatchError { errno, done })
}

/// Call 14: writes the L1 entry that maps the page of `at`, then flushes as `flags` say.
///
/// # Errors
/// −EINVAL: no L1 there, or an entry that is not allowed.
///
/// # Safety
/// As for [`mmu_update`].
pub unsafe fn update_va_mapping(at: GuestVirt, entry: Pte, flags: UvmFlags) -> Result<(), Errno> {
    let (low, high) = entry.low_high();
    // SAFETY: the caller's promise.
    unsafe {
        call(
            CallNumber::UPDATE_VA_MAPPING,
            [at.page_number(), low, high, flags.bits()],
        )
    }
    .map(drop)
}

/// Call 22: as [`update_va_mapping`], of a frame that belongs to `domain`.
///
/// # Errors
/// −EPERM: not privileged; −ESRCH; −EINVAL.
///
/// # Safety
/// As for [`mmu_update`].
pub unsafe fn update_va_mapping_otherdomain(
    at: GuestVirt,
    entry: Pte,
    flags: UvmFlags,
    domain: DomId,
) -> Result<(), Errno> {
    let (low, high) = entry.low_high();
    let arguments = [at.page_number(), low, high, flags.bits(), domain.raw().into()];
    // SAFETY: the caller's promise.
    unsafe { call(CallNumber::UPDATE_VA_MAPPING_OTHERDOMAIN, arguments) }.map(drop)
}

/// Call 12: takes as many extents of 2^`order` frames as `extents` has places, and stores each one's first frame there. Gives
/// how many were given.
///
/// # Errors
/// −EPERM, −ESRCH: a domain other than oneself.
pub fn increase_reservation(extents: &mut [Mfn], order: u32, domain: DomId) -> Result<u32, Errno> {
    let list = extents.as_mut_ptr() as u32;
    // SAFETY: the call writes the list only; the new frames are mapped nowhere.
    unsafe {
        mem_op(
            MemoryCmd::INCREASE_RESERVATION,
            list,
            extents.len(),
            order,
            domain,
        )
    }
}

/// Call 12: gives back the extents listed. Gives how many were taken.
///
/// # Errors
/// −EPERM, −ESRCH: a domain other than oneself.
///
/// # Safety
/// Nothing refers to the frames' content any more.
pub unsafe fn decrease_reservation(extents: &[Mfn], order: u32, domain: DomId) -> Result<u32, Errno> {
    let list = extents.as_ptr() as u32;
    // SAFETY: the call reads the list only; the rest is the caller's promise.
    unsafe {
        mem_op(
            MemoryCmd::DECREASE_RESERVATION,
            list,
            extents.len(),
            order,
            domain,
        )
    }
}

/// # Safety
/// As for the command; `list` has `len` entries.
unsafe fn mem_op(cmd: MemoryCmd, list: u32, len: usize, order: u32, domain: DomId) -> Result<u32, Errno> {
    let count = u32::try_from(len).unwrap_or(u32::MAX);
    // SAFETY: the caller's promise.
    unsafe {
        call(
            CallNumber::DOM_MEM_OP,
            [memory::pack(cmd, 0), list, count, order, domain.raw().into()],
        )
    }
}

/// Call 13: a batch of calls; each result is left in its entry.
///
/// # Errors
/// −EINVAL: inside a multicall.
///
/// # Safety
/// As for each call in the batch.
pub unsafe fn multicall(entries: &mut [MulticallEntry]) -> Result<(), Errno> {
    let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    // SAFETY: the entries are ours to be written; the rest is the caller's promise.
    unsafe { call(CallNumber::MULTICALL, [entries.as_mut_ptr() as u32, count]) }.map(drop)
}

/// Call 21: switches an assist.
///
/// # Errors
/// −ENOSYS, −EINVAL: one that does not exist here.
pub fn vm_assist(cmd: AssistCmd, assist: AssistType) -> Result<(), Errno> {
    // SAFETY: the call touches no memory.
    unsafe { call(CallNumber::VM_ASSIST, [cmd.raw(), assist.raw()]) }.map(drop)
}
