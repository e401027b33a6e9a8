//! Machine checks: errors that the hardware found in itself, in banks of registers.
//!
//! Source: Intel SDM vol. 3B, chapter 15 (15.3 the registers, 15.8 their initialization).

use core::{arch::x86_64::__cpuid, fmt};
use x86::msr;

/// IA32_MCG_CAP: how many banks, and whether IA32_MCG_CTL exists.
const CAPABILITIES: u32 = 0x179;
const BANKS: u64 = 0xFF;
const HAS_CONTROL: u64 = 1 << 8;
/// IA32_MCG_STATUS, IA32_MCG_CTL.
const STATUS: u32 = 0x17A;
const CONTROL: u32 = 0x17B;
/// IA32_MC0_CTL; each bank has control, status, address and further words.
const FIRST_BANK: u32 = 0x400;

/// Bits of a bank's status.
const VALID: u64 = 1 << 63;
const UNCORRECTED: u64 = 1 << 61;
const HAS_MISC: u64 = 1 << 59;
const HAS_ADDRESS: u64 = 1 << 58;

/// Whether the architecture's registers exist (CPUID 1 EDX 14).
fn is_there() -> bool {
    __cpuid(1).edx & 1 << 14 != 0
}

fn read(register: u32) -> u64 {
    // SAFETY: a register that the capabilities say is there; reading it has no effect.
    unsafe { msr::rdmsr(register) }
}

fn write(register: u32, value: u64) {
    // SAFETY: as above; the value only says which errors are reported, or forgets one.
    unsafe { msr::wrmsr(register, value) }
}

/// Has every kind of error reported, and forgets those of before. The exception itself is switched on in CR4.
pub fn init() {
    if !is_there() {
        return;
    }
    let capabilities = read(CAPABILITIES);
    if capabilities & HAS_CONTROL != 0 {
        write(CONTROL, u64::MAX);
    }
    for bank in 0..(capabilities & BANKS) as u32 {
        write(FIRST_BANK + 4 * bank, u64::MAX);
        write(FIRST_BANK + 4 * bank + 1, 0);
    }
}

/// An error in a bank.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    bank: u32,
    status: u64,
    address: Option<u64>,
    misc: Option<u64>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.status & UNCORRECTED != 0 {
            "uncorrected"
        } else {
            "corrected"
        };
        write!(
            f,
            "bank {}: {kind} error, status {:#018x}",
            self.bank, self.status
        )?;
        if let Some(address) = self.address {
            write!(f, ", address {address:#x}")?;
        }
        match self.misc {
            Some(misc) => write!(f, ", misc {misc:#x}"),
            None => Ok(()),
        }
    }
}

/// IA32_MCG_STATUS, and the errors in the banks.
pub fn faults() -> (u64, impl Iterator<Item = Fault>) {
    let (status, banks) = if is_there() {
        (read(STATUS), (read(CAPABILITIES) & BANKS) as u32)
    } else {
        (0, 0)
    };
    let faults = (0..banks).filter_map(|bank| {
        let register = FIRST_BANK + 4 * bank;
        let status = read(register + 1);
        (status & VALID != 0).then(|| Fault {
            bank,
            status,
            address: (status & HAS_ADDRESS != 0).then(|| read(register + 2)),
            misc: (status & HAS_MISC != 0).then(|| read(register + 3)),
        })
    });
    (status, faults)
}
