//! The one instruction that nearly every write to a page table is: `mov [register + displacement], r32`, that is opcode
//! 89 without prefix and without scaled index (Intel SDM vol. 2, 2.1.3). It is told from the instruction's first 8 bytes,
//! which hold all of it.

use super::decode::{EBP, ESP, register};
use crate::regs::UserRegs;

/// Such an instruction, with what its registers hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainStore {
    /// The operand's offset in its segment.
    pub offset: u32,
    /// What is stored there.
    pub value: u32,
    /// Bytes of the instruction.
    pub length: u32,
}

/// The instruction that begins with the bytes of `code`, if it is one of those.
#[inline(always)]
pub fn plain_store(code: u64, regs: &UserRegs) -> Option<PlainStore> {
    const MOV: u8 = 0x89;
    let (opcode, modrm, behind) = (code as u8, (code >> 8) as u8, code >> 16);
    let (mode, reg, rm) = (modrm >> 6, modrm >> 3 & 7, modrm & 7);
    if opcode != MOV || rm == ESP {
        return None;
    }
    let (displacement, length) = match mode {
        0 if rm != EBP => (0, 2),
        1 => (i32::from(behind as i8) as u32, 3),
        2 => (behind as u32, 6),
        _ => return None,
    };
    Some(PlainStore {
        offset: register(regs, rm).wrapping_add(displacement),
        value: register(regs, reg),
        length,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{
        alu,
        decode::{Operation, decode},
    };
    use super::*;

    /// Registers that no sum of a few makes equal.
    const REGS: UserRegs = UserRegs {
        rax: 0x1000_0001,
        rcx: 0x2000_0010,
        rdx: 0x3000_0100,
        rbx: 0x4000_1000,
        rsp: 0x5001_0000,
        rbp: 0x6010_0000,
        rsi: 0xF100_0000,
        rdi: 0x8200_0000,
        ..UserRegs::ZERO
    };

    #[test]
    fn it_agrees_with_the_decoder_of_everything() {
        let mut plain = 0;
        for (opcode, modrm) in
            (0..=u8::MAX).flat_map(|opcode| (0..=u8::MAX).map(move |modrm| (opcode, modrm)))
        {
            let mut code = [0; 16];
            code[..8].copy_from_slice(&[opcode, modrm, 0x94, 0x22, 0x33, 0x84, 0x55, 0x66]);
            let first = u64::from_le_bytes([opcode, modrm, 0x94, 0x22, 0x33, 0x84, 0x55, 0x66]);
            let Some(store) = plain_store(first, &REGS) else {
                continue;
            };
            plain += 1;
            let whole = decode(&code).expect("the decoder knows every plain store");
            assert_eq!(whole.operation, Operation::Move);
            assert_eq!(whole.width, alu::Width::Long);
            let expected = PlainStore {
                offset: whole.address.offset(&REGS),
                value: alu::source(&whole, &REGS) as u32,
                length: whole.length,
            };
            assert_eq!(store, expected, "{opcode:x} {modrm:x}");
        }
        // Three modes, eight registers to store, eight to address by but ESP, and in the first mode EBP.
        assert_eq!(plain, 8 * (6 + 7 + 7));
    }
}
