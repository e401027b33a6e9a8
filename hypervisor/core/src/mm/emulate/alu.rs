//! What the decoded instructions compute: memory, registers, flags.
//!
//! Flags as Intel SDM vol. 2 defines them; those it leaves undefined keep their value.

use super::decode::{Instruction, Operation, Source, register};
use crate::regs::UserRegs;

const CF: u32 = 1 << 0;
const PF: u32 = 1 << 2;
const AF: u32 = 1 << 4;
const ZF: u32 = 1 << 6;
const SF: u32 = 1 << 7;
const OF: u32 = 1 << 11;

/// Width of a memory operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 1 byte.
    Byte,
    /// 2 bytes.
    Word,
    /// 4 bytes.
    Long,
    /// 8 bytes.
    Quad,
}

impl Width {
    /// Bits.
    pub const fn bits(self) -> u32 {
        8 << self as u32
    }

    /// The low bits that it has.
    pub const fn mask(self) -> u64 {
        u64::MAX >> (64 - self.bits())
    }

    /// The low part of `value` that it covers.
    pub const fn part(self, value: u64) -> u64 {
        value & self.mask()
    }

    /// `whole` with the part of this width at bit `shift` replaced.
    #[inline(always)]
    pub const fn replace(self, whole: u64, shift: u32, part: u64) -> u64 {
        let mask = self.mask() << shift;
        (whole & !mask) | (part << shift & mask)
    }

    const fn sign(self) -> u64 {
        1 << (self.bits() - 1)
    }
}

/// A register, or the part of one, that an instruction writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    number: u8,
    width: Width,
}

impl Destination {
    /// Writes `value` into it.
    pub fn write(self, regs: &mut UserRegs, value: u64) {
        // AH, CH, DH and BH are the second bytes of the first four registers.
        let is_high = self.width == Width::Byte && self.number >= 4;
        let (number, shift) = if is_high {
            (self.number - 4, 8)
        } else {
            (self.number, 0)
        };
        let mask = self.width.mask() << shift;
        let whole = u64::from(register(regs, number)) & !mask | (value << shift & mask);
        let target = match number {
            0 => &mut regs.rax,
            1 => &mut regs.rcx,
            2 => &mut regs.rdx,
            3 => &mut regs.rbx,
            4 => &mut regs.rsp,
            5 => &mut regs.rbp,
            6 => &mut regs.rsi,
            _ => &mut regs.rdi,
        };
        *target = whole;
    }
}

/// What an instruction works on.
pub struct Operands<'a> {
    /// The memory operand.
    pub memory: u64,
    /// Its width.
    pub width: Width,
    /// The registers before.
    pub regs: &'a UserRegs,
}

/// What an instruction changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// New memory operand, if it writes one.
    pub memory: Option<u64>,
    /// New register values.
    pub registers: [Option<(Destination, u64)>; 2],
    /// Flags that it defines.
    pub flags_changed: u32,
    /// Their new values.
    pub flags: u32,
}

impl Effect {
    const fn write(value: u64) -> Self {
        Self {
            memory: Some(value),
            registers: [None; 2],
            flags_changed: 0,
            flags: 0,
        }
    }

    const fn with_flags(mut self, changed: u32, flags: u32) -> Self {
        self.flags_changed = changed;
        self.flags = flags;
        self
    }
}

/// A register's part of `width`.
#[inline(always)]
fn part(regs: &UserRegs, number: u8, width: Width) -> u64 {
    let is_high = width == Width::Byte && number >= 4;
    let value = if is_high {
        register(regs, number - 4) >> 8
    } else {
        register(regs, number)
    };
    width.part(u64::from(value))
}

/// How far a bit instruction with a register operand reaches beyond its address, in bytes: the register is a signed
/// bit number.
#[inline(always)]
pub fn bit_offset(instruction: &Instruction, regs: &UserRegs) -> u32 {
    match (instruction.operation, instruction.source) {
        (Operation::BitSet | Operation::BitReset, Source::Register(number)) => match instruction.width {
            Width::Word => ((register(regs, number) as i16 >> 4) * 2) as u32,
            _ => ((register(regs, number) as i32 >> 5) * 4) as u32,
        },
        _ => 0,
    }
}

/// The instruction's other operand, in the width of its memory operand.
#[inline(always)]
pub fn source(instruction: &Instruction, regs: &UserRegs) -> u64 {
    match instruction.source {
        Source::Register(number) => part(regs, number, instruction.width),
        Source::Immediate(value) => instruction.width.part(i64::from(value as i32) as u64),
    }
}

/// Computes what `instruction` does.
#[inline(never)]
pub fn execute(instruction: &Instruction, operands: &Operands<'_>) -> Effect {
    let &Operands { memory, width, regs } = operands;
    let source = source(instruction, regs);
    match instruction.operation {
        Operation::Move => Effect::write(source),
        Operation::Exchange => Effect {
            registers: [written(instruction.source, width, memory), None],
            ..Effect::write(source)
        },
        Operation::And => logic(memory & source, width),
        Operation::Or => logic(memory | source, width),
        Operation::Xor => logic(memory ^ source, width),
        Operation::BitSet | Operation::BitReset => {
            let bit = 1 << (source as u32 % width.bits());
            let carry = if memory & bit != 0 { CF } else { 0 };
            let is_set = instruction.operation == Operation::BitSet;
            Effect::write(if is_set { memory | bit } else { memory & !bit }).with_flags(CF, carry)
        }
        Operation::CompareExchange => compare_exchange(part(regs, 0, width), source, memory, width),
        Operation::CompareExchange8Bytes => compare_exchange_8_bytes(regs, memory),
    }
}

fn written(source: Source, width: Width, value: u64) -> Option<(Destination, u64)> {
    match source {
        Source::Register(number) => Some((Destination { number, width }, value)),
        Source::Immediate(_) => None,
    }
}

fn result_flags(result: u64, width: Width) -> u32 {
    let zero = if result == 0 { ZF } else { 0 };
    let sign = if result & width.sign() != 0 { SF } else { 0 };
    let parity = if (result as u8).count_ones().is_multiple_of(2) {
        PF
    } else {
        0
    };
    zero | sign | parity
}

fn logic(result: u64, width: Width) -> Effect {
    Effect::write(result).with_flags(CF | PF | ZF | SF | OF, result_flags(result, width))
}

/// Flags of CMP with the accumulator, and the exchange if they are equal.
fn compare_exchange(accumulator: u64, source: u64, memory: u64, width: Width) -> Effect {
    let difference = width.part(accumulator.wrapping_sub(memory));
    let carry = if accumulator < memory { CF } else { 0 };
    let adjust = if accumulator & 15 < memory & 15 { AF } else { 0 };
    let overflows = (accumulator ^ memory) & (accumulator ^ difference) & width.sign() != 0;
    let overflow = if overflows { OF } else { 0 };
    let flags = carry | adjust | overflow | result_flags(difference, width);
    let is_equal = difference == 0;
    Effect {
        memory: is_equal.then_some(source),
        registers: [
            (!is_equal).then_some((Destination { number: 0, width }, memory)),
            None,
        ],
        flags_changed: CF | PF | AF | ZF | SF | OF,
        flags,
    }
}

/// EDX:EAX against memory; ECX:EBX into it if they are equal.
fn compare_exchange_8_bytes(regs: &UserRegs, memory: u64) -> Effect {
    let pair = |high: u8, low: u8| u64::from(register(regs, high)) << 32 | u64::from(register(regs, low));
    let is_equal = pair(2, 0) == memory;
    let into = |number, value| {
        (!is_equal).then_some((
            Destination {
                number,
                width: Width::Long,
            },
            value,
        ))
    };
    Effect {
        memory: is_equal.then_some(pair(1, 3)),
        registers: [into(0, memory & 0xFFFF_FFFF), into(2, memory >> 32)],
        flags_changed: ZF,
        flags: if is_equal { ZF } else { 0 },
    }
}
