//! Processes: limits, flags of clone and wait, the auxiliary vector, numbers of reboot.

/// Highest process number.
pub const MAX_PID: u32 = 32_767;
/// Open files of one process.
pub const MAX_FILES: usize = 256;
/// Room for the stack.
pub const STACK_BYTES: u32 = 8 << 20;
/// Bytes of arguments and environment that execve takes.
pub const MAX_ARGUMENT_BYTES: usize = 128 << 10;
/// Bytes of a path with its NUL.
pub const MAX_PATH: usize = 4096;

/// Flags of clone.
pub mod clone {
    /// The low byte: signal to the parent at the end.
    pub const SIGNAL: u32 = 0xFF;
    /// Share memory.
    pub const VM: u32 = 0x100;
    /// The parent sleeps until the child executes or ends.
    pub const VFORK: u32 = 0x4000;
    /// Store the child's number at the parent's pointer.
    pub const PARENT_SETTID: u32 = 0x10_0000;
    /// Clear the child's pointer when it ends.
    pub const CHILD_CLEARTID: u32 = 0x20_0000;
    /// Store the child's number at its own pointer.
    pub const CHILD_SETTID: u32 = 0x100_0000;
    /// All that is honoured.
    pub const KNOWN: u32 = SIGNAL | VM | VFORK | PARENT_SETTID | CHILD_CLEARTID | CHILD_SETTID;
}

/// Options of wait4.
pub mod wait {
    /// Do not wait.
    pub const NOHANG: u32 = 1;
    /// Stopped children too.
    pub const UNTRACED: u32 = 2;
    /// Continued children too.
    pub const CONTINUED: u32 = 8;
    /// All that is accepted: `__WALL`, `__WCLONE`, `__WNOTHREAD` mean nothing here.
    pub const KNOWN: u32 = NOHANG | UNTRACED | CONTINUED | 0xE000_0000;
}

/// Entries of the auxiliary vector.
pub mod aux {
    /// Its end.
    pub const NULL: u32 = 0;
    /// Address of the program headers.
    pub const PHDR: u32 = 3;
    /// Size of one.
    pub const PHENT: u32 = 4;
    /// Their number.
    pub const PHNUM: u32 = 5;
    /// Page size.
    pub const PAGESZ: u32 = 6;
    /// First instruction.
    pub const ENTRY: u32 = 9;
    /// User.
    pub const UID: u32 = 11;
    /// Effective user.
    pub const EUID: u32 = 12;
    /// Group.
    pub const GID: u32 = 13;
    /// Effective group.
    pub const EGID: u32 = 14;
    /// CPUID 1 EDX.
    pub const HWCAP: u32 = 16;
    /// Ticks in a second.
    pub const CLKTCK: u32 = 17;
    /// Set-id program.
    pub const SECURE: u32 = 23;
    /// Address of 16 random bytes.
    pub const RANDOM: u32 = 25;
    /// Address of the path.
    pub const EXECFN: u32 = 31;
}

/// Memory protection and mapping flags.
pub mod map {
    /// Readable.
    pub const PROT_READ: u32 = 1;
    /// Writable.
    pub const PROT_WRITE: u32 = 2;
    /// Executable.
    pub const PROT_EXEC: u32 = 4;
    /// Changes are seen by others.
    pub const SHARED: u32 = 1;
    /// Changes are our own.
    pub const PRIVATE: u32 = 2;
    /// At this very address.
    pub const FIXED: u32 = 0x10;
    /// No file.
    pub const ANONYMOUS: u32 = 0x20;
    /// At this very address, where nothing is.
    pub const FIXED_NOREPLACE: u32 = 0x10_0000;
}

/// Numbers of reboot.
pub mod reboot {
    /// First magic number.
    pub const MAGIC1: u32 = 0xFEE1_DEAD;
    /// Second magic numbers.
    pub const MAGIC2: [u32; 4] = [0x2812_1969, 0x0512_1996, 0x1604_1998, 0x2011_2000];
    /// Start again.
    pub const RESTART: u32 = 0x0123_4567;
    /// Stop.
    pub const HALT: u32 = 0xCDEF_0123;
    /// Switch off.
    pub const POWER_OFF: u32 = 0x4321_FEDC;
    /// Ctrl-Alt-Del restarts.
    pub const CAD_ON: u32 = 0x89AB_CDEF;
    /// Ctrl-Alt-Del signals.
    pub const CAD_OFF: u32 = 0;
}
