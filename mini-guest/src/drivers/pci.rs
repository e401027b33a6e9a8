//! PCI: configuration space by `physdev_op`, and the functions found.
//!
//! What firmware set up (base addresses, the line in register 0x3C) is used as it is.
//!
//! Source: PCI Local Bus 3.0, 6.1; Xen 2.0 interface: physdev_op.

use alloc::vec::Vec;

use guest_abi::physdev::{
    PciConfigRead, PciConfigWrite, PciInitialiseDevice, PciProbeRootBuses, PhysdevArgs, PhysdevOp,
};
pub use virtio_drivers::transport::pci::bus::{
    Command, ConfigurationAccess, DeviceFunction, DeviceFunctionInfo, PciRoot,
};

use crate::hypercall;
use crate::linux::Errno;

/// Register of the command word.
const COMMAND: u8 = 0x04;
/// Register of the line, its lowest byte.
const LINE: u8 = 0x3C;

/// Makes the call and gives the block's arguments as they came back.
fn call<A: PhysdevArgs>(args: &A) -> Result<A, Errno> {
    let mut block = PhysdevOp::new(args);
    // SAFETY: the block is ours and of the call's type.
    unsafe { hypercall::physdev_op(&mut block) }.map_err(Errno::from_hypervisor)?;
    Ok(block.args())
}

/// Configuration space as the hypervisor lets us reach it.
#[derive(Clone, Copy, Debug)]
pub struct Config;

impl ConfigurationAccess for Config {
    fn read_word(&self, function: DeviceFunction, register: u8) -> u32 {
        let args = PciConfigRead {
            bus: function.bus.into(),
            dev: function.device.into(),
            func: function.function.into(),
            reg: register.into(),
            len: 4,
            value: 0,
        };
        // A function that is not there reads as ones.
        call(&args).map_or(u32::MAX, |args| args.value)
    }

    fn write_word(&mut self, function: DeviceFunction, register: u8, value: u32) {
        // The function was found, so it is there and ours.
        let _ = call(&PciConfigWrite {
            bus: function.bus.into(),
            dev: function.device.into(),
            func: function.function.into(),
            reg: register.into(),
            len: 4,
            value,
        });
    }

    unsafe fn unsafe_clone(&self) -> Self {
        *self
    }
}

/// A function of a PCI device.
#[derive(Clone, Debug)]
pub struct Function {
    /// Bus, device, function.
    pub at: DeviceFunction,
    /// What it is.
    pub info: DeviceFunctionInfo,
    /// The 8259 line that it raises, where firmware gave it one.
    pub line: Option<u8>,
    /// The driver that has it.
    pub driver: Option<&'static str>,
}

/// All functions of this domain, in order.
#[must_use]
pub fn functions() -> Vec<Function> {
    let buses = call(&PciProbeRootBuses::default()).unwrap_or_default();
    let has = |bus: &u8| buses.busmask[usize::from(*bus) / 32] & 1 << (bus % 32) != 0;
    let root = PciRoot::new(Config);
    let found = (0..=u8::MAX).filter(has).flat_map(|bus| root.enumerate_bus(bus));
    found.map(|(at, info)| function(at, info)).collect()
}

fn function(at: DeviceFunction, info: DeviceFunctionInfo) -> Function {
    let [line, pin, ..] = Config.read_word(at, LINE).to_le_bytes();
    Function {
        at,
        info,
        line: (pin != 0 && line < 16).then_some(line),
        driver: None,
    }
}

/// Lets a function answer at its addresses, reach memory and interrupt.
///
/// # Errors
/// EPERM: this domain was given it without leave to reach memory.
pub fn enable(at: DeviceFunction) -> Result<(), Errno> {
    // This makes the line level-triggered.
    let _ = call(&PciInitialiseDevice {
        bus: at.bus.into(),
        dev: at.device.into(),
        func: at.function.into(),
    });
    let old = Command::from_bits_retain(Config.read_word(at, COMMAND) as u16);
    let new = (old | Command::MEMORY_SPACE | Command::BUS_MASTER) - Command::INTERRUPT_DISABLE;
    call(&PciConfigWrite {
        bus: at.bus.into(),
        dev: at.device.into(),
        func: at.function.into(),
        reg: COMMAND.into(),
        len: 2,
        value: new.bits().into(),
    })
    .map(drop)
}
