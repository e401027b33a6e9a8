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
mod plain;

use self::{
    alu::{Effect, Operands, Width},
    decode::{CODE_BYTES, Code, Instruction, MAX_BYTES, Operation, SegmentRegister},
    plain::plain_store,
};
use super::{
    Mmu,
    frame::Kind,
    pte::{P, RW, near_frame},
};
use crate::{
    context::Context,
    platform::{FrameWords, Platform},
    regs::{UserRegs, eflags},
    segment::lookup,
};
use guest_abi::{
    addr::{GuestVirt, HV_START, Mfn},
    segment::Selector,
};

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
#[inline(always)]
pub fn try_emulate<P_: Platform>(cx: &mut Context<'_, P_>, fault_at: u32) -> Emulation {
    match store_quickly(cx, fault_at).or_else(|| emulate(cx, fault_at)) {
        Some(()) => Emulation::Done,
        None => Emulation::NotOurs,
    }
}

/// The short way of [`emulate`]: a plain store of one half of an entry, by code in the flat segment, where the new entry is
/// 0 or names a page of the caller's in ordinary use. `None`: it could not be gone, and nothing has changed.
#[inline(always)]
fn store_quickly<P_: Platform>(cx: &mut Context<'_, P_>, fault_at: u32) -> Option<()> {
    let eip = cx.regs.rip as u32;
    if fault_at >= HV_START
        || !fault_at.is_multiple_of(4)
        || cx.regs.cs as u16 != Selector::FLAT_RING1_CS.raw()
    {
        return None;
    }
    let store = plain_store(cx.platform.read::<u64>(GuestVirt::new(eip)).ok()?, cx.regs)?;
    // An offset that is itself the address that faulted needs no look at its segment: the base can only be 0.
    if store.offset != fault_at {
        return None;
    }
    let mut mmu = Mmu::new(cx.hv, cx.platform);
    let caller = mmu.caller().id;
    let table = mmu.written_table(fault_at)?;
    let words = mmu.own_l1(u64::from(table.raw()), caller)?;
    let index = (fault_at as usize & 0xFFF) / 8;
    let old = words.read(index);
    let new = Width::Long.replace(old, (fault_at & 4) * 8, u64::from(store.value));
    if !mmu.replace_l1_by_short_way(words, index, old, new, caller) {
        return None;
    }
    go_on_behind(cx.regs, store.length);
    Some(())
}

/// Turns the registers to what follows an instruction that is done.
#[inline(always)]
fn go_on_behind(regs: &mut UserRegs, length: u32) {
    regs.rflags &= !u64::from(eflags::RF);
    regs.rip = u64::from((regs.rip as u32).wrapping_add(length));
}

#[cold]
#[inline(never)]
fn emulate<P_: Platform>(cx: &mut Context<'_, P_>, fault_at: u32) -> Option<()> {
    if fault_at >= HV_START {
        return None;
    }
    let mut mmu = Mmu::new(cx.hv, cx.platform);
    let owner = mmu.caller();
    let table = mmu.written_table(fault_at)?;
    mmu.own_l1(u64::from(table.raw()), owner.id)?;
    let (code, length) = fetch(cx)?;
    let instruction = decode::decode(&code)?;
    let offset = instruction
        .address
        .offset(cx.regs)
        .wrapping_add(alu::bit_offset(&instruction, cx.regs));
    let (width, shift) = (instruction.width, (fault_at & 7) * 8);
    let is_whole = instruction.length <= length && shift + width.bits() <= 64;
    if !is_whole || (offset != fault_at && !is_at(cx, &instruction, offset, fault_at)) {
        return None;
    }

    let index = (fault_at as usize & 0xFFF) / 8;
    let old = cx.platform.words(table).read(index);
    let mut mmu = Mmu::new(cx.hv, cx.platform);
    if instruction.operation == Operation::Move {
        let new = width.replace(old, shift, alu::source(&instruction, cx.regs));
        let is_upper_half = width.bits() == 32 && shift == 32;
        if mmu.replace_l1(table, index, old, new, owner).is_err() {
            if !is_upper_half || new & P == 0 {
                return None;
            }
            mmu.replace_l1(table, index, old, new & !P, owner).ok()?;
        }
    } else {
        let operands = Operands {
            memory: width.part(old >> shift),
            width,
            regs: cx.regs,
        };
        let effect = alu::execute(&instruction, &operands);
        if let Some(part) = effect.memory {
            mmu.replace_l1(table, index, old, width.replace(old, shift, part), owner)
                .ok()?;
        }
        effect.apply(cx.regs);
    }
    go_on_behind(cx.regs, instruction.length);
    Some(())
}

/// The instruction's bytes, and how many of them there are before memory ends.
#[inline(always)]
fn fetch<P_: Platform>(cx: &Context<'_, P_>) -> Option<(Code, u32)> {
    let eip = cx.regs.rip as u32;
    if cx.regs.cs as u16 == Selector::FLAT_RING1_CS.raw()
        && let Ok(words) = cx.platform.read::<[u64; 2]>(GuestVirt::new(eip))
    {
        return Some((code_from(words), MAX_BYTES));
    }
    fetch_by_segment(cx, eip)
}

/// The bytes of two words.
#[inline(always)]
const fn code_from(words: [u64; 2]) -> Code {
    ((words[1] as u128) << 64 | words[0] as u128).to_le_bytes()
}

/// Code in a segment of the guest's own, or at the end of a page.
#[cold]
#[inline(never)]
fn fetch_by_segment<P_: Platform>(cx: &Context<'_, P_>, eip: u32) -> Option<(Code, u32)> {
    let at = lookup::base(cx, cx.regs.cs as u16)?.wrapping_add(eip);
    let mut code: Code = [0; CODE_BYTES];
    if cx.platform.read_bytes(GuestVirt::new(at), &mut code).is_ok() {
        return Some((code, MAX_BYTES));
    }
    let to_page_end = (4096 - (at & 0xFFF)).min(MAX_BYTES);
    cx.platform
        .read_bytes(GuestVirt::new(at), &mut code[..to_page_end as usize])
        .ok()?;
    Some((code, to_page_end))
}

/// Whether the operand at `offset` is at linear address `at`.
#[cold]
#[inline(never)]
fn is_at<P_: Platform>(cx: &Context<'_, P_>, instruction: &Instruction, offset: u32, at: u32) -> bool {
    let segments = cx.platform.data_segments();
    let selector = match instruction.segment {
        SegmentRegister::Cs => cx.regs.cs as u16,
        SegmentRegister::Ss => cx.regs.ss as u16,
        SegmentRegister::Ds => segments.ds,
        SegmentRegister::Es => segments.es,
        SegmentRegister::Fs => segments.fs,
        SegmentRegister::Gs => segments.gs,
    };
    lookup::base(cx, selector).is_some_and(|base| base.wrapping_add(offset) == at)
}

impl Effect {
    /// Makes the registers and flags those behind the instruction.
    #[inline(always)]
    fn apply(&self, regs: &mut UserRegs) {
        for (register, value) in self.registers.iter().flatten() {
            register.write(regs, *value);
        }
        let kept = regs.rflags as u32 & !self.flags_changed;
        regs.rflags = u64::from(kept | self.flags & self.flags_changed);
    }
}

impl<P_: Platform> Mmu<'_, P_> {
    /// The frame that a present, read-only mapping has at `at`. Linear maps count: there an L2 entry maps the page.
    #[inline(always)]
    fn written_table(&self, at: u32) -> Option<Mfn> {
        let at = GuestVirt::new(at);
        let below = |table: Mfn, level: u32| {
            let entry = self.platform.words(table).read(at.table_index(level));
            if entry & P == 0 {
                None
            } else {
                Some((entry, Mfn::new(near_frame(entry))))
            }
        };
        let (_, l2) = below(self.root()?, 3)?;
        let (_, l1) = below(l2, 2)?;
        let (entry, page) = below(l1, 1)?;
        let is_l1 = || self.frames.at(l1).type_word().kind() == Kind::L1;
        if entry & RW != 0 && is_l1() {
            None
        } else {
            Some(page)
        }
    }
}
