//! Running code that may trap, and getting the trap as a value: for tests of what the hypervisor refuses.

use core::arch::global_asm;
use core::cell::Cell;
use core::ffi::c_void;
use core::fmt;

use guest_abi::segment::Selector;
use guest_abi::trap::Vector;

use super::frame::{Regs, eflags};
use crate::cell::OneCpu;

/// The trap that ended a closure given to [`catch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caught {
    /// Which exception.
    pub vector: Vector,
    /// Its error code, 0 where it has none.
    pub error: u32,
    /// The faulting address, of a page fault.
    pub cr2: u32,
    /// Where it happened.
    pub eip: u32,
}

impl fmt::Display for Caught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} error {:#x} address {:#010x} at eip {:#010x}",
            self.vector, self.error, self.cr2, self.eip
        )
    }
}

global_asm!(
    r#"
        .section .text.mini_guest_catch, "ax", @progbits
/* fn mini_guest_catch(run: extern fn(*mut c_void), argument: *mut c_void) -> u32: 0, or 1 after a trap. Calls nest: the
 * innermost catches. */
        .globl  mini_guest_catch
mini_guest_catch:
        push    ebp
        push    ebx
        push    esi
        push    edi
        mov     eax, [esp + 20]
        mov     ecx, [esp + 24]
        push    dword ptr [{STACK}]
        mov     [{STACK}], esp
        sub     esp, 4
        push    ecx
        call    eax
        add     esp, 8
        xor     eax, eax
2:      pop     dword ptr [{STACK}]
        pop     edi
        pop     esi
        pop     ebx
        pop     ebp
        ret
/* A trap comes here, with whatever data selectors the closure loaded. */
        .globl  mini_guest_caught
mini_guest_caught:
        mov     eax, {KERNEL_DS}
        mov     ds, eax
        mov     es, eax
        mov     ss, eax
        mov     esp, [{STACK}]
        mov     eax, 1
        jmp     2b
    "#,
    STACK = sym CATCH_STACK,
    KERNEL_DS = const Selector::FLAT_RING1_DS.raw(),
);

/// Stack pointer of the innermost catch, 0 where there is none.
static CATCH_STACK: OneCpu<Cell<u32>> = OneCpu::new(Cell::new(0));
static LAST: OneCpu<Cell<Caught>> = OneCpu::new(Cell::new(Caught {
    vector: Vector::new(0),
    error: 0,
    cr2: 0,
    eip: 0,
}));

unsafe extern "C" {
    fn mini_guest_catch(run: unsafe extern "C" fn(*mut c_void), argument: *mut c_void) -> u32;
    safe fn mini_guest_caught();
}

/// Runs `run` in the kernel; a trap in it ends it and is given back.
///
/// Nothing of an abandoned closure is dropped: let it own nothing. What the hypervisor itself decides to do about the
/// domain (kill it) is not caught.
///
/// # Errors
/// The trap.
pub fn catch<R, F: FnOnce() -> R>(run: F) -> Result<R, Caught> {
    struct Job<R, F> {
        run: Option<F>,
        result: Option<R>,
    }
    unsafe extern "C" fn work<R, F: FnOnce() -> R>(argument: *mut c_void) {
        // SAFETY: `argument` is the job below, borrowed by nobody while the routine runs.
        let job = unsafe { &mut *argument.cast::<Job<R, F>>() };
        job.result = job.run.take().map(|run| run());
    }
    let mut job = Job {
        run: Some(run),
        result: None,
    };
    let job_at: *mut Job<R, F> = &raw mut job;
    // SAFETY: the routine calls `work` with the job and restores the callee-saved registers whether it returns or traps.
    let trapped = unsafe { mini_guest_catch(work::<R, F>, job_at.cast()) };
    match job.result.take() {
        Some(result) if trapped == 0 => Ok(result),
        _ => Err(LAST.get()),
    }
}

/// Sends a trap inside a caught closure to the routine's end and says `true`; `false` where nothing is being caught.
pub(super) fn recover(regs: &mut Regs, vector: u8) -> bool {
    if CATCH_STACK.get() == 0 {
        return false;
    }
    LAST.set(Caught {
        vector: Vector::new(vector),
        error: regs.error,
        cr2: regs.cr2,
        eip: regs.eip,
    });
    regs.eip = mini_guest_caught as *const () as u32;
    regs.cs = Selector::FLAT_RING1_CS.raw().into();
    regs.eflags &= !(eflags::TF | eflags::DF);
    true
}
