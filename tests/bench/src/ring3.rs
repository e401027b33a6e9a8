//! System calls of ring 3: to the kernel by the fast trap and back by its `iret`.

use guest_abi::mmu::{MmuUpdate, Pte, PteFlags};
use guest_abi::segment::Selector;
use guest_abi::trap::{SYSCALL_VECTOR, TrapFlags, TrapInfo, Vector};
use mini_guest::mm::{
    batch::Batch,
    layout::{direct, direct_pfn},
    translate::mfn,
};
use mini_guest::{hypercall, traps};

use crate::memory::{entry_address, frame};
use crate::routine::print;
use crate::traps::handler;

unsafe extern "C" {
    safe fn bench_user_page();
    safe fn bench_on_plain();
    safe fn bench_on_ring3_end();
    safe fn bench_ring3_full();
    safe fn bench_ring3_empty();
    /// Runs a loop of ring 3 so many rounds; gives the time it took.
    fn bench_ring3(code: u32, rounds: u32) -> u64;
}

fn address(f: unsafe extern "C" fn()) -> u32 {
    f as *const () as u32
}

/// Measures them.
pub fn measure() {
    let page = direct_pfn(address(bench_user_page));
    let flags = PteFlags::PRESENT | PteFlags::USER | PteFlags::ACCESSED;
    let mut batch = Batch::new();
    // SAFETY: the page holds code; this lets ring 3 read it.
    unsafe { batch.push(MmuUpdate::normal(entry_address(page), Pte::new(mfn(page), flags))) };
    batch.flush_page(direct(page));
    batch.flush();

    let none = TrapFlags::empty();
    let table = [
        handler(SYSCALL_VECTOR, 3, none, address(bench_on_plain)),
        handler(Vector::BREAKPOINT.raw(), 3, none, address(bench_on_ring3_end)),
        TrapInfo::default(),
    ];
    hypercall::set_trap_table(&table).expect("good handlers");
    let stack = frame();
    hypercall::stack_switch(Selector::FLAT_RING1_DS, direct(stack) + 4096).expect("a good stack");
    traps::arm_fast_syscall().expect("a handler that the fast trap can lead to");
    print("fast_trap", 1, |rounds| {
        // SAFETY: the loops use registers alone, and end in `int3`, whose handler comes back.
        let run = |code: unsafe extern "C" fn()| unsafe { bench_ring3(address(code), rounds) };
        (run(bench_ring3_full), run(bench_ring3_empty))
    });
    hypercall::set_fast_trap(0).expect("the fast trap can be disarmed");
    traps::init().expect("the kernel's own handlers");
}
