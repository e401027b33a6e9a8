//! Copies of memory: the processor's own instruction.
//!
//! The kernel has no wide registers, and the compiler's routine for such processors needs some four instructions for each word. Whatever the kernel copies, frames and
//! structures, comes here.
//!
//! Source: Intel SDM vol. 2B, MOVS.

use core::arch::asm;

/// Copies bytes. The compiler sees nothing of it but that memory changes, so either side may be memory that others look at or change.
///
/// # Safety
/// `from` is readable and `to` writable for `len` bytes, and they do not overlap.
#[inline(always)]
pub unsafe fn copy(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: the caller's conditions. The compiler keeps ESI to itself, so it is exchanged and given back; the direction is up.
    unsafe {
        asm!(
            "xchg esi, eax",
            "rep movsd",
            "mov ecx, edx",
            "rep movsb",
            "mov esi, eax",
            inout("eax") from => _,
            in("edx") len % 4,
            inout("edi") to => _,
            inout("ecx") len / 4 => _,
            options(nostack, preserves_flags)
        );
    }
}

/// What the compiler calls.
///
/// # Safety
/// As for [`copy`].
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: the caller's conditions.
    unsafe { copy(to, from, len) };
    to
}
