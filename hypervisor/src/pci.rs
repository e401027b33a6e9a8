//! PCI configuration space, wired.

use crate::{machine::Machine, state};
use hv_core::{
    pci::{self, Function, Register},
    platform::PciConfig,
};

impl PciConfig for Machine {
    fn read_pci(&self, function: Function, register: Register) -> u32 {
        hv_arch::pci::read(function.raw(), register.offset(), register.len())
    }

    fn write_pci(&self, function: Function, register: Register, value: u32) {
        hv_arch::pci::write(function.raw(), register.offset(), register.len(), value);
    }
}

/// Finds the buses that have devices. Boot only.
pub fn look_for_devices() {
    let buses = pci::find_buses(&Machine);
    state::lock().pci_buses = buses;
}
