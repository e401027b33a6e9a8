//! The instruction itself.

use core::arch::asm;

use guest_abi::errno::{self, Errno};
use guest_abi::hypercall::CallNumber;

/// Makes call `number` with all five argument registers and gives EAX and EBX as they come back.
///
/// # Safety
/// What the call does to memory must be something the caller may do: it writes through pointers, and may change what
/// addresses mean.
pub unsafe fn call_raw(number: CallNumber, arguments: [u32; 5]) -> (u32, u32) {
    let [ebx, ecx, edx, esi, edi] = arguments;
    let (mut eax, mut ebx) = (number.raw(), ebx);
    // ESI is the compiler's own: it is saved around the call, and it and EDI are loaded from memory.
    let last = [esi, edi];
    // SAFETY: the hypervisor preserves all but EAX and the argument registers, all of them declared; memory effects
    // are the caller's business and the block is assumed to have any.
    unsafe {
        asm!(
            "push esi",
            "mov esi, [edi]",
            "mov edi, [edi + 4]",
            "int 0x82",
            "pop esi",
            inout("eax") eax,
            inout("ebx") ebx,
            inout("ecx") ecx => _,
            inout("edx") edx => _,
            inout("edi") last.as_ptr() => _,
        );
    }
    (eax, ebx)
}

/// Makes call `number`, the arguments not given being 0.
///
/// # Errors
/// What the hypervisor answered.
///
/// # Safety
/// As for [`call_raw`].
pub unsafe fn call<const N: usize>(number: CallNumber, arguments: [u32; N]) -> Result<u32, Errno> {
    const { assert!(N <= 5) };
    let mut all = [0; 5];
    all[..N].copy_from_slice(&arguments);
    // SAFETY: the caller's promise.
    errno::from_eax(unsafe { call_raw(number, all) }.0)
}
