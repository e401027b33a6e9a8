//! The entry code (`entry.S`) and the functions it calls.
//!
//! The hypervisor binary defines the called side with `#[unsafe(no_mangle)]`: `hypercall_table`,
//! `hypercall_unknown`, `page_fault_from_guest`, `plain_trap_from_guest`, `trap_from_guest`, `trap_from_hypervisor`, `interrupt`, `exit_work`, `iret_failed`,
//! `debug_from_hypervisor`, `nmi`, `machine_check`, `double_fault`. All of them run with interrupts off.

use crate::percpu;
use core::arch::global_asm;

/// Largest hypercall number that has a place in `hypercall_table`.
pub const LAST_CALL: u32 = 22;

/// EFLAGS bits that survive a fast trap: TF, NT, RF and VM are cleared, as by a 32-bit trap gate.
const FAST_FLAGS_KEPT: i32 = !0x0003_4100;

global_asm!(
    include_str!("entry.S"),
    block_size = const percpu::BLOCK_SIZE,
    last_call = const LAST_CALL,
    due = const percpu::DUE,
    upcall_flags = const percpu::UPCALL_FLAGS,
    fast_cs = const percpu::FAST_CS,
    fast_eip = const percpu::FAST_EIP,
    fast_ss = const percpu::FAST_SS,
    fast_esp = const percpu::FAST_ESP,
    fast_slot = const percpu::FAST_SLOT,
    fast_flags_kept = const FAST_FLAGS_KEPT,
);

/// Registers that only the hypervisor has, as pushed by entries that interrupted it (`r15` last).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the registers' own names")]
pub struct HostRegs {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
}

unsafe extern "C" {
    fn entry_hypercall();
    fn entry_debug();
    fn entry_nmi();
    fn entry_machine_check();
    fn entry_double_fault();
    fn entry_fast_trap();
    fn entry_iret();
    fn entry_iret_failed();
    fn fast_trap_iret();
    fn fast_trap_undo();
    fn entry_return();
    fn entry_page_fault();
    static entry_plain: u8;
    static entry_stubs: u8;
}

fn address(f: unsafe extern "C" fn()) -> u64 {
    f as *const () as u64
}

/// Addresses of the entry points that are not plain stubs.
pub mod points {
    use super::*;

    /// The hypercall gate's target.
    #[must_use]
    pub fn hypercall() -> u64 {
        address(entry_hypercall)
    }
    /// #DB.
    #[must_use]
    pub fn debug() -> u64 {
        address(entry_debug)
    }
    /// NMI.
    #[must_use]
    pub fn nmi() -> u64 {
        address(entry_nmi)
    }
    /// #MC.
    #[must_use]
    pub fn machine_check() -> u64 {
        address(entry_machine_check)
    }
    /// #DF.
    #[must_use]
    pub fn double_fault() -> u64 {
        address(entry_double_fault)
    }
    /// The fast trap's stub.
    #[must_use]
    pub fn fast_trap() -> u64 {
        address(entry_fast_trap)
    }
    /// Vectors with an entry of their own in `entry_plain`, in its order.
    const PLAIN: [u8; 8] = [0, 3, 4, 5, 6, 9, 16, 19];

    /// The stub of `vector`: one of its own for those that come often, else the ordinary one.
    #[must_use]
    pub fn stub(vector: u8) -> u64 {
        if vector == 14 {
            return address(entry_page_fault);
        }
        if let Some(n) = PLAIN.iter().position(|plain| *plain == vector) {
            return (&raw const entry_plain) as u64 + n as u64 * 64;
        }
        // Taking the address of a label, not reading it.
        (&raw const entry_stubs) as u64 + u64::from(vector) * 16
    }
    /// Whether `rip` is the instruction that returns to a guest, and where to go on if it faulted.
    #[must_use]
    pub fn return_fixup(rip: u64) -> Option<u64> {
        if rip == address(entry_iret) {
            Some(address(entry_iret_failed))
        } else if rip == address(fast_trap_iret) {
            Some(address(fast_trap_undo))
        } else {
            None
        }
    }
}

/// Enters the first guest with the `words` registers of its frame.
///
/// The frame is copied to the top of this CPU's stack; what that stack held is abandoned.
///
/// # Safety
/// `regs` must be a whole saved frame (as the entry code lays it out) with checked guest values, the guest's page
/// tables active, and no lock held.
pub unsafe fn enter_guest<Regs: Copy>(regs: &Regs) -> ! {
    // A copy below everything that is in use, then moved up word by word behind our back: the assembly uses
    // nothing of this stack once it has begun.
    let words = size_of::<Regs>() / 8;
    let top = percpu::stack_top();
    // SAFETY: the caller vouches for the frame; source and destination may overlap only upwards, and the copy runs
    // from the top down.
    unsafe {
        core::arch::asm!(
            "std",
            "rep movsq",
            "cld",
            "lea rsp, [rdi + 8]",
            "xor ebp, ebp",
            "jmp {ret}",
            ret = sym entry_return,
            in("rsi") (regs as *const Regs as u64) + (words as u64 - 1) * 8,
            in("rdi") top - 8,
            in("rcx") words,
            options(noreturn)
        )
    }
}
