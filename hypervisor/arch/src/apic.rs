//! The local interrupt controller of a processor: its timer, and the way the 8259 reaches the processor.
//!
//! The 8259's line comes in at LINT0 as an external interrupt ("virtual wire"), NMI at LINT1; the timer is the
//! only vector of its own. Registers are in memory (xAPIC) or, where the firmware already switched, in MSRs
//! (x2APIC); that mode is kept, since leaving it takes a reset.
//!
//! Source: Intel SDM vol. 3A, chapter 11.

use crate::port::Port;
use core::arch::x86_64::__cpuid;
use core::ptr::NonNull;
use volatile::VolatilePtr;
use x86::msr;

/// Vector of the timer.
pub const TIMER_VECTOR: u8 = 0xF0;
/// Vector of interrupts that went away before they were taken. Needs no end-of-interrupt.
pub const SPURIOUS_VECTOR: u8 = 0xFF;
/// Bytes of the register page.
pub const REGISTER_BYTES: usize = 4096;

const BASE_ENABLED: u64 = 1 << 11;
const BASE_X2APIC: u64 = 1 << 10;
const BASE_ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;
/// MSR of register 0 in x2APIC mode; each register, 16 bytes apart in memory, has one MSR.
const X2APIC_MSRS: u32 = 0x800;

const LVT_MASKED: u32 = 1 << 16;
const LVT_TSC_DEADLINE: u32 = 0b10 << 17;
const LVT_NMI: u32 = 0b100 << 8;
const LVT_EXTERNAL: u32 = 0b111 << 8;
const SPURIOUS_ENABLE: u32 = 1 << 8;
const DIVIDE_BY_1: u32 = 0b1011;

/// Byte offset of a register.
#[derive(Clone, Copy)]
#[repr(u32)]
enum Register {
    Id = 0x20,
    Version = 0x30,
    TaskPriority = 0x80,
    EndOfInterrupt = 0xB0,
    Spurious = 0xF0,
    InService = 0x100,
    ErrorStatus = 0x280,
    LvtTimer = 0x320,
    LvtThermal = 0x330,
    LvtCounters = 0x340,
    LvtLint0 = 0x350,
    LvtLint1 = 0x360,
    LvtError = 0x370,
    InitialCount = 0x380,
    CurrentCount = 0x390,
    Divide = 0x3E0,
}

/// What the processor says about its controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Registers in memory at this physical address; map [`REGISTER_BYTES`] uncached.
    Memory(u64),
    /// Registers are MSRs.
    Msrs,
}

/// Whether this processor has a local APIC, and where; turns it on where the firmware left it off.
#[must_use]
pub fn detect() -> Option<Found> {
    if __cpuid(1).edx & (1 << 9) == 0 {
        return None;
    }
    // SAFETY: the processor has an APIC, hence the MSR.
    let mut base = unsafe { msr::rdmsr(msr::IA32_APIC_BASE) };
    if base & BASE_ENABLED == 0 {
        base |= BASE_ENABLED;
        // SAFETY: only the enable bit changes; with the software enable bit off it delivers nothing yet.
        unsafe { msr::wrmsr(msr::IA32_APIC_BASE, base) };
    }
    Some(if base & BASE_X2APIC != 0 {
        Found::Msrs
    } else {
        Found::Memory(base & BASE_ADDRESS)
    })
}

/// The controller of the processor that uses this value.
#[derive(Clone, Copy, Debug)]
pub struct LocalApic(Access);

#[derive(Clone, Copy, Debug)]
enum Access {
    Memory(NonNull<u32>),
    Msrs,
}

// SAFETY: the registers are mapped for good at an address that means "this processor's" on each processor.
unsafe impl Send for LocalApic {}
// SAFETY: as above; each register is read and written in one access.
unsafe impl Sync for LocalApic {}

impl LocalApic {
    /// Sets the controller up: 8259 and NMI through, timer and all else masked.
    ///
    /// # Safety
    /// `registers` is where the page named by [`detect`] is mapped, uncached and for good, or `None` where it
    /// said [`Found::Msrs`]. The gates of the vectors above exist.
    #[must_use]
    pub unsafe fn init(registers: Option<NonNull<u32>>) -> Self {
        let apic = Self(registers.map_or(Access::Msrs, Access::Memory));
        for entry in [Register::LvtTimer, Register::LvtError] {
            apic.write(entry, LVT_MASKED | u32::from(SPURIOUS_VECTOR));
        }
        let last_lvt = apic.read(Register::Version) >> 16 & 0xFF;
        if last_lvt >= 4 {
            apic.write(Register::LvtCounters, LVT_MASKED);
        }
        if last_lvt >= 5 {
            apic.write(Register::LvtThermal, LVT_MASKED);
        }
        apic.write(Register::InitialCount, 0);
        apic.write(Register::TaskPriority, 0);
        apic.write(Register::Spurious, SPURIOUS_ENABLE | u32::from(SPURIOUS_VECTOR));
        apic.write(Register::LvtLint0, LVT_EXTERNAL);
        apic.write(Register::LvtLint1, LVT_NMI);
        apic.write(Register::Divide, DIVIDE_BY_1);
        apic.write(Register::ErrorStatus, 0);
        apic.end_leftovers();
        route_8259_to_apic();
        apic
    }

    /// This processor's number at the controllers.
    #[must_use]
    pub fn id(self) -> u32 {
        let id = self.read(Register::Id);
        match self.0 {
            Access::Memory(_) => id >> 24,
            Access::Msrs => id,
        }
    }

    /// Says that the interrupt in service has been handled.
    #[inline]
    pub fn end_of_interrupt(self) {
        self.write(Register::EndOfInterrupt, 0);
    }

    /// Lets the timer raise [`TIMER_VECTOR`] when its count runs out, once per count.
    pub fn use_count(self) {
        self.write(Register::LvtTimer, u32::from(TIMER_VECTOR));
    }

    /// Lets the timer raise [`TIMER_VECTOR`] when the time-stamp counter reaches [`set_deadline`].
    pub fn use_deadline(self) {
        self.write(Register::LvtTimer, u32::from(TIMER_VECTOR) | LVT_TSC_DEADLINE);
        // The mode must be set before the deadline is (SDM vol. 3A, 11.5.4.1).
        crate::cpu::memory_fence();
    }

    /// Holds the timer's interrupt back while its count is used as a clock.
    pub fn mask_timer(self) {
        self.write(Register::LvtTimer, LVT_MASKED | u32::from(TIMER_VECTOR));
    }

    /// Starts the timer's count, undivided; 0 stops it.
    #[inline]
    pub fn set_count(self, ticks: u32) {
        self.write(Register::InitialCount, ticks);
    }

    /// What is left of the count.
    #[must_use]
    #[inline]
    pub fn count(self) -> u32 {
        self.read(Register::CurrentCount)
    }

    /// Ends interrupts that whoever ran before us left in service; each would block lower vectors for ever.
    fn end_leftovers(self) {
        for group in 0..8 {
            for _ in 0..self
                .read_offset(Register::InService as u32 + 0x10 * group)
                .count_ones()
            {
                self.end_of_interrupt();
            }
        }
    }

    fn read(self, register: Register) -> u32 {
        self.read_offset(register as u32)
    }

    #[inline]
    fn read_offset(self, offset: u32) -> u32 {
        match self.0 {
            Access::Memory(base) => place(base, offset).read(),
            Access::Msrs => {
                // SAFETY: the controller is in x2APIC mode, so the MSR exists; reading has no effect on memory.
                let value = unsafe { msr::rdmsr(X2APIC_MSRS + (offset >> 4)) };
                value as u32
            }
        }
    }

    #[inline]
    fn write(self, register: Register, value: u32) {
        match self.0 {
            Access::Memory(base) => place(base, register as u32).write(value),
            Access::Msrs => {
                // SAFETY: the controller is in x2APIC mode, so the MSR exists; `init` promises gates for what
                // it may raise.
                unsafe { msr::wrmsr(X2APIC_MSRS + (register as u32 >> 4), u64::from(value)) };
            }
        }
    }
}

/// The register at a byte offset (a multiple of 16, below the page's end).
#[inline]
fn place(base: NonNull<u32>, offset: u32) -> VolatilePtr<'static, u32> {
    // SAFETY: `LocalApic::init` was given the whole page; offsets come from `Register` and stay in it.
    let register = unsafe { base.byte_add(offset as usize) };
    // SAFETY: as above, aligned to 16 and mapped for good.
    unsafe { VolatilePtr::new(register) }
}

/// Whether the timer can wait for the time-stamp counter itself.
#[must_use]
pub fn has_deadline_timer() -> bool {
    __cpuid(1).ecx & (1 << 24) != 0
}

/// Sets the instant, by the time-stamp counter, at which the timer fires; one that is past fires at once, 0
/// disarms. The timer is in deadline mode ([`LocalApic::use_deadline`]).
#[inline]
pub fn set_deadline(tsc: u64) {
    // SAFETY: the MSR exists where `has_deadline_timer` says so, and raises `TIMER_VECTOR` alone.
    unsafe { msr::wrmsr(msr::IA32_TSC_DEADLINE, tsc) }
}

/// On machines of the MultiProcessor Specification with an IMCR, connects the 8259 through the APIC instead of
/// around it. Elsewhere the register does not exist, and the write goes nowhere.
fn route_8259_to_apic() {
    // SAFETY: the IMCR's two ports (MP specification 1.4, 3.6.2.1); they steer an interrupt line.
    let select: Port<u8> = unsafe { Port::new(0x22) };
    // SAFETY: as above.
    let data: Port<u8> = unsafe { Port::new(0x23) };
    select.write(0x70);
    data.write(0x01);
}
