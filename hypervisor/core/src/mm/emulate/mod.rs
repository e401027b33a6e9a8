//! Writable page tables: one faulting write to a page table, done as the update that it means.
//!
//! A guest that asked for it (`vm_assist`, type 2) may write to a live L1 through a read-only mapping as if it were
//! writable. The write faults; its instruction is fetched and decoded, and where it is one that page-table code
//! uses, its effect on the 8-byte entry is computed, judged like any other update, and stored by compare-and-exchange. The
//! guest goes on behind the instruction. Everything else stays the page fault that it is.
//!
//! A 32-bit guest writes an entry in two halves. Each half is merged with the other and judged whole. In the proper
//! order (make the entry non-present first; set present last) every step is a valid entry. A plain write of an upper
//! half that would make a *present* entry invalid is taken as the first half of a replacement: it is stored with
//! the present bit off.
//!
//! Source: Xen 2.0 interface, writable page tables; Intel SDM vol. 2 chapter 2.

mod alu;
mod decode;

use self::{
    alu::{Effect, Operands},
    decode::{Instruction, Operation, SegmentRegister},
};
use super::{
    Mmu,
    frame::{FrameInfo, Kind},
    pte::{P, RW, frame_number},
};
use crate::{
    context::Context,
    platform::Platform,
    regs::{UserRegs, eflags},
    segment::lookup,
};
use guest_abi::addr::{GuestVirt, HV_START, Mfn};

/// Longest instruction.
const MAX_BYTES: usize = 15;

/// What became of a faulting write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Emulation {
    /// The instruction is done, and the guest's registers say so.
    Done,
    /// The fault is the guest's own; nothing changed.
    NotOurs,
}

/// Tries to do the write of the running guest's kernel that faulted at `fault_at`, on a present page.
#[inline(never)]
pub fn try_emulate<P_: Platform>(cx: &mut Context<'_, P_>, fault_at: u32) -> Emulation {
    match emulate(cx, fault_at) {
        Some(()) => Emulation::Done,
        None => Emulation::NotOurs,
    }
}

fn emulate<P_: Platform>(cx: &mut Context<'_, P_>, fault_at: u32) -> Option<()> {
    if fault_at >= HV_START {
        return None;
    }
    let mut mmu = Mmu::new(cx.hv, cx.platform);
    let owner = mmu.caller();
    let (table, info) = mmu.written_table(fault_at)?;
    if !info.owner_word().is_owned_by(owner.id) || !info.type_word().is_valid(Kind::L1) {
        return None;
    }
    let (code, length) = fetch(cx)?;
    let instruction = decode::decode(code.get(..length)?)?;
    let (linear, width) = (operand_address(cx, &instruction)?, instruction.width);
    let shift = (linear & 7) * 8;
    if linear != fault_at || shift + width.bits() > 64 {
        return None;
    }

    let index = (linear as usize & 0xFFF) / 8;
    let old = cx.platform.read_entry(table, index);
    let operands = Operands {
        memory: width.part(old >> shift),
        width,
        regs: cx.regs,
    };
    let effect = alu::execute(&instruction, &operands);
    let mut regs = *cx.regs;
    if let Some(part) = effect.memory {
        let mask = width.mask() << shift;
        let new = (old & !mask) | (part << shift & mask);
        let is_upper_half = instruction.operation == Operation::Move && width.bits() == 32 && shift == 32;
        let mut mmu = Mmu::new(cx.hv, cx.platform);
        if mmu.replace_l1(table, index, old, new, owner).is_err() {
            if !is_upper_half || new & P == 0 {
                return None;
            }
            mmu.replace_l1(table, index, old, new & !P, owner).ok()?;
        }
    }
    retire(&mut regs, &instruction, &effect);
    *cx.regs = regs;
    Some(())
}

/// The instruction's bytes, and how many of them there are before memory ends.
fn fetch<P_: Platform>(cx: &Context<'_, P_>) -> Option<([u8; MAX_BYTES], usize)> {
    let at = lookup::base(cx, cx.regs.cs as u16)?.wrapping_add(cx.regs.rip as u32);
    let mut code = [0; MAX_BYTES];
    if cx.platform.read_bytes(GuestVirt::new(at), &mut code).is_ok() {
        return Some((code, MAX_BYTES));
    }
    let to_page_end = (4096 - (at as usize & 0xFFF)).min(MAX_BYTES);
    cx.platform
        .read_bytes(GuestVirt::new(at), &mut code[..to_page_end])
        .ok()?;
    Some((code, to_page_end))
}

/// Linear address of the memory operand.
fn operand_address<P_: Platform>(cx: &Context<'_, P_>, instruction: &Instruction) -> Option<u32> {
    let selector = match instruction.segment {
        SegmentRegister::Cs => cx.regs.cs as u16,
        SegmentRegister::Ss => cx.regs.ss as u16,
        data => {
            let segments = cx.platform.data_segments();
            match data {
                SegmentRegister::Es => segments.es,
                SegmentRegister::Fs => segments.fs,
                SegmentRegister::Gs => segments.gs,
                _ => segments.ds,
            }
        }
    };
    let offset = instruction.address.offset(cx.regs);
    let offset = offset.wrapping_add(alu::bit_offset(instruction, cx.regs));
    Some(lookup::base(cx, selector)?.wrapping_add(offset))
}

/// Makes the registers those behind the instruction.
fn retire(regs: &mut UserRegs, instruction: &Instruction, effect: &Effect) {
    for (register, value) in effect.registers.iter().flatten() {
        register.write(regs, *value);
    }
    let kept = regs.rflags as u32 & !(effect.flags_changed | eflags::RF);
    regs.rflags = u64::from(kept | effect.flags & effect.flags_changed);
    regs.rip = u64::from((regs.rip as u32).wrapping_add(instruction.length));
}

impl<P_: Platform> Mmu<'_, P_> {
    /// The frame that a present, read-only mapping has at `at`. Linear maps count: there an L2 entry maps the page.
    #[inline]
    fn written_table(&self, at: u32) -> Option<(Mfn, &'static FrameInfo)> {
        let mut table = self.root()?;
        let at = GuestVirt::new(at);
        for level in [3, 2] {
            let entry = self.platform.read_entry(table, at.table_index(level));
            if entry & P == 0 {
                return None;
            }
            table = self.frames.lookup(frame_number(entry))?.0;
        }
        let entry = self.platform.read_entry(table, at.table_index(1));
        if entry & P == 0 || entry & RW != 0 && self.is_l1(table) {
            return None;
        }
        self.frames.lookup(frame_number(entry))
    }

    fn is_l1(&self, table: Mfn) -> bool {
        self.frames.at(table).type_word().kind() == Kind::L1
    }
}
