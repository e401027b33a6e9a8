//! `int 0x80`, and one safe function for each system call that a safe function can be made of.
//!
//! Register contract (Linux, i386): number in EAX, arguments in EBX, ECX, EDX, ESI, EDI, EBP, result in EAX; nothing
//! else changes. −4095…−1 is a negated error number.

mod disks;
mod files;
mod memory;
mod processes;
mod sockets;
mod system;

use alloc::ffi::CString;
use core::arch::global_asm;

pub use disks::*;
pub use files::*;
pub use memory::*;
pub use processes::*;
pub use sockets::*;
pub use system::*;

use crate::errno::{Errno, Result};

// cdecl: the seven arguments lie above the return address; EBX, ESI, EDI and EBP belong to the caller.
global_asm!(
    ".section .text.program_syscall, \"ax\"",
    ".global program_syscall",
    "program_syscall:",
    "    push ebp",
    "    push ebx",
    "    push esi",
    "    push edi",
    "    mov eax, [esp + 20]",
    "    mov ebx, [esp + 24]",
    "    mov ecx, [esp + 28]",
    "    mov edx, [esp + 32]",
    "    mov esi, [esp + 36]",
    "    mov edi, [esp + 40]",
    "    mov ebp, [esp + 44]",
    "    int 0x80",
    "    pop edi",
    "    pop esi",
    "    pop ebx",
    "    pop ebp",
    "    ret",
);

unsafe extern "C" {
    fn program_syscall(number: u32, a: u32, b: u32, c: u32, d: u32, e: u32, f: u32) -> i32;
}

/// Issues a system call.
///
/// # Errors
/// Whatever the kernel answers.
///
/// # Safety
/// The arguments must be such that the kernel changes no memory of this program that safe code relies on.
pub unsafe fn raw(number: u32, args: [u32; 6]) -> Result<u32> {
    let [a, b, c, d, e, f] = args;
    // SAFETY: the caller vouches for what the kernel does with the arguments.
    let result = unsafe { program_syscall(number, a, b, c, d, e, f) };
    match result {
        -4095..=-1 => Err(Errno(-result)),
        _ => Ok(result.cast_unsigned()),
    }
}

/// A call whose arguments are numbers, addresses that the kernel only reads, or addresses of values that the caller
/// has borrowed exclusively.
fn call(number: u32, args: &[u32]) -> Result<u32> {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    // SAFETY: only used in this module's parts, each of which passes what is said above.
    unsafe { raw(number, all) }
}

fn address<T: ?Sized>(value: &T) -> u32 {
    core::ptr::from_ref(value).cast::<u8>() as u32
}

fn address_mut<T: ?Sized>(value: &mut T) -> u32 {
    core::ptr::from_mut(value).cast::<u8>() as u32
}

/// A path with its zero byte.
///
/// # Errors
/// EINVAL when a zero byte is inside.
pub fn c_string(text: &[u8]) -> Result<CString> {
    CString::new(text).map_err(|_| Errno::EINVAL)
}
