//! #DB raised by a guest: single steps, breakpoints, `int1`.

use super::TrapOutcome;
use crate::{bounce::deliver_exception, context::Context, platform::Platform};
use guest_abi::{debugreg::dr6, trap::Vector};

/// #DB with the processor's DR6 in `hit`, which the caller has read and cleared.
///
/// A breakpoint hit while the guest's own DR7 is 0 belongs to whoever ran before and is dropped. A hit that
/// also single-stepped, and `int1` (which sets no bit), are the guest's; but the processor may then mark breakpoints
/// that are off, at the addresses whoever used them last left behind, and these marks are dropped.
///
/// # Errors
/// See [`super::handle_guest_trap`].
pub fn debug_exception<P: Platform>(cx: &mut Context<'_, P>, hit: u32) -> TrapOutcome {
    let vcpu = cx.vcpu();
    let is_stale = vcpu.debug_registers[7] == 0 && hit & dr6::HIT != 0 && hit & dr6::STEP == 0;
    if is_stale {
        cx.platform.write_debug_register(7, 0);
        return Ok(());
    }
    let hit = match vcpu.debug_registers[7] {
        0 => hit & !dr6::HIT,
        _ => hit,
    };
    let before = core::mem::replace(&mut vcpu.debug_registers[6], dr6::forced(hit));
    deliver_exception(cx, Vector::DEBUG.raw(), None, None)
        .inspect_err(|_| cx.vcpu().debug_registers[6] = before)
}
