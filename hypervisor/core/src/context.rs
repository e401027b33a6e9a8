//! What a hypercall handler or trap works on.

use crate::{domain::Domain, hypervisor::Hypervisor, platform::Platform, regs::UserRegs, vcpu::Vcpu};

/// The state, the machine, and the registers of the caller.
pub struct Context<'a, P: Platform> {
    /// All state.
    pub hv: &'a mut Hypervisor,
    /// The machine.
    pub platform: &'a P,
    /// The caller's registers, as saved at entry.
    pub regs: &'a mut UserRegs,
}

impl<P: Platform> Context<'_, P> {
    /// Runs `f`, the rare case of something common, on a context of its own. The common case then keeps the three
    /// parts in processor registers, has no stack frame, and saves nothing for the rare one.
    #[inline(always)]
    pub fn out_of_line<R>(&mut self, f: impl FnOnce(&mut Context<'_, P>) -> R) -> R {
        out_of_line(self.hv, self.platform, self.regs, f)
    }

    /// The calling domain.
    ///
    /// # Panics
    /// Where no domain runs, which no guest can bring about.
    #[inline(always)]
    #[must_use]
    pub fn domain(&mut self) -> &mut Domain {
        self.hv.running_mut()
    }

    /// The calling domain, to look at.
    ///
    /// # Panics
    /// Where no domain runs, which no guest can bring about.
    #[inline(always)]
    #[must_use]
    pub fn current_domain(&self) -> &Domain {
        self.hv.running()
    }

    /// The calling vCPU, to look at.
    #[inline(always)]
    #[must_use]
    pub fn current_vcpu(&self) -> &Vcpu {
        &self.current_domain().vcpus[0]
    }

    /// The calling vCPU.
    #[inline(always)]
    #[must_use]
    pub fn vcpu(&mut self) -> &mut Vcpu {
        &mut self.domain().vcpus[0]
    }
}

#[cold]
#[inline(never)]
fn out_of_line<P: Platform, R>(
    hv: &mut Hypervisor,
    platform: &P,
    regs: &mut UserRegs,
    f: impl FnOnce(&mut Context<'_, P>) -> R,
) -> R {
    f(&mut Context { hv, platform, regs })
}
