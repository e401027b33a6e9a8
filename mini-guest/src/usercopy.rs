//! Copies that may fault: the only way the kernel touches memory at an address that a program gave.
//!
//! A fault inside the two copy instructions goes on at a recovery address, and the routine says how many bytes are left.
//! Nothing else happens in the fault handler: whoever wants missing pages brought in does that between two
//! attempts. The routines do not judge addresses; their callers do.

use core::arch::global_asm;

use crate::traps::Regs;

global_asm!(
    r#"
        .section .text.mini_guest_copy, "ax", @progbits
/* fn mini_guest_copy(to: u32, from: u32, len: u32) -> u32: how many bytes are left, 0 if all were copied. */
        .globl  mini_guest_copy
mini_guest_copy:
        push    esi
        push    edi
        mov     edi, [esp + 12]
        mov     esi, [esp + 16]
        mov     ecx, [esp + 20]
        mov     edx, ecx
        shr     ecx, 2
        and     edx, 3
        .globl  mini_guest_copy_words
mini_guest_copy_words:
        rep movsd
        mov     ecx, edx
        .globl  mini_guest_copy_bytes
mini_guest_copy_bytes:
        rep movsb
        .globl  mini_guest_copy_end
mini_guest_copy_end:
        mov     eax, ecx
        pop     edi
        pop     esi
        ret
        .globl  mini_guest_copy_words_failed
mini_guest_copy_words_failed:
        lea     ecx, [edx + 4*ecx]
        jmp     mini_guest_copy_end
    "#
);

unsafe extern "C" {
    fn mini_guest_copy(to: u32, from: u32, len: u32) -> u32;
    safe fn mini_guest_copy_words();
    safe fn mini_guest_copy_words_failed();
    safe fn mini_guest_copy_bytes();
    safe fn mini_guest_copy_end();
}

/// Copies `len` bytes from address `from` to address `to` and says how many could not be copied; what was, is the
/// front part.
///
/// # Safety
/// What lies at `to`, as far as it is mapped, must not be memory that Rust code holds references to or that the kernel
/// relies on, unless it is exclusively the caller's; what lies at `from` must not be written meanwhile.
pub unsafe fn copy(to: u32, from: u32, len: u32) -> u32 {
    // SAFETY: faults of the routine are recovered from; the rest is this function's own condition.
    unsafe { mini_guest_copy(to, from, len) }
}

/// Whether the trap in `regs` is one of the copy routines'; if so it goes on at the recovery address.
pub(crate) fn recover(regs: &mut Regs) -> bool {
    let address = |label: unsafe extern "C" fn()| label as *const () as u32;
    let table = [
        (
            address(mini_guest_copy_words),
            address(mini_guest_copy_words_failed),
        ),
        (address(mini_guest_copy_bytes), address(mini_guest_copy_end)),
    ];
    match table.into_iter().find(|(at, _)| *at == regs.eip) {
        Some((_, recovery)) => {
            regs.eip = recovery;
            true
        }
        None => false,
    }
}
