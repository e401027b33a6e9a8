//! Call 7, `dom0_op`: domain control, for privileged domains.
//!
//! EBX points to a [`Dom0Op`]: command, interface version and 72 bytes laid out by the command. Checked in
//! this order: −EPERM (caller not privileged), −EFAULT (block unreadable), −EACCES (version), −ENOSYS
//! (command). The block is written back on success only, where the command has results.
//!
//! The layouts are not those of Xen 2.0, hence the version of their own: memory sizes have 64 bits, fields
//! are naturally aligned, times are ns throughout, and creation names the new domain's personality.
//!
//! Source: Xen 2.0, `public/dom0_ops.h` (numbers and meanings).

mod lifecycle;
mod machine;
mod memory;
mod rights;
mod sched;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub use self::lifecycle::*;
pub use self::machine::*;
pub use self::memory::*;
pub use self::rights::*;
pub use self::sched::*;

/// What [`Dom0Op::interface_version`] must be.
pub const DOM0_INTERFACE_VERSION: u32 = 0xAAAA_8001;

open_number! {
    /// Command of a [`Dom0Op`] (`DOM0_*`). Numbers 0, 1, 3, 4, 5 and 26 were never used.
    Dom0Cmd: u32 {
        /// A domain's frames ([`GetMemList`]).
        GETMEMLIST = 2, "getmemlist";
        /// A scheduler's own parameters ([`SchedCtl`]).
        SCHEDCTL = 6, "schedctl";
        /// A domain's scheduling parameters ([`AdjustDom`]).
        ADJUSTDOM = 7, "adjustdom";
        /// A new domain, paused and empty but for its memory ([`CreateDomain`]).
        CREATEDOMAIN = 8, "createdomain";
        /// The end of a domain ([`DestroyDomain`]).
        DESTROYDOMAIN = 9, "destroydomain";
        /// Stop a domain ([`PauseDomain`]).
        PAUSEDOMAIN = 10, "pausedomain";
        /// Let it run again ([`UnpauseDomain`]).
        UNPAUSEDOMAIN = 11, "unpausedomain";
        /// A domain's state ([`GetDomainInfo`]).
        GETDOMAININFO = 12, "getdomaininfo";
        /// A new domain's first context ([`BuildDomain`]).
        BUILDDOMAIN = 13, "builddomain";
        /// −ENOSYS: no guest has an I/O privilege level.
        IOPL = 14, "iopl";
        /// Model-specific registers ([`Msr`]).
        MSR = 15, "msr";
        /// −ENOSYS.
        DEBUG = 16, "debug";
        /// The wall clock ([`SetTime`]).
        SETTIME = 17, "settime";
        /// A frame's page type ([`GetPageFrameInfo`]).
        GETPAGEFRAMEINFO = 18, "getpageframeinfo";
        /// The hypervisor's log ([`ReadConsole`]).
        READCONSOLE = 19, "readconsole";
        /// The processor a domain runs on ([`PinCpuDomain`]).
        PINCPUDOMAIN = 20, "pincpudomain";
        /// The trace buffer ([`GetTbufs`]).
        GETTBUFS = 21, "gettbufs";
        /// The machine ([`PhysInfo`]).
        PHYSINFO = 22, "physinfo";
        /// A PCI function for a domain ([`PciDevAccess`]).
        PCIDEV_ACCESS = 23, "pcidev_access";
        /// Which scheduler runs ([`GetSchedId`]).
        SCHED_ID = 24, "sched_id";
        /// −ENOSYS.
        SHADOW_CONTROL = 25, "shadow_control";
        /// More memory before the build ([`SetDomainInitialMem`]).
        SETDOMAININITIALMEM = 27, "setdomaininitialmem";
        /// How much memory a domain may have ([`SetDomainMaxMem`]).
        SETDOMAINMAXMEM = 28, "setdomainmaxmem";
        /// The page types of many frames ([`GetPageFrameInfo2`]).
        GETPAGEFRAMEINFO2 = 29, "getpageframeinfo2";
        /// `vm_assist` on a domain ([`SetDomainVmAssist`]).
        SETDOMAINVMASSIST = 30, "setdomainvmassist";
        /// A memory-type range ([`AddMemType`]).
        ADD_MEMTYPE = 31, "add_memtype";
        /// Undo that ([`DelMemType`]).
        DEL_MEMTYPE = 32, "del_memtype";
        /// Read a memory-type range ([`ReadMemType`]).
        READ_MEMTYPE = 33, "read_memtype";
        /// The hypervisor's counters ([`PerfcControl`]).
        PERFCCONTROL = 34, "perfccontrol";
        /// −ENOSYS.
        MICROCODE = 35, "microcode";
        /// A paused domain's context ([`SetContext`]).
        SETCONTEXT = 36, "setcontext";
        /// Ports for a domain ([`IoPortPermission`]).
        IOPORT_PERMISSION = 37, "ioport_permission";
        /// I/O frames for a domain ([`IoMemPermission`]).
        IOMEM_PERMISSION = 38, "iomem_permission";
        /// An interrupt line for a domain ([`IrqPermission`]).
        IRQ_PERMISSION = 39, "irq_permission";
        /// How a domain crashed ([`GetCrash`]).
        GETCRASH = 40, "getcrash";
        /// Who holds a PCI function ([`PciDevHolder`]).
        PCIDEV_HOLDER = 41, "pcidev_holder";
    }
}

/// The argument block of call 7 (`dom0_op_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Dom0Op {
    /// The command.
    pub cmd: Dom0Cmd,
    /// [`DOM0_INTERFACE_VERSION`].
    pub interface_version: u32,
    /// The command's arguments.
    pub u: [u8; 72],
}

layout!(Dom0Op, size 80, cmd @ 0, interface_version @ 4, u @ 8);
default_is_zero!(Dom0Op);

command_block!(Dom0Op, Dom0Args, Dom0Cmd, version interface_version = DOM0_INTERFACE_VERSION);

command_args! {
    Dom0Args, Dom0Cmd, Dom0Op:
    GetMemList = GETMEMLIST,
    SchedCtl = SCHEDCTL,
    AdjustDom = ADJUSTDOM,
    CreateDomain = CREATEDOMAIN,
    DestroyDomain = DESTROYDOMAIN,
    PauseDomain = PAUSEDOMAIN,
    UnpauseDomain = UNPAUSEDOMAIN,
    GetDomainInfo = GETDOMAININFO,
    BuildDomain = BUILDDOMAIN,
    Msr = MSR,
    SetTime = SETTIME,
    GetPageFrameInfo = GETPAGEFRAMEINFO,
    ReadConsole = READCONSOLE,
    PinCpuDomain = PINCPUDOMAIN,
    GetTbufs = GETTBUFS,
    PhysInfo = PHYSINFO,
    PciDevAccess = PCIDEV_ACCESS,
    PciDevHolder = PCIDEV_HOLDER,
    GetSchedId = SCHED_ID,
    SetDomainInitialMem = SETDOMAININITIALMEM,
    SetDomainMaxMem = SETDOMAINMAXMEM,
    GetPageFrameInfo2 = GETPAGEFRAMEINFO2,
    SetDomainVmAssist = SETDOMAINVMASSIST,
    AddMemType = ADD_MEMTYPE,
    DelMemType = DEL_MEMTYPE,
    ReadMemType = READ_MEMTYPE,
    PerfcControl = PERFCCONTROL,
    SetContext = SETCONTEXT,
    IoPortPermission = IOPORT_PERMISSION,
    IoMemPermission = IOMEM_PERMISSION,
    IrqPermission = IRQ_PERMISSION,
    GetCrash = GETCRASH,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::DomId;

    #[test]
    fn a_block_carries_its_version() {
        let args = PauseDomain {
            domain: DomId::new(3),
            pad: 0,
        };
        let op = Dom0Op::new(&args);
        assert_eq!(
            (op.cmd, op.interface_version),
            (Dom0Cmd::PAUSEDOMAIN, DOM0_INTERFACE_VERSION)
        );
        assert_eq!(op.args::<PauseDomain>(), args);
    }

    #[test]
    fn the_version_is_not_that_of_2_0() {
        assert_ne!(DOM0_INTERFACE_VERSION, 0xAAAA_001A);
    }
}
