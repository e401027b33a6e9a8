//! Calls with any arguments.

use guest_abi::errno::{self, Errno};
use guest_abi::hypercall::CallNumber;
use guest_abi::mmu::{MmuUpdate, Pte, UvmFlags};
use mini_guest::hypercall::{self, BatchError};

/// Makes call `number` with up to five arguments; the others are 0.
///
/// # Errors
/// What the hypervisor answered.
///
/// # Panics
/// With more than five arguments.
pub fn call(number: CallNumber, arguments: &[u32]) -> Result<u32, Errno> {
    errno::from_eax(call_eax(number, arguments))
}

/// The same, giving EAX as it is.
///
/// # Panics
/// With more than five arguments.
pub fn call_eax(number: CallNumber, arguments: &[u32]) -> u32 {
    let mut all = [0; 5];
    all[..arguments.len()].copy_from_slice(arguments);
    // SAFETY: whatever the call does to this kernel is the test's own doing; see the crate's description.
    unsafe { hypercall::call_raw(number, all) }.0
}

/// A batch of page-table requests.
///
/// # Errors
/// The answer, and how many requests were done before.
pub fn mmu(requests: &[MmuUpdate]) -> Result<(), BatchError> {
    // SAFETY: as above.
    unsafe { hypercall::mmu_update(requests) }
}

/// Whether a batch of one request is done.
///
/// # Errors
/// The answer.
pub fn request(request: MmuUpdate) -> Result<(), Errno> {
    mmu(&[request]).map_err(|error| error.errno)
}

/// Makes `entry` the mapping of the page at linear address `at`, and forgets the old one.
///
/// # Errors
/// What the hypervisor answered.
pub fn remap(at: u32, entry: Pte) -> Result<(), Errno> {
    // SAFETY: as above.
    unsafe { hypercall::update_va_mapping(guest_abi::addr::GuestVirt::new(at), entry, UvmFlags::INVLPG) }
}
