//! What an entry into the kernel leaves on the stack, and what it was.

use core::fmt;
use core::ops::{Deref, DerefMut};

/// The registers of interrupted code, as `entry.S` saves them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[expect(missing_docs, reason = "the registers' own names")]
pub struct Regs {
    pub gs: u32,
    pub fs: u32,
    pub es: u32,
    pub ds: u32,
    pub ebx: u32,
    pub ecx: u32,
    pub edx: u32,
    pub esi: u32,
    pub edi: u32,
    pub ebp: u32,
    pub eax: u32,
    /// What entered, as [`Cause::from_raw`] reads it.
    pub vector: u32,
    /// Room for the frames that the hypervisor pushes when it interrupts the way back to ring 3.
    pub spare: [u32; 11],
    /// Faulting address, of a page fault only.
    pub cr2: u32,
    /// Error code, 0 where the vector has none.
    pub error: u32,
    pub eip: u32,
    pub cs: u32,
    pub eflags: u32,
}

/// The registers of interrupted ring-3 code; always at the top of the kernel stack while the kernel runs for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[expect(missing_docs, reason = "the registers' own names")]
pub struct TrapFrame {
    pub regs: Regs,
    pub esp: u32,
    pub ss: u32,
}

const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(size_of::<TrapFrame>() == 120);
    assert!(offset_of!(Regs, ebx) == 16);
    assert!(offset_of!(Regs, eax) == 40);
    assert!(offset_of!(Regs, vector) == 44);
    assert!(offset_of!(Regs, cr2) == 92);
    assert!(offset_of!(Regs, eip) == 100);
    assert!(offset_of!(TrapFrame, ss) == 116);
};

impl Deref for TrapFrame {
    type Target = Regs;

    fn deref(&self) -> &Regs {
        &self.regs
    }
}

impl DerefMut for TrapFrame {
    fn deref_mut(&mut self) -> &mut Regs {
        &mut self.regs
    }
}

impl fmt::Display for Regs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            eax,
            ebx,
            ecx,
            edx,
            esi,
            edi,
            ebp,
            ..
        } = self;
        writeln!(
            f,
            "eip {:04x}:{:08x} eflags {:08x} error {:x} cr2 {:08x}",
            self.cs & 0xFFFF,
            self.eip,
            self.eflags,
            self.error,
            self.cr2
        )?;
        writeln!(f, "eax {eax:08x} ebx {ebx:08x} ecx {ecx:08x} edx {edx:08x}")?;
        write!(
            f,
            "esi {esi:08x} edi {edi:08x} ebp {ebp:08x} ds {:04x} es {:04x}",
            self.ds & 0xFFFF,
            self.es & 0xFFFF
        )
    }
}

impl fmt::Display for TrapFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ss:esp {:04x}:{:08x}",
            self.regs,
            self.ss & 0xFFFF,
            self.esp
        )
    }
}

/// EFLAGS bits that the kernel names (Intel SDM vol. 1, 3.4.3).
pub mod eflags {
    /// Bit 1, always 1.
    pub const RESERVED: u32 = 1 << 1;
    /// Single-step.
    pub const TF: u32 = 1 << 8;
    /// Interrupts enabled.
    pub const IF: u32 = 1 << 9;
    /// String direction.
    pub const DF: u32 = 1 << 10;
    /// What a program may set of itself: CF, PF, AF, ZF, SF, TF, DF, OF, AC, ID.
    pub const USER: u32 = 0x0024_0DD5;
}

/// `vector` of a frame that the event callback left.
pub const EVENT: u32 = 0x100;
/// `vector` of a frame that the failsafe callback left.
pub const FAILSAFE: u32 = 0x101;

/// What entered the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An exception or `int n` with this vector.
    Vector(u8),
    /// The event callback: something is pending.
    Event,
    /// The failsafe callback: a segment could not be loaded.
    Failsafe,
}

impl Cause {
    /// The cause with the number that the entry code uses, or `None`.
    #[must_use]
    pub fn from_raw(raw: u32) -> Option<Self> {
        match raw {
            EVENT => Some(Self::Event),
            FAILSAFE => Some(Self::Failsafe),
            _ => u8::try_from(raw).ok().map(Self::Vector),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_apart() {
        assert_eq!(Cause::from_raw(14), Some(Cause::Vector(14)));
        assert_eq!(Cause::from_raw(EVENT), Some(Cause::Event));
        assert_eq!(Cause::from_raw(FAILSAFE), Some(Cause::Failsafe));
        assert_eq!(Cause::from_raw(0x102), None);
    }

    #[test]
    fn user_flags_hold_nothing_that_the_kernel_needs() {
        for forbidden in [eflags::IF, 3 << 12, 1 << 14, 1 << 16, 1 << 17] {
            assert_eq!(eflags::USER & forbidden, 0);
        }
    }
}
