//! Call 19, `physdev_op`: PCI configuration space and physical interrupts, for domains that own devices.
//!
//! EBX points to a [`PhysdevOp`]; the whole block is copied back always, also on error. −EFAULT if it
//! cannot be read, −EINVAL for an unknown command, −EPERM for a domain without the right.
//!
//! A device is named by bus (0–255), device (0–31) and function (0–7); others are −EINVAL, one that does not
//! exist −ENODEV, one that the caller does not own −EPERM.
//!
//! # The end of an interrupt
//! A line that [`IrqStatusQuery`] marks stays silent from its event until the guest has unmasked the port
//! and then given `irq_unmask_notify`. In the other order the notification is lost.
//!
//! Source: Xen 2.0, `public/physdev.h`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

open_number! {
    /// Command of a [`PhysdevOp`] (`PHYSDEVOP_*`).
    PhysdevCmd: u32 {
        /// Read configuration space ([`PciConfigRead`]).
        PCI_CFGREG_READ = 0, "pci_cfgreg_read";
        /// Write configuration space ([`PciConfigWrite`]).
        PCI_CFGREG_WRITE = 1, "pci_cfgreg_write";
        /// Enable a device's interrupt routing ([`PciInitialiseDevice`]).
        PCI_INITIALISE_DEVICE = 2, "pci_initialise_device";
        /// Which buses have a device of the caller ([`PciProbeRootBuses`]).
        PCI_PROBE_ROOT_BUSES = 3, "pci_probe_root_buses";
        /// All unmasked lines in service are done with ([`IrqUnmaskNotify`]).
        IRQ_UNMASK_NOTIFY = 4, "irq_unmask_notify";
        /// Whether a line needs that ([`IrqStatusQuery`]).
        IRQ_STATUS_QUERY = 5, "irq_status_query";
    }
}

/// The argument block of call 19 (`physdev_op_t`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PhysdevOp {
    /// The command.
    pub cmd: PhysdevCmd,
    /// Must be 0.
    pub pad: u32,
    /// The command's arguments.
    pub u: [u8; 32],
}

layout!(PhysdevOp, size 40, cmd @ 0, pad @ 4, u @ 8);

command_block!(PhysdevOp, PhysdevArgs, PhysdevCmd);

/// `pci_cfgreg_read`. On failure the value is all ones and the error is returned. Register 0x3C tells the
/// line that the device really raises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PciConfigRead {
    /// Bus.
    pub bus: u32,
    /// Device on the bus.
    pub dev: u32,
    /// Function of the device.
    pub func: u32,
    /// Byte offset of the register, aligned to `len`.
    pub reg: u32,
    /// 1, 2 or 4 bytes.
    pub len: u32,
    /// *Out*: the value, in the low `len` bytes.
    pub value: u32,
}

layout!(PciConfigRead, size 24, bus @ 0, dev @ 4, func @ 8, reg @ 12, len @ 16, value @ 20);

/// `pci_cfgreg_write`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PciConfigWrite {
    /// Bus.
    pub bus: u32,
    /// Device on the bus.
    pub dev: u32,
    /// Function of the device.
    pub func: u32,
    /// Byte offset of the register, aligned to `len`.
    pub reg: u32,
    /// 1, 2 or 4 bytes.
    pub len: u32,
    /// The value, in the low `len` bytes.
    pub value: u32,
}

layout!(PciConfigWrite, size 24, bus @ 0, dev @ 4, func @ 8, reg @ 12, len @ 16, value @ 20);

/// `pci_initialise_device`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PciInitialiseDevice {
    /// Bus.
    pub bus: u32,
    /// Device on the bus.
    pub dev: u32,
    /// Function of the device.
    pub func: u32,
}

layout!(PciInitialiseDevice, size 12, bus @ 0, dev @ 4, func @ 8);

/// `pci_probe_root_buses`. Always returns 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PciProbeRootBuses {
    /// *Out*: a bit per bus with a device that belongs to the caller.
    pub busmask: [u32; 8],
}

layout!(PciProbeRootBuses, size 32);

/// `irq_unmask_notify`: no arguments. Always returns 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IrqUnmaskNotify {}

layout!(IrqUnmaskNotify, size 0);

/// `irq_status_query`. Needs no right. −EINVAL for a line of [`MAX_QUERY_IRQ`] or more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IrqStatusQuery {
    /// The line.
    pub irq: u32,
    /// *Out*: [`IRQ_NEEDS_UNMASK_NOTIFY`] or 0.
    pub flags: u32,
}

layout!(IrqStatusQuery, size 8, irq @ 0, flags @ 4);

/// Lines that may be asked about: 0 to one less.
pub const MAX_QUERY_IRQ: u32 = 208;
/// Flag of [`IrqStatusQuery`]: the line needs `irq_unmask_notify`.
pub const IRQ_NEEDS_UNMASK_NOTIFY: u32 = 1 << 0;

command_args! {
    PhysdevArgs, PhysdevCmd, PhysdevOp:
    PciConfigRead = PCI_CFGREG_READ,
    PciConfigWrite = PCI_CFGREG_WRITE,
    PciInitialiseDevice = PCI_INITIALISE_DEVICE,
    PciProbeRootBuses = PCI_PROBE_ROOT_BUSES,
    IrqUnmaskNotify = IRQ_UNMASK_NOTIFY,
    IrqStatusQuery = IRQ_STATUS_QUERY,
}
