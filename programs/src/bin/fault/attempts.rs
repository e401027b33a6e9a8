//! The instructions that are tried. Each ends its process, or comes to the call of `exit` behind it.

use core::arch::asm;

use programs::signal::{SIGFPE, SIGILL, SIGSEGV, SIGTRAP};

/// The status of a child that nothing stopped.
pub const SURVIVED: i32 = 99;

/// One attempt.
pub struct Attempt {
    /// What it tries.
    pub name: &'static str,
    /// What must end it.
    pub signal: i32,
    /// Whether other kernels may allow it.
    pub only_xenlite: bool,
    /// Tries it; exits with [`SURVIVED`] when it comes through.
    pub run: fn() -> !,
}

macro_rules! attempt {
    ($name:literal, $signal:ident, $($line:literal),+) => { attempt!(@ false, $name, $signal, $($line),+) };
    (xenlite $name:literal, $signal:ident, $($line:literal),+) => { attempt!(@ true, $name, $signal, $($line),+) };
    (@ $only:literal, $name:literal, $signal:ident, $($line:literal),+) => {{
        fn run() -> ! {
            // SAFETY: none of it comes back: the process ends here, by a signal or by `exit`.
            unsafe { asm!($($line,)+ "mov eax, 1", "mov ebx, 99", "int 0x80", "ud2", options(noreturn)) }
        }
        Attempt { name: $name, signal: $signal, only_xenlite: $only, run }
    }};
}

/// All attempts. 0xC0000000 is where every 32-bit kernel begins, 0xFC000000 is the hypervisor's window; 0xE019 and
/// 0xE021 are the ring-1 code and data selectors that the hypervisor provides.
pub const ATTEMPTS: &[Attempt] = &[
    // Memory.
    attempt!("write to address 0", SIGSEGV, "mov dword ptr ds:[0], 1"),
    attempt!("read of address 0", SIGSEGV, "mov eax, dword ptr ds:[0]"),
    attempt!("jump to address 0", SIGSEGV, "xor eax, eax", "jmp eax"),
    attempt!(
        "read of kernel memory",
        SIGSEGV,
        "mov eax, dword ptr ds:[0xC0000000]"
    ),
    attempt!(
        "write to kernel memory",
        SIGSEGV,
        "mov dword ptr ds:[0xC0000000], 1"
    ),
    attempt!(
        "jump into kernel memory",
        SIGSEGV,
        "mov eax, 0xC0000000",
        "jmp eax"
    ),
    attempt!(
        "write to the hypervisor's window",
        SIGSEGV,
        "mov dword ptr ds:[0xFC000000], 1"
    ),
    attempt!(
        "jump into the hypervisor's window",
        SIGSEGV,
        "mov eax, 0xFC000000",
        "jmp eax"
    ),
    attempt!(
        "write to the last page",
        SIGSEGV,
        "mov dword ptr ds:[0xFFFFF000], 1"
    ),
    attempt!(
        "write to its own text",
        SIGSEGV,
        "call 2f",
        "2:",
        "pop eax",
        "mov dword ptr [eax], 1"
    ),
    attempt!(
        "write to its own constants",
        SIGSEGV,
        "mov dword ptr ds:[0x08048000], 1"
    ),
    attempt!("stack without end", SIGSEGV, "2:", "push eax", "jmp 2b"),
    attempt!(
        "stack in kernel memory",
        SIGSEGV,
        "mov esp, 0xC0001000",
        "push eax"
    ),
    attempt!(
        "bad instruction with the stack at 0",
        SIGILL,
        "xor esp, esp",
        "ud2"
    ),
    // Exceptions that a program may cause.
    attempt!(
        "division by zero",
        SIGFPE,
        "xor edx, edx",
        "xor ecx, ecx",
        "mov eax, 1",
        "div ecx"
    ),
    attempt!(
        "quotient too large",
        SIGFPE,
        "mov edx, 2",
        "mov ecx, 1",
        "div ecx"
    ),
    attempt!(
        "x87 division by zero, unmasked",
        SIGFPE,
        "fninit",
        "push 0x37B",
        "fldcw [esp]",
        "fld1",
        "fldz",
        "fdivp",
        "fwait"
    ),
    attempt!("undefined instruction", SIGILL, "ud2"),
    attempt!(
        "locked compare of a register (F00F)",
        SIGILL,
        ".byte 0xF0, 0x0F, 0xC7, 0xC8"
    ),
    attempt!("instruction of 17 bytes", SIGSEGV, ".fill 16, 1, 0x66", "nop"),
    attempt!("breakpoint", SIGTRAP, "int3"),
    attempt!("overflow", SIGSEGV, "mov al, 0x7F", "add al, 1", "into"),
    attempt!(
        "bound",
        SIGSEGV,
        "push 2",
        "push 1",
        "mov eax, 3",
        ".byte 0x62, 0x04, 0x24"
    ),
    attempt!(
        "single step",
        SIGTRAP,
        "pushfd",
        "or dword ptr [esp], 0x100",
        "popfd",
        "nop",
        "nop"
    ),
    attempt!(
        "single step over a system call",
        SIGTRAP,
        "mov eax, 20",
        "pushfd",
        "or dword ptr [esp], 0x100",
        "popfd",
        "int 0x80",
        "nop"
    ),
    // Privileged instructions.
    attempt!("cli", SIGSEGV, "cli"),
    attempt!("sti", SIGSEGV, "sti"),
    attempt!(
        "cli after popf with IOPL 3",
        SIGSEGV,
        "pushfd",
        "or dword ptr [esp], 0x3000",
        "popfd",
        "cli"
    ),
    attempt!("hlt", SIGSEGV, "hlt"),
    attempt!("in from port 0x60", SIGSEGV, "in al, 0x60"),
    attempt!("out to port 0x80", SIGSEGV, "out 0x80, al"),
    attempt!("out to port 0xF4", SIGSEGV, "mov dx, 0xF4", "out dx, al"),
    attempt!(
        "string input from a port",
        SIGSEGV,
        "mov dx, 0x1F0",
        "mov edi, esp",
        "insb"
    ),
    attempt!("read of CR0", SIGSEGV, "mov eax, cr0"),
    attempt!("read of CR3", SIGSEGV, "mov eax, cr3"),
    attempt!("write of CR3", SIGSEGV, "xor eax, eax", "mov cr3, eax"),
    attempt!("write of CR4", SIGSEGV, "xor eax, eax", "mov cr4, eax"),
    attempt!("write of DR7", SIGSEGV, "xor eax, eax", "mov dr7, eax"),
    attempt!("lgdt", SIGSEGV, "lgdt [esp]"),
    attempt!("lidt", SIGSEGV, "lidt [esp]"),
    attempt!("lldt", SIGSEGV, "xor eax, eax", "lldt ax"),
    attempt!("ltr", SIGSEGV, "mov eax, 8", "ltr ax"),
    attempt!("lmsw", SIGSEGV, "xor eax, eax", "lmsw ax"),
    attempt!("clts", SIGSEGV, "clts"),
    attempt!("invlpg", SIGSEGV, "invlpg [esp]"),
    attempt!("invd", SIGSEGV, "invd"),
    attempt!("wbinvd", SIGSEGV, "wbinvd"),
    attempt!("rdmsr", SIGSEGV, "mov ecx, 0xC0000080", "rdmsr"),
    attempt!(
        "wrmsr",
        SIGSEGV,
        "mov ecx, 0x174",
        "xor eax, eax",
        "xor edx, edx",
        "wrmsr"
    ),
    // Gates and selectors.
    attempt!("hypercall, int 0x82", SIGSEGV, "mov eax, 17", "int 0x82"),
    attempt!("unregistered int 0x83", SIGSEGV, "int 0x83"),
    attempt!("unregistered int 0x21", SIGSEGV, "int 0x21"),
    attempt!("int 2, an NMI that is none", SIGSEGV, "int 2"),
    attempt!("int 8, a double fault that is none", SIGSEGV, "int 8"),
    attempt!("int 14, a page fault that is none", SIGSEGV, "int 14"),
    attempt!("int 0xE0, a device's vector", SIGSEGV, "int 0xE0"),
    attempt!(xenlite "sysenter", SIGSEGV, "mov eax, 20", "sysenter"),
    attempt!(xenlite "syscall", SIGILL, "mov eax, 20", ".byte 0x0F, 0x05"),
    attempt!(
        "data selector of ring 1",
        SIGSEGV,
        "mov eax, 0xE021",
        "mov ds, ax"
    ),
    attempt!(
        "stack selector of ring 1",
        SIGSEGV,
        "mov eax, 0xE021",
        "mov ss, ax"
    ),
    attempt!(
        "far jump to ring 1",
        SIGSEGV,
        ".byte 0xEA",
        ".long 0",
        ".word 0xE019"
    ),
    attempt!(
        "far call to ring 1",
        SIGSEGV,
        ".byte 0x9A",
        ".long 0",
        ".word 0xE019"
    ),
    attempt!("far return to ring 1", SIGSEGV, "push 0xE019", "push 0", "retf"),
    attempt!(
        "iret to ring 1",
        SIGSEGV,
        "push 0x202",
        "push 0xE019",
        "push 0",
        "iretd"
    ),
    attempt!(
        "iret with NT set",
        SIGSEGV,
        "pushfd",
        "or dword ptr [esp], 0x4000",
        "popfd",
        "iretd"
    ),
    attempt!("null code selector", SIGSEGV, "push 0", "push 0", "retf"),
    attempt!("null stack selector", SIGSEGV, "xor eax, eax", "mov ss, ax"),
    attempt!(
        "selector of an LDT that is not there",
        SIGSEGV,
        "mov eax, 7",
        "mov ds, ax"
    ),
    attempt!(
        "selector beyond the GDT",
        SIGSEGV,
        "mov eax, 0xFFFB",
        "mov ds, ax"
    ),
    attempt!(
        "access through a null selector",
        SIGSEGV,
        "xor eax, eax",
        "mov fs, ax",
        "mov eax, dword ptr fs:[0]"
    ),
];
