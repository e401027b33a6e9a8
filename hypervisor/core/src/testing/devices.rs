//! A machine without devices.

use super::machine::TestMachine;
use crate::{
    pci::{Function, Register},
    platform::{InterruptLines, PciConfig},
};

impl InterruptLines for TestMachine {
    fn unmask_line(&self, _line: u8) {}
    fn mask_line(&self, _line: u8) {}
    fn make_level(&self, _line: u8) {}
}

impl PciConfig for TestMachine {
    fn read_pci(&self, _function: Function, register: Register) -> u32 {
        u32::MAX >> (32 - 8 * u32::from(register.len()))
    }
    fn write_pci(&self, _function: Function, _register: Register, _value: u32) {}
}
