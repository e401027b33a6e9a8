//! Call 7: control of domains and of the machine, for privileged domains.
//!
//! | module | commands |
//! |---|---|
//! | [`lifecycle`] | create, build, pause, unpause, context, info, destroy |
//! | [`context`] | a vCPU as it travels, and every check of it |
//! | [`memory`] | lists, limits, page types |
//! | [`machine`] | clock, console, counters, registers, what there is |
//! | [`rights`] | ports, device frames, interrupt lines |
//! | [`sched`] | the policy, its parameter, and a domain's |
//!
//! A command that pauses is run again from its start and finds in the domain's record how far it came; what it must
//! remember besides travels in its other registers, ECX marked so that what a guest left in them by chance is not taken for it.
//!
//! Commands that mean nothing in long mode or here are −ENOSYS, like the numbers that mean nothing.
//!
//! Source: Xen 2.0 interface: do_dom0_op, with the layouts of its own interface version.

mod context;
mod lifecycle;
mod machine;
mod memory;
mod rights;
mod sched;

use super::{Args, CallResult};
use crate::{
    context::Context, domain::DomId, error::HvError, guest_mem::GuestPtr, life, mm::Mmu, outcome::Outcome,
    platform::Platform,
};
use guest_abi::{
    domain::DomId as WireId,
    domctl::{DOM0_INTERFACE_VERSION, Dom0Cmd, Dom0Op},
};

/// How a command ended that was not refused.
enum Answer {
    /// Done; nothing to tell.
    Done,
    /// Done; the block has results.
    Results,
    /// Done; the answer is a number.
    Number(u32),
    /// Paused: ECX, EDX, ESI and EDI for when it goes on.
    Pause([u32; 4]),
}

/// A command under way.
struct Command<'a, 'b, P: Platform> {
    cx: &'a mut Context<'b, P>,
    block: GuestPtr<Dom0Op>,
    op: Dom0Op,
    /// ECX, EDX, ESI and EDI, by which a paused command goes on.
    state: [u32; 4],
}

/// Call 7, `dom0_op(block)`. The block is written back where the command has results and succeeds.
///
/// # Errors
/// In this order: [`HvError::Denied`] to unprivileged callers, [`HvError::Fault`], [`HvError::Version`],
/// [`HvError::NotImplemented`], then the command's own.
pub fn dom0_op<P: Platform>(cx: &mut Context<'_, P>, args: Args) -> CallResult {
    if !cx.current_domain().is_privileged && !cfg!(feature = "mutant-unprivileged-control") {
        return Err(HvError::Denied);
    }
    let [at, ecx, edx, esi, edi] = args;
    let block: GuestPtr<Dom0Op> = GuestPtr::new(at)?;
    let op = block.read(cx.platform)?;
    if op.interface_version != DOM0_INTERFACE_VERSION {
        return Err(HvError::Version);
    }
    if Mmu::new(cx.hv, cx.platform).finish().is_err() {
        return Ok(Outcome::Again(args));
    }
    life::reap(cx.hv, cx.platform);
    let mut command = Command {
        cx,
        block,
        op,
        state: [ecx, edx, esi, edi],
    };
    match command.run()? {
        Answer::Done => {}
        Answer::Results => command.block.write(command.cx.platform, &command.op)?,
        Answer::Number(number) => return Ok(Outcome::Return(number)),
        Answer::Pause([ecx, edx, esi, edi]) => return Ok(Outcome::Again([at, ecx, edx, esi, edi])),
    }
    Ok(Outcome::Return(0))
}

impl<P: Platform> Command<'_, '_, P> {
    fn run(&mut self) -> Result<Answer, HvError> {
        match self.op.cmd {
            Dom0Cmd::CREATEDOMAIN => self.create(),
            Dom0Cmd::BUILDDOMAIN => self.build(),
            Dom0Cmd::SETCONTEXT => self.set_context(),
            Dom0Cmd::PAUSEDOMAIN => self.pause(),
            Dom0Cmd::UNPAUSEDOMAIN => self.unpause(),
            Dom0Cmd::DESTROYDOMAIN => self.destroy(),
            Dom0Cmd::GETDOMAININFO => self.domain_info(),
            Dom0Cmd::GETMEMLIST => self.memory_list(),
            Dom0Cmd::SETDOMAININITIALMEM => self.set_initial_memory(),
            Dom0Cmd::SETDOMAINMAXMEM => self.set_max_memory(),
            Dom0Cmd::GETPAGEFRAMEINFO => self.frame_info(),
            Dom0Cmd::GETPAGEFRAMEINFO2 => self.frame_infos(),
            Dom0Cmd::SETTIME => self.set_time(),
            Dom0Cmd::PHYSINFO => self.phys_info(),
            Dom0Cmd::PERFCCONTROL => self.counters(),
            Dom0Cmd::PINCPUDOMAIN => self.pin_cpu(),
            Dom0Cmd::GETCRASH => self.crash_info(),
            Dom0Cmd::SETDOMAINVMASSIST => self.set_vm_assist(),
            Dom0Cmd::READCONSOLE => self.read_console(),
            Dom0Cmd::MSR => self.msr(),
            // Nothing is traced.
            Dom0Cmd::GETTBUFS => Err(HvError::NoData),
            Dom0Cmd::IOPORT_PERMISSION => self.port_permission(),
            Dom0Cmd::IOMEM_PERMISSION => self.frame_permission(),
            Dom0Cmd::IRQ_PERMISSION => self.line_permission(),
            Dom0Cmd::PCIDEV_ACCESS => self.pci_access(),
            Dom0Cmd::PCIDEV_HOLDER => self.pci_holder(),
            Dom0Cmd::SCHED_ID => self.sched_id(),
            Dom0Cmd::SCHEDCTL => self.sched_ctl(),
            Dom0Cmd::ADJUSTDOM => self.adjust_domain(),
            _ => Err(HvError::NotImplemented),
        }
    }

    /// The slot of the domain that a command names.
    fn slot(&self, id: WireId) -> Result<usize, HvError> {
        self.cx.hv.slot_of(DomId(id.raw())).ok_or(HvError::NoSuchDomain)
    }
}

/// Refuses fields that must be 0.
fn must_be_0(pads: &[u32]) -> Result<(), HvError> {
    if pads.iter().all(|&pad| pad == 0) {
        Ok(())
    } else {
        Err(HvError::Invalid)
    }
}

/// Frames in `kib` KiB, rounded up.
fn pages_of(kib: u64) -> Option<u32> {
    u32::try_from(kib.div_ceil(4)).ok()
}

#[cfg(test)]
mod tests;
