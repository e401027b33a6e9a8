//! The registers of an interrupted guest, as the entry code saves them.

/// A guest's registers while the hypervisor runs: the top of the CPU's stack, in the order in which the
/// entry code pushes them (`rbx` last). A 32-bit guest has only the low halves; the exit path cuts RIP again.
///
/// The data segment registers are not here: 64-bit code does not use them, so they stay in the processor until
/// another vCPU runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[expect(missing_docs, reason = "the registers' own names")]
pub struct UserRegs {
    pub rbx: u64,
    pub rbp: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rax: u64,
    /// Keeps the stack aligned; no meaning.
    pub reserved: u64,
    /// Error code of the exception that entered. Where it has none, and nothing is out of the ordinary, any value.
    pub error_code: u32,
    /// Vector that entered.
    pub vector: u32,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

const _: () = assert!(size_of::<UserRegs>() == 14 * 8);

/// Flag bits of EFLAGS that the hypervisor names (Intel SDM vol. 1, 3.4.3).
pub mod eflags {
    /// Always-one bit 1.
    pub const RESERVED: u32 = 1 << 1;
    /// Trap (single-step).
    pub const TF: u32 = 1 << 8;
    /// Interrupts enabled.
    pub const IF: u32 = 1 << 9;
    /// Direction.
    pub const DF: u32 = 1 << 10;
    /// I/O privilege level (two bits).
    pub const IOPL: u32 = 3 << 12;
    /// Nested task.
    pub const NT: u32 = 1 << 14;
    /// Resume.
    pub const RF: u32 = 1 << 16;
    /// Virtual-8086 mode.
    pub const VM: u32 = 1 << 17;
}

impl UserRegs {
    /// All registers zero. No guest can run like that.
    pub const ZERO: Self = Self {
        rbx: 0,
        rbp: 0,
        rdi: 0,
        rsi: 0,
        rdx: 0,
        rcx: 0,
        rax: 0,
        reserved: 0,
        error_code: 0,
        vector: 0,
        rip: 0,
        cs: 0,
        rflags: 0,
        rsp: 0,
        ss: 0,
    };

    /// Makes these registers those of `other`, each by itself: a copy of the whole is a call.
    #[inline(always)]
    pub const fn copy_from(&mut self, other: &Self) {
        self.rbx = other.rbx;
        self.rbp = other.rbp;
        self.rdi = other.rdi;
        self.rsi = other.rsi;
        self.rdx = other.rdx;
        self.rcx = other.rcx;
        self.rax = other.rax;
        self.error_code = other.error_code;
        self.vector = other.vector;
        self.rip = other.rip;
        self.cs = other.cs;
        self.rflags = other.rflags;
        self.rsp = other.rsp;
        self.ss = other.ss;
    }

    /// The ring the guest was in.
    #[must_use]
    pub const fn ring(&self) -> u8 {
        (self.cs & 3) as u8
    }

    /// Whether the guest's kernel ring was interrupted (bit 1 of CS clear); rings 2 and 3 are "outside".
    #[must_use]
    pub const fn in_guest_kernel(&self) -> bool {
        self.cs & 2 == 0
    }

    /// Whether the hypervisor itself was interrupted.
    #[must_use]
    pub const fn in_hypervisor(&self) -> bool {
        self.cs & 3 == 0
    }

    /// Sets EAX, the result register of a hypercall.
    pub const fn set_eax(&mut self, value: u32) {
        self.rax = value as u64;
    }
}
