//! Turning the machine off, restarting it, and telling an emulator why it ends.
//!
//! | way | where | used when |
//! |---|---|---|
//! | isa-debug-exit, port 0xF4 | QEMU | CPUID shows QEMU's own translator, or the user says so |
//! | the word "Shutdown" to port 0x8900 | Bochs | its firmware's name, and no hypervisor in CPUID |
//! | PM1 control, SLP_EN | ACPI | power off on real machines |
//! | FADT reset register | ACPI | restart on real machines |
//! | keyboard controller, then triple fault | every PC | restart where all else failed |
//!
//! Port 0xF4 belonged to the 80287 once and may be anything today, so it is never written on a guess.
//!
//! Source: ACPI specification 6.5, sections 4.8.3.2 and 4.8.3.6; QEMU `hw/misc/debugexit.c`; Bochs
//! `iodev/unmapped.cc`.

use crate::{cpu, port::Port};
use core::arch::x86_64::__cpuid;
use core::ptr::NonNull;
use volatile::VolatilePtr;

/// Why the machine ends, as written to the exit port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Turned off in order.
    PowerOff = 0x10,
    /// Domain 0 crashed.
    Dom0Crashed = 0x11,
    /// A test guest succeeded.
    TestSuccess = 0x12,
    /// A test guest found the hypervisor wrong.
    TestFailure = 0x13,
    /// A test guest cannot run on this machine.
    TestSkip = 0x14,
    /// A test guest is wrong itself.
    TestError = 0x15,
    /// Restarted in order.
    Reboot = 0x16,
    /// The hypervisor panicked.
    Panic = 0x20,
}

/// The emulators that can be told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emulator {
    /// QEMU, which is expected to have isa-debug-exit at port 0xF4.
    Qemu,
    /// Bochs.
    Bochs,
}

impl Emulator {
    /// Recognizes the emulator. `firmware_oem` is the OEM identification in the firmware's ACPI tables.
    #[must_use]
    pub fn detect(firmware_oem: Option<[u8; 6]>) -> Option<Self> {
        let has_hypervisor = __cpuid(1).ecx & (1 << 31) != 0;
        if has_hypervisor {
            let leaf = __cpuid(0x4000_0000);
            let name = [leaf.ebx, leaf.ecx, leaf.edx].map(u32::to_le_bytes);
            return (name.as_flattened() == b"TCGTCGTCGTCG").then_some(Self::Qemu);
        }
        // QEMU's firmware bears the same name, but QEMU always shows itself in CPUID.
        (firmware_oem == Some(*b"BOCHS ")).then_some(Self::Bochs)
    }

    /// Ends the emulator. Comes back where there is none after all.
    pub fn exit(self, code: ExitCode) {
        match self {
            Self::Qemu => {
                // SAFETY: the exit device or nothing, as `detect` or the user found.
                let port: Port<u8> = unsafe { Port::new(0xF4) };
                port.write(code as u8);
            }
            Self::Bochs => {
                // SAFETY: Bochs's own port, as `detect` or the user found.
                let port: Port<u8> = unsafe { Port::new(0x8900) };
                b"Shutdown".iter().for_each(|&byte| port.write(byte));
            }
        }
    }
}

/// How ACPI turns the machine off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoftOff {
    /// Ports of PM1a_CNT and PM1b_CNT (0: none).
    pub control: [u16; 2],
    /// The values of SLP_TYP that mean S5, from `\_S5`.
    pub sleep_type: [u8; 2],
    /// Port and value that hand the power registers over from the firmware, where they are not ours already.
    pub enable: Option<(u16, u8)>,
}

const SCI_EN: u16 = 1 << 0;
const SLP_TYP_SHIFT: u16 = 10;
const SLP_TYP: u16 = 7 << SLP_TYP_SHIFT;
const SLP_EN: u16 = 1 << 13;
/// Looks at SCI_EN before the firmware counts as deaf: seconds on real hardware.
const ENABLE_POLLS: u32 = 3_000_000;

impl SoftOff {
    /// Turns the machine off. Comes back where that has no effect.
    ///
    /// # Safety
    /// The ports and values are those of the machine's FADT.
    pub unsafe fn execute(&self) {
        // SAFETY: the caller's promise, for both blocks.
        let ports = self.control.map(|number| unsafe { Port::<u16>::new(number) });
        let [a, b] = ports;
        if let Some((number, value)) = self.enable
            && a.read() & SCI_EN == 0
        {
            // SAFETY: the caller's promise: the firmware's command port.
            let command: Port<u8> = unsafe { Port::new(number) };
            command.write(value);
            let _ = (0..ENABLE_POLLS).any(|_| a.read() & SCI_EN != 0);
        }
        let [type_a, type_b] = self.sleep_type.map(|value| u16::from(value & 7) << SLP_TYP_SHIFT);
        let keep = !(SLP_TYP | SLP_EN);
        let value_a = a.read() & keep | type_a;
        a.write(value_a);
        if b.number() != 0 {
            b.write(b.read() & keep | type_b);
        }
        a.write(value_a | SLP_EN);
        if b.number() != 0 {
            b.write(b.read() & keep | type_b | SLP_EN);
        }
        // It takes effect after a while.
        let _ = (0..ENABLE_POLLS).any(|_| a.read() == u16::MAX);
    }
}

/// Where the FADT's reset register is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetRegister {
    /// An I/O port.
    Port(u16),
    /// A byte of configuration space on PCI bus 0: the value for the address port (enable bit, device, function,
    /// word) and the byte's place in the word.
    PciConfig {
        /// For port 0xCF8.
        address: u32,
        /// 0 to 3.
        byte: u8,
    },
    /// A byte of memory, mapped uncached at this address.
    Memory(NonNull<u8>),
}

// SAFETY: the pointer is to a device register that is mapped for good and written once.
unsafe impl Send for ResetRegister {}
// SAFETY: as above.
unsafe impl Sync for ResetRegister {}

impl ResetRegister {
    /// Restarts the machine by writing `value`. Comes back where that has no effect.
    ///
    /// # Safety
    /// Register and value are those of the machine's FADT, and its flag RESET_REG_SUP is set.
    pub unsafe fn execute(&self, value: u8) {
        match *self {
            Self::Port(number) => {
                // SAFETY: the caller's promise.
                let port: Port<u8> = unsafe { Port::new(number) };
                port.write(value);
            }
            Self::PciConfig { address, byte } => {
                // SAFETY: configuration mechanism 1; the register behind it is the caller's promise.
                let select: Port<u32> = unsafe { Port::new(0xCF8) };
                // SAFETY: as above.
                let data: Port<u8> = unsafe { Port::new(0xCFC + u16::from(byte & 3)) };
                select.write(address);
                data.write(value);
            }
            Self::Memory(register) => {
                // SAFETY: the caller's promise.
                unsafe { VolatilePtr::new(register) }.write(value);
            }
        }
        settle();
    }
}

/// Restarts the machine by the keyboard controller's reset line, then by a triple fault.
pub fn reset_as_last_resort() -> ! {
    const INPUT_FULL: u8 = 1 << 1;
    const PULSE_RESET: u8 = 0xFE;
    // SAFETY: the keyboard controller's command port; a reset is what is wanted.
    let controller: Port<u8> = unsafe { Port::new(0x64) };
    for _ in 0..4 {
        let _ = (0..10_000).any(|_| controller.read() & INPUT_FULL == 0);
        controller.write(PULSE_RESET);
        settle();
    }
    cpu::triple_fault()
}

/// Gives a reset some milliseconds to take effect.
fn settle() {
    pause_ms(10);
}

/// Waits about so long, needing no clock: for a machine that is at its end. A read of an ISA port takes a
/// microsecond, give or take one.
pub fn pause_ms(milliseconds: u32) {
    // SAFETY: the POST code port, which is only read.
    let port: Port<u8> = unsafe { Port::new(0x80) };
    for _ in 0..milliseconds {
        for _ in 0..1000 {
            let _ = port.read();
        }
    }
}
