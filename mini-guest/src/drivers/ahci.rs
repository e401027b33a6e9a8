//! AHCI: the controller and its ports; what goes over a port is [`port`]'s business.
//!
//! A driver of its own, small: commands in slots, no queueing by the disk (NCQ), no port multipliers, no hot
//! plugging. What firmware set up is kept, but each port with a disk gets a command list and a page of
//! tables, and everything after the first identification is done by interrupts.
//!
//! Source: Serial ATA AHCI 1.3.1; ATA8-ACS.

use alloc::rc::Rc;
use alloc::vec::Vec;

use super::io_memory;
use super::lines::Driver;
use super::pci::{Config, ConfigurationAccess, DeviceFunction};
use super::registers::Registers;
use crate::linux::Errno;
use crate::time;

pub mod port;

use port::Port;

/// Configuration register of the base address (BAR 5).
const BASE: u8 = 0x24;
/// Bytes of the controller's registers, and of each port's behind them.
const OWN_LEN: usize = 0x100;
const PORT_LEN: usize = 0x80;
/// Registers of the controller.
const CAP: usize = 0x00;
const GHC: usize = 0x04;
const IS: usize = 0x08;
const PI: usize = 0x0C;
/// CAP: addresses of 64 bits.
const CAP_64: u32 = 1 << 31;
/// GHC: AHCI mode; interrupts.
const GHC_AE: u32 = 1 << 31;
const GHC_IE: u32 = 1 << 1;

/// How long a disk may take until it tells what it is.
const IDENTIFY_NS: u64 = 10 * time::NS_PER_SEC;

/// One controller.
pub struct Ahci {
    registers: Registers,
    ports: Vec<Rc<Port>>,
}

impl Ahci {
    /// Sets the controller up, and asks each port's disk what it is.
    ///
    /// # Errors
    /// ENODEV: no registers; ENOSPC, ENOMEM.
    pub fn new(at: DeviceFunction) -> Result<Self, Errno> {
        let base = Config.read_word(at, BASE);
        if base & 1 != 0 || base & !0xF == 0 {
            return Err(Errno::ENODEV);
        }
        let base = u64::from(base & !0xF);
        let map = |len| Ok(Registers::new(io_memory::map(base, len as u64)?, len));
        let own = map(OWN_LEN)?;
        own.set(GHC, GHC_AE);
        let reaches_all = own.get(CAP) & CAP_64 != 0;
        let there = own.get(PI);
        // Not all that 32 ports would need: behind the last one there may be somebody else's registers.
        let registers = map(OWN_LEN + PORT_LEN * (u32::BITS - there.leading_zeros()) as usize)?;
        let mut ports = Vec::new();
        for number in (0..32).filter(|number| there & 1 << number != 0) {
            let part = registers.part(OWN_LEN + PORT_LEN * number, PORT_LEN);
            if let Some(port) = Port::new(part, number, reaches_all)? {
                ports.push(Rc::new(port));
            }
        }
        registers.set(IS, u32::MAX);
        registers.set(GHC, GHC_AE | GHC_IE);
        Ok(Self { registers, ports })
    }

    /// The disks, once they have told what they are: those that do not are left out.
    #[must_use]
    pub fn disks(&self, mut sleep: impl FnMut(u64)) -> Vec<Rc<Port>> {
        let deadline = time::now_ns() + IDENTIFY_NS;
        for port in &self.ports {
            while port.is_identifying() && time::now_ns() < deadline {
                sleep(deadline);
            }
        }
        let known = self.ports.iter().filter(|port| port.is_ready());
        known.cloned().collect()
    }
}

impl Driver for Ahci {
    fn interrupt(&self) {
        let asking = self.registers.get(IS);
        for port in self.ports.iter().filter(|port| asking & 1 << port.number() != 0) {
            port.serve();
        }
        // The ports' reasons are gone, so the controller's stay away; what is new asks again.
        self.registers.set(IS, asking);
    }
}
