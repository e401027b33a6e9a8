//! What a hypercall handler works on.

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
    /// The calling domain.
    ///
    /// # Panics
    /// Where no domain runs, which no guest can bring about.
    #[inline(always)]
    #[must_use]
    pub fn domain(&mut self) -> &mut Domain {
        self.hv.domains[self.hv.current]
            .as_deref_mut()
            .expect("a domain runs")
    }

    /// The calling domain, to look at.
    ///
    /// # Panics
    /// Where no domain runs, which no guest can bring about.
    #[inline(always)]
    #[must_use]
    pub fn current_domain(&self) -> &Domain {
        self.hv.domains[self.hv.current]
            .as_deref()
            .expect("a domain runs")
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
