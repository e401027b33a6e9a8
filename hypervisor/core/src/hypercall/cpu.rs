//! Calls 5, 8 and 9: the processor's registers that a guest cannot reach by itself.
//!
//! Source: Xen 2.0 interface: do_fpu_taskswitch, do_set_debugreg, do_get_debugreg.

use super::{Args, CallResult};
use crate::{context::Context, error::HvError, fpu, outcome::Outcome, platform::Platform};
use guest_abi::debugreg::{MAX_ADDRESS, REGISTERS, dr6, dr7};

/// Call 5, `fpu_taskswitch()`: the next FPU instruction is delivered as vector 7.
///
/// # Errors
/// None.
pub fn fpu_taskswitch<P: Platform>(cx: &mut Context<'_, P>) -> CallResult {
    fpu::arm(cx.platform, cx.vcpu());
    Ok(Outcome::Return(0))
}

/// Call 8, `set_debugreg(register, value)`. The processor's registers are loaded only while DR7 is not 0.
///
/// # Errors
/// [`HvError::Denied`] for an address in the hypervisor's range and for what DR7 may not ask; [`HvError::Invalid`]
/// for a register that cannot be set.
pub fn set_debugreg<P: Platform>(cx: &mut Context<'_, P>, [register, value, ..]: Args) -> CallResult {
    let stored = judged_debug_register(register, value)?;
    let platform = cx.platform;
    let registers = &mut cx.vcpu().debug_registers;
    let were_loaded = registers[7] != 0;
    registers[register as usize] = stored;
    if !were_loaded && registers[7] != 0 {
        // Switched on: what was set before goes first.
        for index in [0, 1, 2, 3, 6] {
            platform.write_debug_register(index, registers[index]);
        }
    }
    if were_loaded || registers[7] != 0 {
        platform.write_debug_register(register as usize, stored);
    }
    Ok(Outcome::Return(0))
}

/// What debug register `register` holds when `value` is set.
///
/// # Errors
/// Those of [`set_debugreg`].
pub(super) fn judged_debug_register(register: u32, value: u32) -> Result<u32, HvError> {
    match register {
        0..=3 if value <= MAX_ADDRESS => Ok(value),
        0..=3 => Err(HvError::Denied),
        6 => Ok(dr6::forced(value)),
        7 => dr7::forced(value).ok_or(HvError::Denied),
        _ => Err(HvError::Invalid),
    }
}

/// Call 9, `get_debugreg(register)`: the value in EAX, 0 or −EINVAL in EBX.
///
/// # Errors
/// [`HvError::Invalid`] for a register that does not exist.
pub fn get_debugreg<P: Platform>(cx: &mut Context<'_, P>, [register, ..]: Args) -> CallResult {
    if register >= REGISTERS {
        cx.regs.rbx = u64::from(HvError::Invalid.errno().to_eax());
        return Err(HvError::Invalid);
    }
    cx.regs.rbx = 0;
    Ok(Outcome::Return(cx.vcpu().debug_registers[register as usize]))
}
