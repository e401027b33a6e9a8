//! What the holder of a function reads and writes of its configuration space.
//!
//! It reads all of it. It writes what a driver needs and what stays inside the function: which accesses it answers to, whether it asks by
//! its line, whether it is master of the bus if it was given like that, its status bits, cache line and latency. Base addresses
//! are answered from what they were when it was given, so that a driver can ask for their sizes as usual. All else is refused:
//! another base address or line, capabilities (messages instead of a line are writes to memory; a reset or a
//! power state would let it forget where it is) and whatever a vendor has put there.

use super::held::{Assigned, BARS};
use crate::{error::HvError, pci::Register, platform::PciConfig};
use bitflags::bitflags;

pub(super) const FIRST_BAR: u8 = 0x10;
pub(super) const COMMAND: Register = Register { offset: 4, len: 2 };
const STATUS: Register = Register { offset: 6, len: 2 };
const END_OF_BARS: u8 = FIRST_BAR + 4 * BARS as u8;

bitflags! {
    /// Bits of the command register that are its holder's.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Command: u16 {
        /// It answers to its ports.
        const PORTS = 1 << 0;
        /// It answers to its memory.
        const MEMORY = 1 << 1;
        /// It is master of the bus.
        const MASTER = 1 << 2;
        /// It does not ask by its line.
        const LINE_OFF = 1 << 10;
    }
}

impl Command {
    /// All of them, in the register.
    pub(super) const ALL: u32 = Self::all().bits() as u32;
    /// Silence, in the register.
    pub(super) const SILENT: u32 = Self::LINE_OFF.bits() as u32;
    /// What it answers to, in the register.
    pub(super) const DECODES: u32 = Self::PORTS.union(Self::MEMORY).bits() as u32;
}

/// Where an access goes.
enum Place {
    Command,
    Status,
    Bar(usize),
    /// Answered with 0: the expansion ROM.
    Rom,
    /// Cache line and latency.
    Free,
    ReadOnly,
}

fn place(register: Register) -> Place {
    match register.offset {
        4 | 5 => Place::Command,
        6 | 7 => Place::Status,
        0xC if register.len < 4 => Place::Free,
        0xD => Place::Free,
        at @ FIRST_BAR..END_OF_BARS => Place::Bar(usize::from(at - FIRST_BAR) / 4),
        0x30..0x34 => Place::Rom,
        _ => Place::ReadOnly,
    }
}

/// The bytes of `whole`, the aligned four, that an access is about.
fn part(whole: u32, register: Register) -> u32 {
    whole >> (register.offset % 4 * 8) & mask(register)
}

fn mask(register: Register) -> u32 {
    u32::MAX >> (32 - 8 * u32::from(register.len))
}

impl Assigned {
    /// Reads a register for the holder.
    pub fn read<P: PciConfig>(&self, platform: &P, register: Register) -> u32 {
        match place(register) {
            Place::Command => {
                let whole = platform.read_pci(self.function, Register { offset: 4, len: 4 });
                part(whole & !Command::ALL | u32::from(self.wish.bits()), register)
            }
            Place::Rom => 0,
            Place::Bar(index) if self.is_asked >> index & 1 != 0 => part(self.sizes[index], register),
            Place::Bar(index) => part(self.bases[index], register),
            Place::Status | Place::Free | Place::ReadOnly => platform.read_pci(self.function, register),
        }
    }

    /// Writes a register for the holder.
    ///
    /// # Errors
    /// [`HvError::Denied`]: not his to change. Nothing is written.
    pub fn write<P: PciConfig>(
        &mut self,
        platform: &P,
        register: Register,
        value: u32,
    ) -> Result<(), HvError> {
        /// Ones in all bits that can be written; the last four are flags.
        const ASK: u32 = !0xF;
        let value = value & mask(register);
        match place(register) {
            Place::Command => self.write_command(platform, register, value),
            Place::Status | Place::Free => {
                platform.write_pci(self.function, register, value);
                Ok(())
            }
            Place::Bar(index) if register.len == 4 && value >= ASK => {
                self.is_asked |= 1 << index;
                Ok(())
            }
            Place::Bar(index) if register.len == 4 && value == self.bases[index] => {
                self.is_asked &= !(1 << index);
                Ok(())
            }
            // Asked for its size, which is none.
            Place::Rom if register.len == 4 && (value == 0 || value >= 0xFFFF_F800) => Ok(()),
            // What is there already.
            Place::ReadOnly if register.offset >= 0x3C && register.offset < 0x3E => {
                let is_there = platform.read_pci(self.function, register) == value;
                if is_there { Ok(()) } else { Err(HvError::Denied) }
            }
            _ => Err(HvError::Denied),
        }
    }

    fn write_command<P: PciConfig>(
        &mut self,
        platform: &P,
        register: Register,
        value: u32,
    ) -> Result<(), HvError> {
        let shift = register.offset % 4 * 8;
        let kept = u32::from(self.wish.bits()) & !(mask(register) << shift);
        let wish = Command::from_bits_truncate((kept | value << shift) as u16);
        let is_refused = wish.contains(Command::MASTER) && !self.has_dma
            || wish.contains(Command::PORTS) && !self.has_places(true)
            || wish.contains(Command::MEMORY) && !self.has_places(false);
        if is_refused {
            return Err(HvError::Denied);
        }
        self.wish = wish;
        self.apply(platform);
        if register.len == 4 {
            // Status bits are cleared by ones.
            platform.write_pci(self.function, STATUS, value >> 16);
        }
        Ok(())
    }

    /// Makes the command register what the holder wants, and silent while it is muted.
    pub(super) fn apply<P: PciConfig>(&self, platform: &P) {
        let mut command = self.wish;
        command.set(
            Command::LINE_OFF,
            self.is_muted || command.contains(Command::LINE_OFF),
        );
        let others = platform.read_pci(self.function, COMMAND) & !Command::ALL;
        platform.write_pci(self.function, COMMAND, others | u32::from(command.bits()));
    }

    /// Switches its line off at the device, or lets it ask.
    pub(super) fn mute<P: PciConfig>(&mut self, platform: &P, is_muted: bool) {
        if self.is_muted != is_muted {
            self.is_muted = is_muted;
            self.apply(platform);
        }
    }

    /// Whether its device asks by its line.
    pub(super) fn asks<P: PciConfig>(&self, platform: &P) -> bool {
        /// It would, if its line were not off.
        const WOULD: u32 = 1 << 3;
        let is_off = self.is_muted || self.wish.contains(Command::LINE_OFF);
        !is_off && platform.read_pci(self.function, STATUS) & WOULD != 0
    }
}
