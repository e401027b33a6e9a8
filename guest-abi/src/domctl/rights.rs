//! What of the machine a domain may touch: PCI functions, ports, I/O frames, interrupt lines.
//!
//! Each right is given with `allow` 1 and taken with 0 and makes nobody privileged; other values are
//! −EINVAL. An unknown domain is −ESRCH.
//!
//! What one domain was given nobody else has, the owner of the devices included, until it is taken or the domain is
//! destroyed. What somebody else has, or maps, is −EBUSY.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::addr::Mfn;
use crate::domain::DomId;

/// `pcidev_access`: a PCI function with its ports, I/O frames and line. −EINVAL, −ENODEV, −ENOMEM; −EPERM for a bridge and for the console's screen; −EBUSY
/// where somebody else has it or maps its registers, or its line cannot be shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PciDevAccess {
    /// Which domain.
    pub domain: DomId,
    /// Must be 0.
    pub pad: u16,
    /// Bus.
    pub bus: u32,
    /// Device on the bus.
    pub dev: u32,
    /// Function of the device.
    pub func: u32,
    /// [`PciDevAccess::TAKE`], [`PciDevAccess::GIVE`] or [`PciDevAccess::GIVE_WITH_DMA`].
    pub allow: u32,
}

impl PciDevAccess {
    /// The function is taken from the domain.
    pub const TAKE: u32 = 0;
    /// It is given. The hypervisor keeps it from being master of the bus, so that it reaches no memory.
    pub const GIVE: u32 = 1;
    /// It is given and may be master of the bus: whoever drives it reaches all memory.
    pub const GIVE_WITH_DMA: u32 = 3;
}

layout!(PciDevAccess, size 20, domain @ 0, bus @ 4, dev @ 8, func @ 12, allow @ 16);

/// `pcidev_holder`: which domain a PCI function is given to. −EINVAL, −ENODEV, −ENODATA where it is nobody's but the owner of all
/// devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PciDevHolder {
    /// Bus.
    pub bus: u32,
    /// Device on the bus.
    pub dev: u32,
    /// Function of the device.
    pub func: u32,
    /// Out: the domain.
    pub domain: DomId,
    /// Out: 1 where it may be master of the bus.
    pub has_dma: u16,
}

layout!(PciDevHolder, size 16, bus @ 0, dev @ 4, func @ 8, domain @ 12, has_dma @ 14);

/// `ioport_permission`: a range of ports, for all rings of the domain. −EINVAL (beyond 65536, or a port
/// that is the hypervisor's), −EBUSY, −ENOMEM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IoPortPermission {
    /// Which domain.
    pub domain: DomId,
    /// Give or take.
    pub allow: u8,
    /// Must be 0.
    pub pad: u8,
    /// First port.
    pub first_port: u32,
    /// How many.
    pub nr_ports: u32,
}

layout!(IoPortPermission, size 12, domain @ 0, allow @ 2, first_port @ 4, nr_ports @ 8);

/// `iomem_permission`: a range of I/O frames. −EINVAL (RAM, or frames of the hypervisor's own devices),
/// −EPERM (the console's screen), −EBUSY (also where frames to be taken are mapped still), −ENOMEM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IoMemPermission {
    /// Which domain.
    pub domain: DomId,
    /// Give or take.
    pub allow: u8,
    /// Must be 0.
    pub pad: u8,
    /// First frame.
    pub first_frame: Mfn,
    /// How many.
    pub nr_frames: u32,
}

layout!(IoMemPermission, size 12, domain @ 0, allow @ 2, first_frame @ 4, nr_frames @ 8);

/// `irq_permission`: an interrupt line. −EINVAL (no such line, or the hypervisor's), −EBUSY (somebody else's, or that of a PCI
/// function that the domain does not hold). Taking it closes ports bound to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IrqPermission {
    /// Which domain.
    pub domain: DomId,
    /// Give or take.
    pub allow: u8,
    /// Must be 0.
    pub pad: u8,
    /// The line.
    pub irq: u32,
}

layout!(IrqPermission, size 8, domain @ 0, allow @ 2, irq @ 4);
