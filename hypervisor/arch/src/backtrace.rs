//! A walk up the stack by frame pointers, for a dying hypervisor: it trusts no pointer.
//!
//! A frame is read only where it lies, aligned, wholly inside one of this CPU's stacks; frames must move towards
//! the stack's base; a return address must be hypervisor code; and there is a limit. What does not fit ends the
//! walk, quietly. Where an exception interrupted the hypervisor, its saved registers are found above the entry
//! code's call and the walk goes on in what was interrupted, on another stack if need be.
//!
//! The image must be built with frame pointers, but for functions that call none: nobody dies further down than those. Names are not known here; the launcher adds them.

use crate::{entry, gdt, paging, percpu};
use core::mem::size_of;

/// Frames shown at most.
const LIMIT: usize = 48;

/// One line of the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A call: execution will come back here.
    Return(u64),
    /// An exception or interrupt came here.
    Interrupted(u64),
}

/// From the stack pointer at the entry code's call into Rust to the words of what it interrupted: the
/// hypervisor's own eight registers come first, then the frame that a guest's would be.
const SAVED_RBP: u64 = HOST_REGS + 8;
const SAVED_RIP: u64 = HOST_REGS + 72;
const SAVED_CS: u64 = HOST_REGS + 80;
const HOST_REGS: u64 = size_of::<entry::HostRegs>() as u64;

/// Shows the frames from the one that `frame_pointer` (RBP) names, innermost first.
pub fn walk(mut frame_pointer: u64, mut show: impl FnMut(Frame)) {
    let mut floor = frame_pointer;
    for _ in 0..LIMIT {
        let (Some(caller), Some(address)) = (read(frame_pointer), read_above(frame_pointer, 8)) else {
            return;
        };
        if frame_pointer < floor || !is_code(address) {
            return;
        }
        let above = frame_pointer.wrapping_add(16);
        if is_entry_code(address) {
            let Some((rip, rbp)) = interrupted(above) else {
                return;
            };
            show(Frame::Interrupted(rip));
            // The interrupted code may have run on a stack that lies lower.
            floor = rbp;
            frame_pointer = rbp;
            continue;
        }
        show(Frame::Return(address));
        floor = above;
        frame_pointer = caller;
    }
}

/// Instruction and frame pointer of hypervisor code whose registers lie at `frame`; `None` for a guest's.
fn interrupted(frame: u64) -> Option<(u64, u64)> {
    let cs = read_above(frame, SAVED_CS)?;
    let rip = read_above(frame, SAVED_RIP)?;
    let rbp = read_above(frame, SAVED_RBP)?;
    (cs == u64::from(gdt::HV_CS) && is_code(rip)).then_some((rip, rbp))
}

fn is_code(address: u64) -> bool {
    let (start, end) = paging::text_range();
    (start..end).contains(&address)
}

/// Whether `address` lies in the entry code, which ends with the stub of vector 255.
fn is_entry_code(address: u64) -> bool {
    (entry::points::hypercall()..entry::points::stub(u8::MAX)).contains(&address)
}

fn read_above(base: u64, offset: u64) -> Option<u64> {
    // In the same stack as its base, or it is no frame.
    let (_, end) = percpu::stack_bounds(base)?;
    base.checked_add(offset)
        .filter(|&address| address < end)
        .and_then(read)
}

/// Reads a word that lies wholly inside one of this CPU's stacks.
fn read(address: u64) -> Option<u64> {
    const SIZE: u64 = size_of::<u64>() as u64;
    let (start, end) = percpu::stack_bounds(address)?;
    let fits = address.is_multiple_of(SIZE) && address >= start && address.checked_add(SIZE)? <= end;
    // SAFETY: the word is aligned and lies in a stack of this CPU, which is mapped; it is read once, and any
    // value will do.
    fits.then(|| unsafe { (address as *const u64).read_volatile() })
}

/// The caller's frame pointer.
#[must_use]
#[inline(always)]
pub fn frame_pointer() -> u64 {
    let rbp;
    // SAFETY: copies a register.
    unsafe { core::arch::asm!("mov {}, rbp", out(reg) rbp, options(nomem, nostack, preserves_flags)) }
    rbp
}
