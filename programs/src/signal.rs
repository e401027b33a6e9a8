//! Signals: names, sending, and what to do when one comes.

use core::arch::global_asm;

use crate::abi::{SigAction, nr};
use crate::errno::Result;
use crate::sys;

macro_rules! signals {
    ($($name:ident $number:literal;)*) => {
        $(#[doc = concat!("Signal ", $number, ".")] pub const $name: i32 = $number;)*

        /// Every signal with its name, in order.
        pub const ALL: &[(i32, &str)] = &[$(($number, stringify!($name)),)*];
    };
}

signals! {
    SIGHUP 1; SIGINT 2; SIGQUIT 3; SIGILL 4; SIGTRAP 5; SIGABRT 6; SIGBUS 7; SIGFPE 8; SIGKILL 9; SIGUSR1 10;
    SIGSEGV 11; SIGUSR2 12; SIGPIPE 13; SIGALRM 14; SIGTERM 15; SIGSTKFLT 16; SIGCHLD 17; SIGCONT 18; SIGSTOP 19;
    SIGTSTP 20; SIGTTIN 21; SIGTTOU 22; SIGURG 23; SIGXCPU 24; SIGXFSZ 25; SIGVTALRM 26; SIGPROF 27; SIGWINCH 28;
    SIGIO 29; SIGPWR 30; SIGSYS 31;
}

/// The name of a signal, `SIGSEGV` say.
pub fn name(number: i32) -> &'static str {
    ALL.iter()
        .find(|&&(known, _)| known == number)
        .map_or("an unknown signal", |&(_, name)| name)
}

/// The number for a name with or without `SIG`, in either case, or for a decimal number.
pub fn number(text: &[u8]) -> Option<i32> {
    if let Some(number) = crate::args::number(text) {
        return i32::try_from(number)
            .ok()
            .filter(|number| (0..=64).contains(number));
    }
    let plain = match text.get(..3) {
        Some(prefix) if prefix.eq_ignore_ascii_case(b"SIG") => &text[3..],
        _ => text,
    };
    ALL.iter()
        .find(|(_, name)| name.as_bytes()[3..].eq_ignore_ascii_case(plain))
        .map(|&(number, _)| number)
}

/// The usual words for a signal that ends a process, as shells print them.
pub fn words(number: i32) -> &'static str {
    match number {
        SIGHUP => "Hangup",
        SIGINT => "Interrupt",
        SIGQUIT => "Quit",
        SIGILL => "Illegal instruction",
        SIGTRAP => "Trace/breakpoint trap",
        SIGABRT => "Aborted",
        SIGBUS => "Bus error",
        SIGFPE => "Floating point exception",
        SIGKILL => "Killed",
        SIGSEGV => "Segmentation fault",
        SIGPIPE => "Broken pipe",
        SIGTERM => "Terminated",
        _ => name(number),
    }
}

/// A signal as a bit of a set.
pub fn bit(number: i32) -> u64 {
    1 << (number - 1)
}

/// What a signal does from now on.
#[derive(Clone, Copy)]
pub enum Action {
    /// What the kernel does by itself.
    Default,
    /// Nothing.
    Ignore,
    /// Calls a function with the signal's number.
    Handle(extern "C" fn(i32)),
}

/// `SA_SIGINFO`: the frame has siginfo and ucontext.
pub const SA_SIGINFO: u32 = 4;
/// `SA_RESTORER`: the restorer field counts.
pub const SA_RESTORER: u32 = 0x0400_0000;
/// `SA_RESTART`: interrupted calls begin again.
pub const SA_RESTART: u32 = 0x1000_0000;
/// `SA_RESETHAND`: the handler serves once.
pub const SA_RESETHAND: u32 = 0x8000_0000;

// Where handlers return to. The plain frame's signal number is popped first, as the kernel expects.
global_asm!(
    ".section .text.program_restorers, \"ax\"",
    ".global program_restore",
    "program_restore:",
    "    pop eax",
    "    mov eax, {sigreturn}",
    "    int 0x80",
    "    ud2",
    ".global program_restore_rt",
    "program_restore_rt:",
    "    mov eax, {rt_sigreturn}",
    "    int 0x80",
    "    ud2",
    sigreturn = const nr::SIGRETURN,
    rt_sigreturn = const nr::RT_SIGRETURN,
);

unsafe extern "C" {
    fn program_restore();
    fn program_restore_rt();
}

/// Sets what `signal` does, with `SA_*` flags and a set of signals that are blocked during a handler.
///
/// # Errors
/// EINVAL for SIGKILL, SIGSTOP and numbers that are none.
pub fn set(signal: i32, action: Action, flags: u32, mask: u64) -> Result<()> {
    let handler = match action {
        Action::Default => 0,
        Action::Ignore => 1,
        Action::Handle(function) => function as usize as u32,
    };
    let restorer = if flags & SA_SIGINFO != 0 {
        program_restore_rt
    } else {
        program_restore
    } as *const () as u32;
    let mask = [mask as u32, (mask >> 32) as u32];
    let action = SigAction {
        handler,
        flags: flags | SA_RESTORER,
        restorer,
        mask,
    };
    // SAFETY: a handler is an `extern "C" fn(i32)` that may be called at any time as it shares only atomics with the
    // program (it can capture nothing), and the restorer fits the kind of frame that the flags ask for.
    unsafe { sys::rt_sigaction(signal, Some(&action)) }.map(drop)
}

/// Sets what `signal` does, with no flags.
///
/// # Errors
/// As [`set`].
pub fn simple(signal: i32, action: Action) -> Result<()> {
    set(signal, action, 0, 0)
}
