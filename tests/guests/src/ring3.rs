//! A few instructions run in ring 3.
//!
//! [`run`] copies code to a page that ring 3 may use, enters it there, and gives the registers at the first
//! entry into the kernel that follows. Ring 3's stack is the page above.

use core::arch::asm;
use core::cell::Cell;

use guest_abi::mmu::PteFlags;
use guest_abi::segment::Selector;
use mini_guest::hypercall;
use mini_guest::traps::{self, Cause, TrapFrame, catch};

use crate::pages::{Page, WRITABLE};
use crate::raw;

struct OneCpu<T>(Cell<T>);
// SAFETY: a domain has one processor, and the handler runs while `run` waits.
unsafe impl<T> Sync for OneCpu<T> {}

static ENTRY: OneCpu<Option<(TrapFrame, Cause)>> = OneCpu(Cell::new(None));
/// Where entries from ring 3 push: the kernel's own stack is in use by who called [`enter`].
static STACK: OneCpu<Option<Page>> = OneCpu(Cell::new(None));

/// Handles an entry from ring 3: notes it and gets back to [`enter`] by a trap, which the catch there takes.
fn back(frame: &mut TrapFrame, cause: Cause) {
    ENTRY.0.set(Some((*frame, cause)));
    // SAFETY: an invalid opcode; the catch in `run` takes it and restores the stack.
    unsafe { asm!("ud2") }
}

/// Pages that ring 3 may use: code, then stack.
pub fn pages() -> Page {
    let code = Page::take_run(2);
    for page in [code, code.next(1)] {
        raw::remap(page.0, page.pte(WRITABLE | PteFlags::USER)).expect("a page for ring 3");
    }
    code
}

/// A frame that begins with `code` at `page`.
pub fn frame(page: Page, code: &[u8]) -> TrapFrame {
    for (at, byte) in (page.0..).zip(code) {
        // SAFETY: inside a page of our own.
        unsafe { (at as *mut u8).write_volatile(*byte) };
    }
    let data = u32::from(Selector::FLAT_RING3_DS.raw());
    let mut frame = TrapFrame::default();
    (frame.ds, frame.es, frame.fs, frame.gs) = (data, data, data, data);
    frame.eip = page.0;
    frame.cs = u32::from(Selector::FLAT_RING3_CS.raw());
    frame.eflags = 0x202;
    frame.esp = page.0 + 0x2000;
    frame.ss = data;
    frame
}

/// Runs what `frame` says in ring 3 until it enters the kernel, and gives the registers and the cause.
///
/// # Panics
/// Where the kernel is entered by something else first.
pub fn enter(frame: &TrapFrame) -> (TrapFrame, Cause) {
    let stack = STACK.0.get().unwrap_or_else(|| Page::take_run(4));
    STACK.0.set(Some(stack));
    hypercall::stack_switch(Selector::FLAT_RING1_DS, stack.next(4).0).expect("a stack of one's own");
    ENTRY.0.set(None);
    traps::set_user_handler(back);
    let _ = catch(|| -> u32 { leave(frame) });
    ENTRY.0.take().expect("ring 3 entered the kernel")
}

/// [`frame`], then [`enter`].
pub fn run(page: Page, code: &[u8]) -> (TrapFrame, Cause) {
    enter(&frame(page, code))
}

/// Goes to ring 3 by an `iret` of its own on this stack.
fn leave(frame: &TrapFrame) -> ! {
    // SAFETY: the words are those of an iret to ring 3; the way back is the catch's.
    unsafe {
        asm!(
            "mov ebp, {frame}",
            "push [ebp + 116]",
            "push [ebp + 112]",
            "push [ebp + 108]",
            "push [ebp + 104]",
            "push [ebp + 100]",
            "mov gs, [ebp + 0]",
            "mov fs, [ebp + 4]",
            "mov es, [ebp + 8]",
            "mov ds, [ebp + 12]",
            "mov ebx, ss:[ebp + 16]",
            "mov ecx, ss:[ebp + 20]",
            "mov edx, ss:[ebp + 24]",
            "mov esi, ss:[ebp + 28]",
            "mov edi, ss:[ebp + 32]",
            "mov eax, ss:[ebp + 40]",
            "mov ebp, ss:[ebp + 36]",
            "iretd",
            frame = in(reg) frame,
            options(noreturn)
        )
    }
}
