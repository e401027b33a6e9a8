//! x87 and SSE registers: each process's own, changed only when another one uses them.
//!
//! At every process switch the hypervisor is asked to trap the next FPU instruction (`fpu_taskswitch`). The #NM
//! handler runs with the trap already off: it saves the registers of whoever used them last and loads the
//! process's own. Source: Intel SDM vol. 1, 10.5 (FXSAVE).

/// Bytes of the image.
const BYTES: usize = 512;
/// Where the control word is.
const CONTROL: usize = 0;
/// Where MXCSR is.
const MXCSR: usize = 24;
/// MXCSR bits that every processor with SSE knows.
const MXCSR_MASK: u32 = 0xFFBF;

/// The registers in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct FpuState([u8; BYTES]);

impl Default for FpuState {
    /// What a new program finds: all registers empty, default rounding, all exceptions masked.
    fn default() -> Self {
        let mut image = [0; BYTES];
        image[CONTROL..CONTROL + 2].copy_from_slice(&0x037F_u16.to_le_bytes());
        image[MXCSR..MXCSR + 4].copy_from_slice(&0x1F80_u32.to_le_bytes());
        Self(image)
    }
}

impl FpuState {
    /// The image.
    #[must_use]
    pub fn bytes(&self) -> &[u8; BYTES] {
        &self.0
    }

    /// A state that a program wrote, made loadable: reserved bits of MXCSR would trap.
    #[must_use]
    pub fn from_bytes(mut image: [u8; BYTES]) -> Self {
        let mut mxcsr = [0; 4];
        mxcsr.copy_from_slice(&image[MXCSR..MXCSR + 4]);
        let mxcsr = u32::from_le_bytes(mxcsr) & MXCSR_MASK;
        image[MXCSR..MXCSR + 4].copy_from_slice(&mxcsr.to_le_bytes());
        Self(image)
    }

    /// Stores the processor's registers.
    #[cfg(target_os = "none")]
    pub fn save(&mut self) {
        // SAFETY: the image is 512 bytes long and 16-byte aligned. Where the instruction traps for a task switch, the
        // hypervisor has ended that when the kernel's handler runs, which just returns.
        unsafe { core::arch::asm!("fxsave [{}]", in(reg) self.0.as_mut_ptr(), options(nostack)) };
    }

    /// Loads the processor's registers.
    #[cfg(target_os = "none")]
    pub fn load(&self) {
        // SAFETY: as above; MXCSR has no reserved bit. The kernel itself uses none of these registers.
        unsafe { core::arch::asm!("fxrstor [{}]", in(reg) self.0.as_ptr(), options(nostack, readonly)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_bits_are_taken_out() {
        let state = FpuState::from_bytes([0xFF; BYTES]);
        assert_eq!(&state.bytes()[24..28], &0xFFBF_u32.to_le_bytes());
        assert_eq!(state.bytes()[23], 0xFF);
        let clean = FpuState::default();
        assert_eq!(FpuState::from_bytes(*clean.bytes()), clean);
    }
}
