//! The few instructions that page-table code writes entries with, in 32-bit form.
//!
//! | bytes | instruction |
//! |---|---|
//! | 88, 89, A2, A3, C6 /0, C7 /0 | mov |
//! | 86, 87 | xchg |
//! | 0F B0, 0F B1 | cmpxchg |
//! | 0F C7 /1 | cmpxchg8b |
//! | 08, 09, 20, 21, 30, 31; 80, 81, 83 with /1, /4, /6 | or, and, xor |
//! | 0F AB, 0F B3; 0F BA /5, /6 | bts, btr |
//!
//! with operand-size, segment and (but for mov) lock prefixes. All others are not decoded. Intel SDM vol. 2,
//! 2.1 and appendix A.

use super::alu::Width;
use crate::regs::UserRegs;

/// What an instruction does to its memory operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Move,
    Exchange,
    CompareExchange,
    CompareExchange8Bytes,
    And,
    Or,
    Xor,
    BitSet,
    BitReset,
}

/// The other operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A register, by its number.
    Register(u8),
    /// A constant, sign-extended to 32 bits.
    Immediate(u32),
}

/// A segment register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentRegister {
    Es,
    Cs,
    Ss,
    Ds,
    Fs,
    Gs,
}

/// An address: `base + index * 2^scale + displacement`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Address {
    base: Option<u8>,
    index: Option<u8>,
    scale: u8,
    displacement: u32,
}

impl Address {
    /// The offset in the segment.
    #[inline(always)]
    pub fn offset(&self, regs: &UserRegs) -> u32 {
        let value = |number: Option<u8>| number.map_or(0, |number| register(regs, number));
        let scaled = value(self.index).wrapping_shl(u32::from(self.scale));
        value(self.base)
            .wrapping_add(scaled)
            .wrapping_add(self.displacement)
    }
}

/// A decoded instruction with a memory operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What it does.
    pub operation: Operation,
    /// How wide the memory operand is.
    pub width: Width,
    /// The other operand.
    pub source: Source,
    /// Segment of the memory operand.
    pub segment: SegmentRegister,
    /// Its address there.
    pub address: Address,
    /// Bytes of the instruction.
    pub length: u32,
}

/// A 32-bit register by its number in an instruction: EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI.
#[inline(always)]
pub const fn register(regs: &UserRegs, number: u8) -> u32 {
    (match number & 7 {
        0 => regs.rax,
        1 => regs.rcx,
        2 => regs.rdx,
        3 => regs.rbx,
        4 => regs.rsp,
        5 => regs.rbp,
        6 => regs.rsi,
        _ => regs.rdi,
    }) as u32
}

/// Number of ESP, EBP.
pub const ESP: u8 = 4;
/// See [`ESP`].
pub const EBP: u8 = 5;

/// Longest instruction.
pub const MAX_BYTES: u32 = 15;
/// Bytes that are fetched: two words.
pub const CODE_BYTES: usize = 16;
/// What is fetched; an instruction may fill all but the last byte.
pub type Code = [u8; CODE_BYTES];

struct Bytes<'a> {
    code: &'a Code,
    at: usize,
}

impl Bytes<'_> {
    #[inline(always)]
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.code.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    #[inline(always)]
    fn word(&mut self) -> Option<u32> {
        let bytes = self.code.get(self.at..self.at + 4)?;
        self.at += 4;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }

    fn half_word(&mut self) -> Option<u32> {
        let low = self.byte()?;
        Some(u32::from(u16::from_le_bytes([low, self.byte()?])))
    }

    fn signed_byte(&mut self) -> Option<u32> {
        Some(i32::from(self.byte()? as i8) as u32)
    }

    fn immediate(&mut self, width: Width) -> Option<u32> {
        match width {
            Width::Byte => self.signed_byte(),
            Width::Word => self.half_word(),
            _ => self.word(),
        }
    }
}

/// Decodes the instruction at the start of `code`, if it is one of those.
#[inline(always)]
pub fn decode(code: &Code) -> Option<Instruction> {
    let mut bytes = Bytes { code, at: 0 };
    let (mut segment, mut full, mut is_locked) = (None, Width::Long, false);
    let opcode = loop {
        match bytes.byte()? {
            0x26 => segment = Some(SegmentRegister::Es),
            0x2E => segment = Some(SegmentRegister::Cs),
            0x36 => segment = Some(SegmentRegister::Ss),
            0x3E => segment = Some(SegmentRegister::Ds),
            0x64 => segment = Some(SegmentRegister::Fs),
            0x65 => segment = Some(SegmentRegister::Gs),
            0x66 => full = Width::Word,
            0xF0 => is_locked = true,
            0x0F => break 0x0F00 | u16::from(bytes.byte()?),
            opcode => break u16::from(opcode),
        }
    };
    let width = if is_byte_form(opcode) { Width::Byte } else { full };
    if let 0xA2 | 0xA3 = opcode {
        let address = Address {
            displacement: bytes.word()?,
            ..Address::default()
        };
        return finish(
            &bytes,
            Operation::Move,
            width,
            Source::Register(0),
            (segment, SegmentRegister::Ds, address),
        )
        .filter(|_| !is_locked);
    }

    let modrm = bytes.byte()?;
    let (reg, default_segment, address) = memory_operand(&mut bytes, modrm)?;
    let (operation, source) = match (opcode, reg) {
        (0x88 | 0x89, _) => (Operation::Move, Source::Register(reg)),
        (0xC6 | 0xC7, 0) => (Operation::Move, Source::Immediate(bytes.immediate(width)?)),
        (0x86 | 0x87, _) => (Operation::Exchange, Source::Register(reg)),
        (0x0FB0 | 0x0FB1, _) => (Operation::CompareExchange, Source::Register(reg)),
        (0x0FC7, 1) => (Operation::CompareExchange8Bytes, Source::Immediate(0)),
        (0x08 | 0x09, _) => (Operation::Or, Source::Register(reg)),
        (0x20 | 0x21, _) => (Operation::And, Source::Register(reg)),
        (0x30 | 0x31, _) => (Operation::Xor, Source::Register(reg)),
        (0x80 | 0x81, 1 | 4 | 6) => (logical(reg), Source::Immediate(bytes.immediate(width)?)),
        (0x83, 1 | 4 | 6) => (logical(reg), Source::Immediate(bytes.signed_byte()?)),
        (0x0FAB, _) => (Operation::BitSet, Source::Register(reg)),
        (0x0FB3, _) => (Operation::BitReset, Source::Register(reg)),
        (0x0FBA, 5) => (Operation::BitSet, Source::Immediate(bytes.signed_byte()?)),
        (0x0FBA, 6) => (Operation::BitReset, Source::Immediate(bytes.signed_byte()?)),
        _ => return None,
    };
    let width = if opcode == 0x0FC7 { Width::Quad } else { width };
    if is_locked && operation == Operation::Move {
        return None;
    }
    finish(
        &bytes,
        operation,
        width,
        source,
        (segment, default_segment, address),
    )
}

#[inline(always)]
fn finish(
    bytes: &Bytes<'_>,
    operation: Operation,
    width: Width,
    source: Source,
    (segment, default, address): (Option<SegmentRegister>, SegmentRegister, Address),
) -> Option<Instruction> {
    Some(Instruction {
        operation,
        width,
        source,
        segment: segment.unwrap_or(default),
        address,
        length: bytes.at as u32,
    })
}

/// Whether the opcode is the byte form of its instruction.
const fn is_byte_form(opcode: u16) -> bool {
    matches!(
        opcode,
        0x08 | 0x20 | 0x30 | 0x80 | 0x86 | 0x88 | 0xA2 | 0xC6 | 0x0FB0
    )
}

const fn logical(reg: u8) -> Operation {
    match reg {
        1 => Operation::Or,
        4 => Operation::And,
        _ => Operation::Xor,
    }
}

/// The memory operand behind `modrm`: the byte's register field, the segment by default, the address.
#[inline(always)]
fn memory_operand(bytes: &mut Bytes<'_>, modrm: u8) -> Option<(u8, SegmentRegister, Address)> {
    let (mode, reg, rm) = (modrm >> 6, modrm >> 3 & 7, modrm & 7);
    if mode == 3 {
        return None;
    }
    let mut address = Address {
        base: Some(rm),
        ..Address::default()
    };
    if rm == ESP {
        let sib = bytes.byte()?;
        address.base = Some(sib & 7);
        address.index = Some(sib >> 3 & 7).filter(|&index| index != ESP);
        address.scale = sib >> 6;
    }
    if mode == 0 && address.base == Some(EBP) {
        address.base = None;
        address.displacement = bytes.word()?;
    }
    match mode {
        1 => address.displacement = bytes.signed_byte()?,
        2 => address.displacement = bytes.word()?,
        _ => {}
    }
    let is_on_stack = matches!(address.base, Some(ESP | EBP));
    Some((
        reg,
        if is_on_stack {
            SegmentRegister::Ss
        } else {
            SegmentRegister::Ds
        },
        address,
    ))
}
