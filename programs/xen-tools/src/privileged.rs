//! What Domain0's kernel does for management programs, as the builder and the listings need it.
//!
//! The programs implement it over `/dev/xen/privcmd`; the tests over a mock that refuses whatever it is told to.

use alloc::vec::Vec;

use guest_abi::addr::Mfn;
use guest_abi::domain::DomId;
use guest_abi::domctl::{self, Dom0Args, GetDomainInfo};
use guest_abi::mmu::MmuUpdate;
use guest_abi::vcpu::CpuContext;

use crate::errno::Result;

/// Calls to the hypervisor and mappings of other domains' memory.
pub trait Privileged {
    /// Frames of a domain, mapped; unmapped when dropped.
    type Window: Window;

    /// A `dom0_op` command whose arguments hold no address.
    ///
    /// # Errors
    /// What the hypervisor answers.
    fn control<A: Plain>(&self, args: &A) -> Result<A>;

    /// `getdomaininfo` without the context: the first domain with this number or a higher one.
    ///
    /// # Errors
    /// ESRCH if there is none.
    fn info(&self, first: DomId) -> Result<GetDomainInfo>;

    /// The first `count` machine frames of a domain, or all if it has fewer.
    ///
    /// # Errors
    /// What the hypervisor answers.
    fn memory_list(&self, domain: DomId, count: u32) -> Result<Vec<Mfn>>;

    /// Page-table and machine-to-phys updates, all of them.
    ///
    /// # Errors
    /// What the hypervisor answers to the first that it refuses; those before it stay.
    fn mmu_update(&self, requests: &[MmuUpdate]) -> Result<()>;

    /// `builddomain`: the context that a new domain starts with.
    ///
    /// # Errors
    /// What the hypervisor answers.
    fn set_first_context(&self, domain: DomId, context: &CpuContext) -> Result<()>;

    /// `getdomaininfo` of exactly this domain, with its context.
    ///
    /// # Errors
    /// What the hypervisor answers; ESRCH if there is no such domain.
    fn context(&self, domain: DomId) -> Result<(GetDomainInfo, CpuContext)>;

    /// Maps frames of a domain.
    ///
    /// # Errors
    /// What the kernel answers; nothing is mapped then.
    fn map(&self, domain: DomId, frames: &[Mfn], access: Access) -> Result<Self::Window>;

    /// Gives a domain a console: its ring, and a new event channel whose port at the domain is returned.
    ///
    /// # Errors
    /// What the kernel answers.
    fn attach_console(&self, domain: DomId, ring: Mfn, name: &str, show: bool) -> Result<u32>;

    /// Ends that.
    ///
    /// # Errors
    /// What the kernel answers.
    fn detach_console(&self, domain: DomId) -> Result<()>;

    /// A port at the domain that waits for Domain0.
    ///
    /// # Errors
    /// What the hypervisor answers.
    fn new_port(&self, domain: DomId) -> Result<u32>;

    /// Tells the store of a domain: the frame of its ring, and the port at the domain.
    ///
    /// # Errors
    /// What the store answers.
    fn introduce(&self, domain: DomId, ring: Mfn, port: u32) -> Result<()>;

    /// Has the store forget a domain, with what it kept of it.
    ///
    /// # Errors
    /// What the store answers; ENOENT: it does not know the domain.
    fn release(&self, domain: DomId) -> Result<()>;
}

/// Arguments of a command that hold no address, so that the command touches no memory of the program beyond its block.
pub trait Plain: Dom0Args {}

macro_rules! plain {
    ($($Args:ident)+) => { $( impl Plain for domctl::$Args {} )+ };
}

plain! {
    AdjustDom CreateDomain DestroyDomain GetCrash GetSchedId IoPortPermission IrqPermission PauseDomain PciDevAccess PciDevHolder
    PhysInfo SchedCtl SetDomainMaxMem SetDomainVmAssist UnpauseDomain
}

/// What may be done with a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Frames that are page or descriptor tables allow no more.
    ReadOnly,
    /// Everything.
    ReadWrite,
}

/// Mapped frames, one behind the other.
pub trait Window {
    /// Copies out from byte `at`. What lies outside is a mistake of the program.
    fn read(&self, at: usize, bytes: &mut [u8]);

    /// Copies in at byte `at`.
    fn write(&mut self, at: usize, bytes: &[u8]);

    /// Zeroes `len` bytes at `at`.
    fn zero(&mut self, at: usize, len: usize);
}
