//! Model-specific registers by number, of which the processor may not have one (Intel SDM vol. 4).

use core::arch::asm;

/// The processor refused: there is no such register, or it does not take the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// Reads register `number`.
///
/// # Errors
/// [`Refused`].
pub fn read(number: u32) -> Result<u64, Refused> {
    let (low, high): (u32, u32);
    // SAFETY: reading changes nothing; the fault for a register that does not exist is recovered through the exception
    // table.
    unsafe {
        asm!(
            "2: rdmsr",
            ".pushsection .ex_table, \"a\"",
            ".balign 4",
            ".long 2b - ., {fault} - .",
            ".popsection",
            in("ecx") number,
            out("eax") low,
            out("edx") high,
            fault = label { return Err(Refused) },
            options(nostack, preserves_flags)
        );
    }
    Ok(u64::from(low) | u64::from(high) << 32)
}

/// Writes register `number`.
///
/// # Errors
/// [`Refused`].
///
/// # Safety
/// What the register does must not break the hypervisor.
pub unsafe fn write(number: u32, value: u64) -> Result<(), Refused> {
    // SAFETY: the caller vouches for the effect; a fault is recovered through the exception table.
    unsafe {
        asm!(
            "2: wrmsr",
            ".pushsection .ex_table, \"a\"",
            ".balign 4",
            ".long 2b - ., {fault} - .",
            ".popsection",
            in("ecx") number,
            in("eax") value as u32,
            in("edx") (value >> 32) as u32,
            fault = label { return Err(Refused) },
            options(nostack, preserves_flags)
        );
    }
    Ok(())
}
