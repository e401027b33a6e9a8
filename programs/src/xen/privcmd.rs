//! Hypercalls by `/dev/xen/privcmd`.
//!
//! The hypervisor does not bring in pages: what it is to read or write must be there. Buffers that these functions lend
//! it are locked first; whoever passes addresses to [`Privcmd::hypercall`] does so with [`lock`].

use core::ptr;

use guest_abi::addr::GuestVirt;
use guest_abi::domain::DomId;
use guest_abi::domctl::{self, Dom0Args, Dom0Op, GetDomainInfo, GetMemList, ReadConsole};
use guest_abi::hypercall::CallNumber;
use guest_abi::vcpu::CpuContext;

use crate::abi::O_RDWR;
use crate::errno::Result;
use crate::file::File;
use crate::sys;

/// The device.
pub const PATH: &[u8] = b"/dev/xen/privcmd";
/// `IOCTL_PRIVCMD_HYPERCALL`.
const HYPERCALL: u32 = 0x0018_5000;

/// A hypercall as the device takes it.
#[repr(C)]
struct Hypercall {
    number: u32,
    arguments: [u32; 5],
}

/// Commands of `dom0_op` whose blocks hold no addresses, so that asking for them touches no memory of this program.
pub trait Plain: Dom0Args {}

macro_rules! plain {
    ($($Args:ident)+) => { $( impl Plain for domctl::$Args {} )+ };
}

plain! {
    SchedCtl AdjustDom CreateDomain DestroyDomain PauseDomain UnpauseDomain Msr SetTime GetPageFrameInfo PinCpuDomain
    GetTbufs PhysInfo PciDevAccess PciDevHolder GetSchedId SetDomainInitialMem SetDomainMaxMem SetDomainVmAssist AddMemType
    DelMemType ReadMemType IoPortPermission IoMemPermission IrqPermission GetCrash
}

/// The open device.
pub struct Privcmd {
    file: File,
}

/// Brings in the pages of `value`, so that the hypervisor can read and write there until this process forks.
///
/// # Errors
/// ENOMEM.
pub fn lock<T: ?Sized>(value: &mut T) -> Result<()> {
    sys::mlock(ptr::from_mut(value).cast(), size_of_val(value))
}

impl Privcmd {
    /// Opens the device.
    ///
    /// # Errors
    /// ENOENT: this is no privileged domain.
    pub fn open() -> Result<Self> {
        File::open_with(PATH, O_RDWR).map(|file| Self { file })
    }

    /// The descriptor.
    pub(super) fn descriptor(&self) -> i32 {
        self.file.descriptor()
    }

    /// Makes any hypercall.
    ///
    /// # Errors
    /// What the hypervisor answers.
    ///
    /// # Safety
    /// What the hypervisor then reads and writes by addresses among the arguments must be this program's to lend. The call
    /// acts for the whole domain, its kernel included.
    pub unsafe fn hypercall(&self, number: CallNumber, arguments: [u32; 5]) -> Result<u32> {
        let mut block = Hypercall {
            number: number.raw(),
            arguments,
        };
        // SAFETY: this is the structure of the request; what the call does beyond it is the caller's promise.
        unsafe { sys::ioctl(self.descriptor(), HYPERCALL, &mut block) }
    }

    /// Makes a `dom0_op`; gives the block's arguments as they come back, and the call's result.
    ///
    /// # Errors
    /// What the hypervisor answers.
    ///
    /// # Safety
    /// Addresses in the arguments lead to memory that is lent for what the command does with it.
    pub unsafe fn dom0_op<A: Dom0Args>(&self, args: &A) -> Result<(A, u32)> {
        let mut op = Dom0Op::new(args);
        lock(&mut op)?;
        let address = ptr::from_mut(&mut op) as u32;
        // SAFETY: the block is ours and locked; the rest is the caller's promise.
        let result = unsafe { self.hypercall(CallNumber::DOM0_OP, [address, 0, 0, 0, 0]) }?;
        Ok((op.args(), result))
    }

    /// Makes a `dom0_op` without addresses; gives its arguments as they come back.
    ///
    /// # Errors
    /// What the hypervisor answers.
    pub fn control<A: Plain>(&self, args: &A) -> Result<A> {
        // SAFETY: there are no addresses in the arguments.
        unsafe { self.dom0_op(args) }.map(|(args, _)| args)
    }

    /// The first domain whose number is `first` or higher.
    ///
    /// # Errors
    /// ESRCH: there is none.
    pub fn domain_info(&self, first: DomId) -> Result<GetDomainInfo> {
        let args = GetDomainInfo {
            domain: first,
            ..GetDomainInfo::default()
        };
        // SAFETY: without an address no context is written.
        unsafe { self.dom0_op(&args) }.map(|(args, _)| args)
    }

    /// Domain `domain`, with the context of its vCPU.
    ///
    /// # Errors
    /// ESRCH: there is none of this number.
    pub fn domain_context(&self, domain: DomId, context: &mut CpuContext) -> Result<GetDomainInfo> {
        lock(context)?;
        let args = GetDomainInfo {
            domain,
            ctxt: GuestVirt::new(ptr::from_mut(context) as u32),
            ..GetDomainInfo::default()
        };
        // SAFETY: the context is lent and of the type that is written.
        let (info, _) = unsafe { self.dom0_op(&args) }?;
        if info.domain == domain {
            Ok(info)
        } else {
            Err(crate::Errno::ESRCH)
        }
    }

    /// Machine frames of `domain`, from number `first` on; gives how many were stored.
    ///
    /// # Errors
    /// ESRCH.
    pub fn memory_list(&self, domain: DomId, first: u32, frames: &mut [u32]) -> Result<usize> {
        lock(frames)?;
        let args = GetMemList {
            domain,
            first,
            max_pfns: frames.len() as u32,
            buffer: GuestVirt::new(frames.as_mut_ptr() as u32),
            ..GetMemList::default()
        };
        // SAFETY: the buffer is lent, and `max_pfns` words long.
        unsafe { self.dom0_op(&args) }.map(|(args, _)| args.num_pfns as usize)
    }

    /// The newest text of the hypervisor's log; gives how many bytes were stored.
    ///
    /// # Errors
    /// What the hypervisor answers.
    pub fn read_console(&self, buffer: &mut [u8], flags: u32) -> Result<usize> {
        lock(buffer)?;
        let args = ReadConsole {
            buffer: GuestVirt::new(buffer.as_mut_ptr() as u32),
            count: buffer.len() as u32,
            flags,
        };
        // SAFETY: the buffer is lent, and `count` bytes long.
        unsafe { self.dom0_op(&args) }.map(|(_, count)| count as usize)
    }
}
