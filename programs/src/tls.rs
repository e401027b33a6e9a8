//! Thread-local storage by a segment: setting a descriptor, loading GS, and reaching through it.

use core::arch::asm;

use crate::abi::UserDesc;
use crate::errno::Result;
use crate::sys;

/// Flags of the descriptor that C libraries ask for: 32 bits, limit in pages, usable.
const FLAGS: u32 = UserDesc::BITS32 | UserDesc::PAGES | UserDesc::USEABLE;

/// Sets a descriptor to 4 GB from `base` (`entry` −1: a free one); gives its index.
///
/// # Errors
/// EINVAL for an index that is not for programs, ESRCH when none is free.
pub fn set(entry: i32, base: u32) -> Result<i32> {
    let mut descriptor = UserDesc {
        entry,
        base,
        limit: 0xF_FFFF,
        flags: FLAGS,
    };
    sys::set_thread_area(&mut descriptor)?;
    Ok(descriptor.entry)
}

/// Clears a descriptor.
///
/// # Errors
/// EINVAL for an index that is not for programs.
pub fn clear(entry: i32) -> Result<()> {
    let flags = UserDesc::READ_ONLY | UserDesc::NOT_PRESENT;
    sys::set_thread_area(&mut UserDesc {
        entry,
        base: 0,
        limit: 0,
        flags,
    })
}

/// Loads GS with the descriptor at `entry` (0 for none).
///
/// # Safety
/// The descriptor must be one that ring 3 may load: else this process gets SIGSEGV.
pub unsafe fn load_gs(entry: i32) {
    let selector = if entry == 0 {
        0
    } else {
        (entry.cast_unsigned() << 3 | 3) as u16
    };
    // SAFETY: nothing in these programs uses GS unless told to.
    unsafe { asm!("mov gs, {0:x}", in(reg) selector, options(nostack, preserves_flags)) };
}

/// Reads the word at `offset` in GS; a negative offset reaches below the base.
///
/// # Safety
/// GS must be loaded and the address must be readable.
pub unsafe fn read_gs(offset: i32) -> u32 {
    let value: u32;
    // SAFETY: the caller knows that the address is readable.
    unsafe { asm!("mov {0}, gs:[{1}]", out(reg) value, in(reg) offset, options(nostack, readonly)) };
    value
}

/// Writes the word at `offset` in GS.
///
/// # Safety
/// GS must be loaded and the address must be writable memory that Rust does not look at in between.
pub unsafe fn write_gs(offset: i32, value: u32) {
    // SAFETY: the caller knows that the address may be written.
    unsafe { asm!("mov gs:[{1}], {0}", in(reg) value, in(reg) offset, options(nostack)) };
}
