//! Calls about the rest: 7, 15–20.

use guest_abi::console::ConsoleCmd;
use guest_abi::domain::DomId;
use guest_abi::domctl::{Dom0Op, DomainFlags, GetDomainInfo};
use guest_abi::errno::Errno;
use guest_abi::event_channel::{EvtchnArgs, EvtchnOp};
use guest_abi::hypercall::CallNumber;
use guest_abi::timer;
use guest_abi::version::{FeatureInfo, Features, VersionCmd};
use zerocopy::IntoBytes;

use super::cpu::address_of;
use super::raw::call;

/// Call 7: domain control. `block` is a whole command block, written back with its results.
///
/// # Errors
/// −EPERM, −EFAULT, −EACCES, −ENOSYS, and each command's own.
///
/// # Safety
/// The block is as long as the call reads and writes, and pointers in it lead to memory that is the caller's.
pub unsafe fn dom0_op<T: IntoBytes>(block: &mut T) -> Result<u32, Errno> {
    // SAFETY: the caller's promise.
    unsafe { call(CallNumber::DOM0_OP, [address_of(block)]) }
}

/// Whether domain `domain` exists and is not being destroyed; in doubt it does.
#[must_use]
pub fn domain_exists(domain: DomId) -> bool {
    let question = GetDomainInfo {
        domain,
        ..GetDomainInfo::default()
    };
    let mut op = Dom0Op::new(&question);
    // SAFETY: the block is ours and whole; without an address no context is written.
    match unsafe { dom0_op(&mut op) } {
        Ok(_) => {
            let found: GetDomainInfo = op.args();
            found.domain == domain && !found.flags.contains(DomainFlags::DYING)
        }
        Err(errno) => errno != Errno::Srch,
    }
}

/// Call 15: asks for the timer event at absolute system time `ns`; 0 cancels.
///
/// # Errors
/// None is known.
pub fn set_timer(ns: u64) -> Result<(), Errno> {
    let (high, low) = timer::pack(ns);
    // SAFETY: the call touches no memory.
    unsafe { call(CallNumber::SET_TIMER_OP, [high, low]) }.map(drop)
}

/// Call 16: the event-channel command whose arguments are of type `A`; gives them with the results filled in.
///
/// # Errors
/// The command's own.
pub fn event_channel_op<A: EvtchnArgs>(args: &A) -> Result<A, Errno> {
    let mut block = EvtchnOp::new(args);
    // SAFETY: the block is ours to be written.
    unsafe { call(CallNumber::EVENT_CHANNEL_OP, [&raw mut block as u32]) }?;
    Ok(block.args())
}

/// Call 17: the interface's version. The cheapest call, made to have pending events delivered after unmasking.
///
/// # Errors
/// None is known.
pub fn xen_version() -> Result<u32, Errno> {
    // SAFETY: the call touches no memory.
    unsafe { call(CallNumber::XEN_VERSION, [VersionCmd::VERSION.raw()]) }
}

/// Call 17: what distinguishes this hypervisor, 16 bytes with NULs at the end.
///
/// # Errors
/// None is known.
pub fn extraversion() -> Result<[u8; 16], Errno> {
    let mut text = [0_u8; 16];
    // SAFETY: the buffer is ours and as long as the call writes.
    unsafe {
        call(
            CallNumber::XEN_VERSION,
            [VersionCmd::EXTRAVERSION.raw(), text.as_mut_ptr() as u32],
        )
    }?;
    Ok(text)
}

/// Call 17: what this hypervisor can do.
///
/// # Errors
/// None is known.
pub fn features() -> Result<Features, Errno> {
    let mut info = FeatureInfo::default();
    // SAFETY: the buffer is ours and of the call's type.
    unsafe {
        call(
            CallNumber::XEN_VERSION,
            [VersionCmd::FEATURES.raw(), &raw mut info as u32],
        )
    }?;
    Ok(info.submap)
}

/// Call 18: writes to the machine's console; gives how many bytes were taken.
///
/// # Errors
/// −EPERM: not privileged.
pub fn console_write(bytes: &[u8]) -> Result<u32, Errno> {
    let count = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    // SAFETY: the buffer is only read.
    unsafe {
        call(
            CallNumber::CONSOLE_IO,
            [ConsoleCmd::WRITE.raw(), count, bytes.as_ptr() as u32],
        )
    }
}

/// Call 18: takes what was typed; gives how many bytes there were.
///
/// # Errors
/// −EPERM: not privileged.
pub fn console_read(into: &mut [u8]) -> Result<u32, Errno> {
    let count = u32::try_from(into.len()).unwrap_or(u32::MAX);
    // SAFETY: the buffer is ours to be written.
    unsafe {
        call(
            CallNumber::CONSOLE_IO,
            [ConsoleCmd::READ.raw(), count, into.as_mut_ptr() as u32],
        )
    }
}

/// Call 19: PCI configuration and physical interrupts. `block` is a whole command block, written back with its results.
///
/// # Errors
/// The command's own.
///
/// # Safety
/// The block is as long as the call reads and writes.
pub unsafe fn physdev_op<T: IntoBytes>(block: &mut T) -> Result<u32, Errno> {
    // SAFETY: the caller's promise.
    unsafe { call(CallNumber::PHYSDEV_OP, [address_of(block)]) }
}

/// Call 20: a batch of grant-table operations of command `cmd`, each with its own status.
///
/// # Errors
/// −ENOSYS, −EFAULT.
///
/// # Safety
/// The records are of the command's type, and what they name is the caller's to share.
pub unsafe fn grant_table_op<T: IntoBytes>(cmd: u32, records: &mut [T]) -> Result<u32, Errno> {
    let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
    // SAFETY: the caller's promise.
    unsafe {
        call(
            CallNumber::GRANT_TABLE_OP,
            [cmd, records.as_mut_ptr() as u32, count],
        )
    }
}
