//! The machine's devices: interrupt lines and PCI functions.

use super::machine::Machine;
use crate::{
    pci::{Function, Register},
    platform::{InterruptLines, PciConfig},
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

/// Where functions that can be reset have their PCI Express capability.
pub const EXPRESS: usize = 0x50;

/// What there is of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Devices {
    /// Lines that are not held back, a bit each.
    pub open_lines: Cell<u16>,
    /// Level-triggered lines, a bit each.
    pub level_lines: Cell<u16>,
    /// Registers of each function that exists.
    pub functions: RefCell<BTreeMap<u16, Vec<u8>>>,
    /// Bits of the six base addresses that can be written; of a function without an entry, all.
    pub sizes: RefCell<BTreeMap<u16, [u32; 6]>>,
    /// Functions that were reset.
    pub resets: Cell<u32>,
    /// Functions whose command register has no bit that switches the line off.
    pub unmutable: RefCell<Vec<u16>>,
    /// A base address was written while its function decoded.
    pub was_moved_live: Cell<bool>,
}

impl Devices {
    /// Adds a function with these bytes in its registers; all others are 0.
    pub fn add(&self, [bus, device, function]: [u32; 3], bytes: &[(usize, u8)]) {
        let function = Function::new(bus, device, function).expect("a function's numbers");
        let mut registers = vec![0; 256];
        registers[0] = 0x86;
        bytes.iter().for_each(|&(at, byte)| registers[at] = byte);
        self.functions.borrow_mut().insert(function.raw(), registers);
    }

    /// Says which bits of its base addresses can be written.
    pub fn set_sizes(&self, [bus, device, function]: [u32; 3], sizes: [u32; 6]) {
        let function = Function::new(bus, device, function).expect("a function's numbers");
        self.sizes.borrow_mut().insert(function.raw(), sizes);
    }

    /// Whether `line` is not held back.
    pub fn is_open(&self, line: u8) -> bool {
        self.open_lines.get() >> line & 1 != 0
    }
}

impl InterruptLines for Machine {
    fn unmask_line(&self, line: u8) {
        let lines = &self.devices.open_lines;
        lines.set(lines.get() | 1 << line);
    }
    fn mask_line(&self, line: u8) {
        let lines = &self.devices.open_lines;
        lines.set(lines.get() & !(1 << line));
    }
    fn make_level(&self, line: u8) {
        let lines = &self.devices.level_lines;
        lines.set(lines.get() | 1 << line);
    }
}

impl PciConfig for Machine {
    fn read_pci(&self, function: Function, register: Register) -> u32 {
        let functions = self.devices.functions.borrow();
        let mut bytes = [0; 4];
        let len = usize::from(register.len());
        match functions.get(&function.raw()) {
            Some(registers) => {
                bytes[..len].copy_from_slice(&registers[usize::from(register.offset())..][..len])
            }
            None => bytes[..len].fill(0xFF),
        }
        u32::from_le_bytes(bytes)
    }
    fn write_pci(&self, function: Function, register: Register, value: u32) {
        let mut functions = self.devices.functions.borrow_mut();
        let registers = functions
            .get_mut(&function.raw())
            .expect("only what exists is written");
        let (at, len) = (usize::from(register.offset()), usize::from(register.len()));
        let mut bytes = value.to_le_bytes();
        if let (Some(sizes), 0x10..0x28) = (self.devices.sizes.borrow().get(&function.raw()), at) {
            assert_eq!(len, 4);
            let writable = sizes[(at - 0x10) / 4];
            let old = u32::from_le_bytes(registers[at..][..4].try_into().expect("four bytes"));
            bytes = (value & writable | old & !writable).to_le_bytes();
            if registers[4] & 3 != 0 {
                self.devices.was_moved_live.set(true);
            }
        }
        if at == 4 && self.devices.unmutable.borrow().contains(&function.raw()) {
            bytes[1] &= !4;
        }
        registers[at..][..len].copy_from_slice(&bytes[..len]);
        if registers[EXPRESS] == 0x10 && at == EXPRESS + 8 && value & 1 << 15 != 0 {
            // The function forgets everything.
            registers[4..6].fill(0);
            let sizes = self.devices.sizes.borrow();
            let sizes = sizes.get(&function.raw()).copied().unwrap_or_default();
            for (base, size) in registers[0x10..0x28].chunks_exact_mut(4).zip(sizes) {
                base.iter_mut()
                    .zip(size.to_le_bytes())
                    .for_each(|(byte, writable)| *byte &= !writable);
            }
            registers[0x3C] = 0;
            registers[EXPRESS + 9] &= 0x7F;
            self.devices.resets.set(self.devices.resets.get() + 1);
        }
    }
}
