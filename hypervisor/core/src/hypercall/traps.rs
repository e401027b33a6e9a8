//! Calls 0, 3, 4 and 11: where the guest's kernel is entered.
//!
//! Source: Xen 2.0 interface: do_set_trap_table, do_stack_switch, do_set_callbacks, do_set_fast_trap.

use super::{Args, CallResult};
use crate::{
    context::Context,
    error::HvError,
    guest_mem::{GuestPtr, in_guest_range},
    outcome::Outcome,
    platform::{FastTrap, Platform},
    segment::check_code_selector,
    vcpu::{CodePointer, Vcpu},
};
use guest_abi::{
    segment::Selector,
    trap::{FAST_TRAP_VECTORS, SYSCALL_VECTOR, TrapFlags, TrapInfo},
};

/// Entries of a trap table between two looks at pending work.
const ENTRIES_PER_CHECK: u32 = 128;
const ENTRY_BYTES: u32 = size_of::<TrapInfo>() as u32;

/// Call 0, `set_trap_table(table)`: entries of the virtual IDT, up to one with address 0. Entries before a bad one
/// stay installed.
///
/// # Errors
/// [`HvError::Fault`]; [`HvError::Denied`] for a code selector that does not lead to ring 1.
pub fn set_trap_table<P: Platform>(cx: &mut Context<'_, P>, [mut at, ..]: Args) -> CallResult {
    let platform = cx.platform;
    let gates = &mut cx.vcpu().gates;
    loop {
        for _ in 0..ENTRIES_PER_CHECK {
            let Ok(entry) = GuestPtr::<TrapInfo>::new(at).and_then(|entry| entry.read(platform)) else {
                return Err(HvError::Fault);
            };
            if entry.is_terminator() {
                return Ok(Outcome::Return(0));
            }
            check_code_selector(entry.cs)?;
            gates[usize::from(entry.vector)] = entry;
            // The entry was below the hypervisor's range, so this does not wrap.
            at = at.wrapping_add(ENTRY_BYTES);
        }
        if platform.work_pending() {
            return Ok(Outcome::Again([at, 0, 0, 0, 0]));
        }
    }
}

/// Call 3, `stack_switch(ss, esp)`: the ring-1 stack for entries from rings 2 and 3. What is wrong with it beyond its
/// RPL shows when it is used, and kills the domain then.
///
/// # Errors
/// [`HvError::Denied`] for RPL 0.
pub fn stack_switch<P: Platform>(cx: &mut Context<'_, P>, [ss, esp, ..]: Args) -> CallResult {
    let ss = Selector::new(ss as u16);
    if ss.rpl() == 0 {
        return Err(HvError::Denied);
    }
    let vcpu = cx.vcpu();
    vcpu.kernel_ss = ss.raw();
    vcpu.kernel_esp = esp;
    arm_fast_trap(cx);
    Ok(Outcome::Return(0))
}

/// The short way of [`stack_switch`], where there is no fast trap or it stays armed.
#[inline(always)]
pub fn stack_switch_quickly<P: Platform>(cx: &mut Context<'_, P>, [ss, esp, ..]: Args) -> Option<u32> {
    let ss = Selector::new(ss as u16);
    let platform = cx.platform;
    let vcpu = &mut cx.hv.running_if_any()?.vcpus[0];
    if ss.rpl() == 0 {
        return None;
    }
    if vcpu.fast_trap.is_some() {
        if !vcpu.fast_trap_is_armed || !fast_trap_can_push(ss.raw(), esp) {
            return None;
        }
        platform.set_kernel_stack(ss.raw(), esp);
    }
    vcpu.kernel_ss = ss.raw();
    vcpu.kernel_esp = esp;
    Some(0)
}

/// Call 4, `set_callbacks(event_cs, event_eip, failsafe_cs, failsafe_eip)`.
///
/// # Errors
/// [`HvError::Denied`] for a code selector that does not lead to ring 1.
pub fn set_callbacks<P: Platform>(cx: &mut Context<'_, P>, args: Args) -> CallResult {
    let [event_cs, event_eip, failsafe_cs, failsafe_eip, _] = args;
    let event = code_pointer(event_cs, event_eip)?;
    let failsafe = code_pointer(failsafe_cs, failsafe_eip)?;
    let vcpu = cx.vcpu();
    vcpu.event_callback = event;
    vcpu.failsafe_callback = failsafe;
    Ok(Outcome::Return(0))
}

fn code_pointer(cs: u32, eip: u32) -> Result<CodePointer, HvError> {
    let cs = Selector::new(cs as u16);
    check_code_selector(cs)?;
    Ok(CodePointer { cs: cs.raw(), eip })
}

/// Call 11, `set_fast_trap(vector)`: the vector's present gate becomes the fast trap; 0 removes it. A later change of
/// the gate does not change the fast trap.
///
/// # Errors
/// [`HvError::Invalid`] for a vector that cannot be one, and for a gate without handler or with the mask flag (which
/// the fast way cannot honour).
pub fn set_fast_trap<P: Platform>(cx: &mut Context<'_, P>, [vector, ..]: Args) -> CallResult {
    let gates = &cx.current_vcpu().gates;
    let fast_trap = judged_fast_trap(vector, |vector| gates[usize::from(vector)])?;
    cx.vcpu().fast_trap = fast_trap;
    arm_fast_trap(cx);
    Ok(Outcome::Return(0))
}

/// The fast trap of `vector` (0: none) by the gate that it has.
///
/// # Errors
/// Those of [`set_fast_trap`].
pub(super) fn judged_fast_trap(
    vector: u32,
    gate: impl FnOnce(u8) -> TrapInfo,
) -> Result<Option<FastTrap>, HvError> {
    let vector = u8::try_from(vector).map_err(|_| HvError::Invalid)?;
    if vector == 0 {
        return Ok(None);
    }
    if vector != SYSCALL_VECTOR && !FAST_TRAP_VECTORS.contains(&vector) {
        return Err(HvError::Invalid);
    }
    let gate = gate(vector);
    if gate.address == 0 || gate.flags.contains(TrapFlags::MASK_EVENTS) {
        return Err(HvError::Invalid);
    }
    Ok(Some(FastTrap {
        vector,
        dpl: gate.flags.dpl(),
        cs: gate.cs.raw(),
        eip: gate.address,
    }))
}

/// Bytes of the frame that the fast trap's stub pushes.
const FAST_FRAME_BYTES: u32 = 5 * 4;

/// Whether the fast trap's stub can push on this stack: it knows nothing of segments.
#[inline(always)]
const fn fast_trap_can_push(ss: u16, esp: u32) -> bool {
    ss == Selector::FLAT_RING1_DS.raw()
        && in_guest_range(esp.wrapping_sub(FAST_FRAME_BYTES), FAST_FRAME_BYTES)
}

/// Says in the record whether the fast trap is armed.
pub(super) fn judge_fast_trap_stack(vcpu: &mut Vcpu) {
    vcpu.fast_trap_is_armed = vcpu.fast_trap.is_some() && fast_trap_can_push(vcpu.kernel_ss, vcpu.kernel_esp);
}

/// Arms the vCPU's fast trap if it has one and its ring-1 stack is one that the stub can push on; on any other the
/// vector takes the ordinary way.
fn arm_fast_trap<P: Platform>(cx: &mut Context<'_, P>) {
    let platform = cx.platform;
    let vcpu = cx.vcpu();
    judge_fast_trap_stack(vcpu);
    platform.set_kernel_stack(vcpu.kernel_ss, vcpu.kernel_esp);
    platform.set_fast_trap(vcpu.armed_fast_trap());
}
