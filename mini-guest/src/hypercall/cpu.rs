//! Calls about the processor: 0, 2–6, 8–11.

use core::ptr;

use guest_abi::addr::{MachAddr, Mfn};
use guest_abi::errno::{self, Errno};
use guest_abi::hypercall::CallNumber;
use guest_abi::sched::{self, SchedCmd, ShutdownReason};
use guest_abi::segment::{Descriptor, Selector};
use guest_abi::trap::TrapInfo;

use super::raw::{call, call_raw};

/// Call 0: merges entries into the virtual IDT. `table` must hold a terminator, an entry with address 0.
///
/// # Errors
/// −EPERM: a code selector that is not allowed; entries before it are installed. −EINVAL without a terminator, without a call.
pub fn set_trap_table(table: &[TrapInfo]) -> Result<(), Errno> {
    if !table.iter().any(TrapInfo::is_terminator) {
        return Err(Errno::Inval);
    }
    // SAFETY: the call only reads the table, up to its terminator.
    unsafe { call(CallNumber::SET_TRAP_TABLE, [table.as_ptr() as u32]) }.map(drop)
}

/// Call 2: the GDT of `entries` entries in `frames`. The frames must not be mapped writable any more.
///
/// # Errors
/// −EINVAL: too many entries, a frame that is not ours or has a bad descriptor.
pub fn set_gdt(frames: &[Mfn], entries: u32) -> Result<(), Errno> {
    // The hypervisor cannot know how long the list is.
    let pages = entries.div_ceil(guest_abi::segment::DESCRIPTORS_PER_PAGE);
    if frames.len() < pages as usize {
        return Err(Errno::Inval);
    }
    // SAFETY: the list is as long as the call reads; selectors in use stay loaded.
    unsafe { call(CallNumber::SET_GDT, [frames.as_ptr() as u32, entries]) }.map(drop)
}

/// Call 3: the ring-1 stack for entries from rings 2 and 3.
///
/// # Errors
/// −EPERM: a selector of ring 0.
pub fn stack_switch(ss: Selector, esp: u32) -> Result<(), Errno> {
    // SAFETY: nothing is written until ring 3 runs, which the caller brings about.
    unsafe { call(CallNumber::STACK_SWITCH, [ss.raw().into(), esp]) }.map(drop)
}

/// Call 4: the event and the failsafe callback, each as selector and offset.
///
/// # Errors
/// −EPERM: a selector that is not allowed.
pub fn set_callbacks(event: (Selector, u32), failsafe: (Selector, u32)) -> Result<(), Errno> {
    let arguments = [event.0.raw().into(), event.1, failsafe.0.raw().into(), failsafe.1];
    // SAFETY: the call touches no memory.
    unsafe { call(CallNumber::SET_CALLBACKS, arguments) }.map(drop)
}

/// Call 5: the next FPU instruction raises #NM, once.
///
/// # Errors
/// None is known.
pub fn fpu_taskswitch() -> Result<(), Errno> {
    // SAFETY: the call touches no memory.
    unsafe { call(CallNumber::FPU_TASKSWITCH, []) }.map(drop)
}

/// Call 6: give up the processor for now.
///
/// # Errors
/// None is known.
pub fn yield_now() -> Result<(), Errno> {
    // SAFETY: the call touches no memory.
    unsafe { call(CallNumber::SCHED_OP, [sched::pack(SchedCmd::YIELD)]) }.map(drop)
}

/// Call 6: unmask events and sleep until one is due. Its callback has run when the call returns, and so masked
/// events again.
///
/// # Errors
/// None is known.
pub fn block() -> Result<(), Errno> {
    // SAFETY: the call touches no memory; the callback keeps to its own stack frame.
    unsafe { call(CallNumber::SCHED_OP, [sched::pack(SchedCmd::BLOCK)]) }.map(drop)
}

/// Call 6: stop this domain for good.
pub fn shutdown(reason: ShutdownReason) -> ! {
    loop {
        // SAFETY: the call touches no memory. It does not return; should it be refused, there is nothing else to do.
        let _ = unsafe { call(CallNumber::SCHED_OP, [sched::pack_shutdown(reason)]) };
    }
}

/// Call 8: writes virtual debug register `register`.
///
/// # Errors
/// −EINVAL: no such register; −EPERM: an address or control value that is not allowed.
pub fn set_debugreg(register: u32, value: u32) -> Result<(), Errno> {
    // SAFETY: the call touches no memory.
    unsafe { call(CallNumber::SET_DEBUGREG, [register, value]) }.map(drop)
}

/// Call 9: reads virtual debug register `register`.
///
/// # Errors
/// −EINVAL: no such register.
pub fn get_debugreg(register: u32) -> Result<u32, Errno> {
    // SAFETY: the call touches no memory.
    let (value, status) = unsafe { call_raw(CallNumber::GET_DEBUGREG, [register, 0, 0, 0, 0]) };
    errno::from_eax(status).map(|_| value)
}

/// Call 10: writes the descriptor at machine address `at`.
///
/// # Errors
/// −EINVAL: a bad descriptor, or a frame that may not hold one.
///
/// # Safety
/// Where `at` lies in no descriptor table, the 8 bytes there are the caller's to overwrite.
pub unsafe fn update_descriptor(at: MachAddr, descriptor: Descriptor) -> Result<(), Errno> {
    let ((at_low, at_high), (low, high)) = (at.low_high(), descriptor.low_high());
    // SAFETY: the caller's promise.
    unsafe { call(CallNumber::UPDATE_DESCRIPTOR, [at_low, at_high, low, high]) }.map(drop)
}

/// Call 11: lets `vector` go straight from ring 3 to its handler; 0 ends that.
///
/// # Errors
/// −EINVAL: a vector that cannot, or whose handler masks events.
pub fn set_fast_trap(vector: u8) -> Result<(), Errno> {
    // SAFETY: the call touches no memory.
    unsafe { call(CallNumber::SET_FAST_TRAP, [vector.into()]) }.map(drop)
}

/// The address of `value` as an argument: every address fits into 32 bits here.
pub(super) fn address_of<T: ?Sized>(value: &T) -> u32 {
    ptr::from_ref(value).cast::<()>() as u32
}
