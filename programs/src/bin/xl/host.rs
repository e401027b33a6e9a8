//! Domain0's devices behind the traits of `xen-tools`: hypercalls and foreign memory by `/dev/xen/privcmd`, consoles by
//! `/dev/xen/consoles`, the store by `/dev/xen/xenbus`.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use guest_abi::addr::{GuestVirt, Mfn};
use guest_abi::domain::DomId;
use guest_abi::domctl::{BuildDomain, GetDomainInfo};
use guest_abi::event_channel::{BindInterdomain, Close, EvtchnArgs, EvtchnOp};
use guest_abi::hypercall::CallNumber;
use guest_abi::mmu::MmuUpdate;
use guest_abi::vcpu::CpuContext;
use programs::xen::privcmd::lock;
use programs::xen::{Consoles, ForeignMap, Privcmd, Store};
use xen_tools::errno::{Errno, Result};
use xen_tools::privileged::{Access, Plain, Privileged, Window};

/// The devices, open.
pub struct Host {
    /// Hypercalls and foreign memory.
    pub privcmd: Privcmd,
}

/// The kernel's error number as `xen-tools` has it.
pub fn errno(error: programs::Errno) -> Errno {
    Errno(error.0)
}

impl Host {
    /// Opens them.
    ///
    /// # Errors
    /// One line; in other domains there are no such devices.
    pub fn open() -> core::result::Result<Self, String> {
        match Privcmd::open() {
            Ok(privcmd) => Ok(Self { privcmd }),
            Err(programs::Errno::ENOENT) => Err("this is not Domain0; domains are managed there".into()),
            Err(error) => Err(format!("/dev/xen/privcmd: {error}")),
        }
    }

    /// An event-channel operation; gives its arguments as they come back.
    ///
    /// # Errors
    /// What the hypervisor answers.
    pub fn event_channel<A: EvtchnArgs>(&self, args: &A) -> Result<A> {
        let mut op = EvtchnOp::new(args);
        lock(&mut op).map_err(errno)?;
        let address = core::ptr::from_mut(&mut op) as u32;
        // SAFETY: the block is ours and locked, and no event-channel operation reads or writes anything else.
        let answer = unsafe {
            self.privcmd
                .hypercall(CallNumber::EVENT_CHANNEL_OP, [address, 0, 0, 0, 0])
        };
        answer.map_err(errno)?;
        Ok(op.args())
    }
}

impl Privileged for Host {
    type Window = Map;

    fn control<A: Plain>(&self, args: &A) -> Result<A> {
        // SAFETY: such arguments hold no addresses.
        unsafe { self.privcmd.dom0_op(args) }
            .map(|(args, _)| args)
            .map_err(errno)
    }

    fn info(&self, first: DomId) -> Result<GetDomainInfo> {
        self.privcmd.domain_info(first).map_err(errno)
    }

    fn memory_list(&self, domain: DomId, count: u32) -> Result<Vec<Mfn>> {
        let mut frames = vec![0; count as usize];
        let mut found = 0;
        while found < frames.len() {
            match self
                .privcmd
                .memory_list(domain, found as u32, &mut frames[found..])
                .map_err(errno)?
            {
                0 => break,
                more => found += more,
            }
        }
        frames.truncate(found);
        Ok(frames.into_iter().map(Mfn::new).collect())
    }

    fn mmu_update(&self, requests: &[MmuUpdate]) -> Result<()> {
        // Lent for writing too, as far as the lock goes, hence a copy.
        let mut requests = requests.to_vec();
        lock(&mut requests[..]).map_err(errno)?;
        let arguments = [requests.as_mut_ptr() as u32, requests.len() as u32, 0, 0, 0];
        // SAFETY: the list is ours, locked, and as long as said; what it asks for is judged by the hypervisor, and what it
        // may change of this domain is nothing: it names the owner of the frames first.
        unsafe { self.privcmd.hypercall(CallNumber::MMU_UPDATE, arguments) }
            .map(drop)
            .map_err(errno)
    }

    fn set_first_context(&self, domain: DomId, context: &CpuContext) -> Result<()> {
        let mut context = Box::new(*context);
        lock(&mut *context).map_err(errno)?;
        let args = BuildDomain {
            domain,
            pad: 0,
            ctxt: GuestVirt::new(core::ptr::from_mut(&mut *context) as u32),
        };
        // SAFETY: the context is ours, locked, and of the type that is read.
        unsafe { self.privcmd.dom0_op(&args) }.map(drop).map_err(errno)
    }

    fn context(&self, domain: DomId) -> Result<(GetDomainInfo, CpuContext)> {
        let mut context = Box::<CpuContext>::default();
        let info = self.privcmd.domain_context(domain, &mut context).map_err(errno)?;
        Ok((info, *context))
    }

    fn map(&self, domain: DomId, frames: &[Mfn], access: Access) -> Result<Map> {
        self.privcmd
            .map_foreign(domain, frames, access == Access::ReadWrite)
            .map(Map)
            .map_err(errno)
    }

    fn attach_console(&self, domain: DomId, ring: Mfn, name: &str, show: bool) -> Result<u32> {
        Consoles::open()
            .and_then(|consoles| consoles.attach(domain, (ring, 0), name.as_bytes(), show))
            .map_err(errno)
    }

    fn detach_console(&self, domain: DomId) -> Result<()> {
        Consoles::open()
            .and_then(|consoles| consoles.detach(domain))
            .map_err(errno)
    }

    fn new_port(&self, domain: DomId) -> Result<u32> {
        // Both ends are made here, and ours is closed: the other one then waits for this domain.
        let ends = self.event_channel(&BindInterdomain {
            dom1: DomId::SELF,
            dom2: domain,
            port1: 0,
            port2: 0,
        })?;
        self.event_channel(&Close {
            dom: DomId::SELF,
            pad: 0,
            port: ends.port1,
        })?;
        Ok(ends.port2)
    }

    fn introduce(&self, domain: DomId, ring: Mfn, port: u32) -> Result<()> {
        Store::open()
            .and_then(|mut store| store.introduce(domain, ring, port))
            .map_err(errno)
    }

    fn release(&self, domain: DomId) -> Result<()> {
        Store::open()
            .and_then(|mut store| store.release(domain))
            .map_err(errno)
    }
}

/// Frames of another domain.
pub struct Map(pub ForeignMap);

impl Window for Map {
    fn read(&self, at: usize, bytes: &mut [u8]) {
        self.0.read(at, bytes);
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        self.0.write(at, bytes);
    }

    fn zero(&mut self, at: usize, len: usize) {
        self.0.zero(at, len);
    }
}
