//! The end of a domain that is beyond repair: one line that says why, its registers, the top of its stack.

use crate::{GUEST_LOG, context::Context, outcome::CrashReason, platform::Platform, sched};
use arrayvec::ArrayVec;
use core::fmt;
use guest_abi::addr::GuestVirt;

impl fmt::Display for CrashReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BadKernelStack { ss, esp } => {
                write!(
                    f,
                    "a frame could not be written to its kernel stack at {ss:04x}:{esp:08x}"
                )
            }
            Self::NoHandler { vector } => write!(f, "it has no handler for vector {vector:#x}"),
            Self::NoEventCallback => f.write_str("an event is due and it has no event callback"),
            Self::FailsafeFailed => {
                f.write_str("its return frame is bad and the failsafe callback cannot be entered")
            }
            Self::Unhandled { vector } => write!(
                f,
                "it raised vector {vector:#x}, for which nobody can have a handler"
            ),
        }
    }
}

/// Words of stack that are shown.
const STACK_WORDS: u32 = 8;
/// Words of stack that are remembered.
const REMEMBERED_WORDS: usize = 12;

/// What is remembered of a crash, beside the registers in the vCPU's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrashRecord {
    /// Why; `None`: the domain's kernel said that it crashed.
    pub reason: Option<CrashReason>,
    /// Vector that entered the hypervisor last.
    pub vector: u32,
    /// Its error code.
    pub error_code: u32,
    /// The words at its stack pointer, as far as they can be read.
    pub stack: ArrayVec<u32, REMEMBERED_WORDS>,
}

/// Remembers how the current domain ended.
#[cold]
pub fn remember<P: Platform>(cx: &mut Context<'_, P>, reason: Option<CrashReason>) {
    let esp = cx.regs.rsp as u32;
    let platform = cx.platform;
    let words = (0..REMEMBERED_WORDS as u32).map_while(|n| {
        let at = esp.checked_add(n * 4)?;
        platform.read::<u32>(GuestVirt::new(at)).ok()
    });
    let record = CrashRecord {
        reason,
        vector: cx.regs.vector,
        error_code: cx.regs.error_code,
        stack: words.collect(),
    };
    cx.domain().crash = Some(record);
}

/// Stops the current domain for good and says why.
#[cold]
pub fn current_domain<P: Platform>(cx: &mut Context<'_, P>, reason: CrashReason) {
    remember(cx, Some(reason));
    let id = cx.current_domain().id;
    let r = &*cx.regs;
    log::warn!(
        target: GUEST_LOG,
        "{id} killed: {reason} (trap {:#x}, error code {:#x})",
        r.vector,
        r.error_code
    );
    log::warn!(
        target: GUEST_LOG,
        "{id} cs:eip {:04x}:{:08x} ss:esp {:04x}:{:08x} eflags {:08x}",
        r.cs,
        r.rip,
        r.ss,
        r.rsp,
        r.rflags
    );
    log::warn!(
        target: GUEST_LOG,
        "{id} eax {:08x} ebx {:08x} ecx {:08x} edx {:08x} esi {:08x} edi {:08x} ebp {:08x}",
        r.rax,
        r.rbx,
        r.rcx,
        r.rdx,
        r.rsi,
        r.rdi,
        r.rbp
    );
    log::warn!(
        target: GUEST_LOG,
        "{id} stack{}",
        Stack {
            platform: cx.platform,
            esp: r.rsp as u32
        }
    );
    sched::stop(cx.hv, cx.platform, cx.hv.current, None);
}

/// The words at `esp`, as far as they can be read, each after a blank.
struct Stack<'a, P> {
    platform: &'a P,
    esp: u32,
}

impl<P: Platform> fmt::Display for Stack<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for n in 0..STACK_WORDS {
            let word = self.esp.checked_add(n * 4).ok_or(crate::platform::Fault);
            match word.and_then(|at| self.platform.read::<u32>(GuestVirt::new(at))) {
                Ok(word) => write!(f, " {word:08x}")?,
                Err(_) => return f.write_str(" (unreadable)"),
            }
        }
        Ok(())
    }
}
