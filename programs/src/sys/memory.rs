//! Calls about memory and segments.

use super::{address_mut, call};
use crate::abi::{MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE, UserDesc, nr};
use crate::errno::Result;

/// Asks for the program break `to`; gives the break that is. The heap alone may move it.
pub(crate) fn brk(to: usize) -> usize {
    call(nr::BRK, &[to as u32]).map_or(0, |at| at as usize)
}

/// Maps zero pages that may be read and written.
///
/// # Errors
/// ENOMEM, EINVAL.
pub fn map_anonymous(length: usize) -> Result<*mut u8> {
    let args = [
        0,
        length as u32,
        PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS,
        u32::MAX,
        0,
    ];
    call(nr::MMAP2, &args).map(|at| at as *mut u8)
}

/// Reserves addresses for what a device will show there: nothing is mapped yet.
///
/// # Errors
/// ENODEV for a file that is no such device, EBADF, ENOMEM, EINVAL.
pub fn map_device(fd: i32, length: usize, writable: bool) -> Result<*mut u8> {
    let protection = if writable {
        PROT_READ | PROT_WRITE
    } else {
        PROT_READ
    };
    let args = [0, length as u32, protection, MAP_SHARED, fd.cast_unsigned(), 0];
    call(nr::MMAP2, &args).map(|at| at as *mut u8)
}

/// Brings in the pages of `length` bytes and keeps them there, ready to be written where that is allowed.
///
/// # Errors
/// ENOMEM for a hole, or when memory is short.
pub fn mlock(start: *const u8, length: usize) -> Result<()> {
    call(nr::MLOCK, &[start as u32, length as u32]).map(drop)
}

/// Changes what may be done with pages.
///
/// # Errors
/// ENOMEM for a hole, EINVAL.
///
/// # Safety
/// No live reference may reach the pages in a way that is then forbidden.
pub unsafe fn mprotect(start: *mut u8, length: usize, protection: u32) -> Result<()> {
    call(nr::MPROTECT, &[start as u32, length as u32, protection]).map(drop)
}

/// Unmaps pages.
///
/// # Errors
/// EINVAL.
///
/// # Safety
/// Nothing may use the pages afterwards.
pub unsafe fn munmap(start: *mut u8, length: usize) -> Result<()> {
    call(nr::MUNMAP, &[start as u32, length as u32]).map(drop)
}

/// Sets a descriptor for thread-local storage.
///
/// # Errors
/// EINVAL for an index that is not for programs, ESRCH when none is free.
pub fn set_thread_area(descriptor: &mut UserDesc) -> Result<()> {
    call(nr::SET_THREAD_AREA, &[address_mut(descriptor)]).map(drop)
}
