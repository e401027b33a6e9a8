//! The machine and the hypervisor itself: clock, console, counters, processors.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::addr::{GuestVirt, Mfn};

/// `msr`: reads or writes a model-specific register on the processors of a mask. −EPERM for a register that
/// is the hypervisor's, −EINVAL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Msr {
    /// 1 to write, 0 to read.
    pub write: u32,
    /// A bit per processor; a read takes the lowest one.
    pub cpu_mask: u32,
    /// The register.
    pub msr: u32,
    /// Must be 0.
    pub pad: u32,
    /// *In or out*: its value.
    pub value: u64,
}

layout!(Msr, size 24, write @ 0, cpu_mask @ 4, msr @ 8, value @ 16);

/// `settime`: the wall clock is this at that system time. The caller's time record is refreshed. −EINVAL (a
/// million microseconds or more).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SetTime {
    /// Seconds since 1970.
    pub secs: u32,
    /// Microseconds.
    pub usecs: u32,
    /// System time in ns.
    pub system_time: u64,
}

layout!(SetTime, size 16, secs @ 0, usecs @ 4, system_time @ 8);

/// `readconsole`: copies the newest text of the hypervisor's circular log. Returns how many bytes; −EFAULT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ReadConsole {
    /// Where to.
    pub buffer: GuestVirt,
    /// How many bytes fit.
    pub count: u32,
    /// [`READCONSOLE_CLEAR`] or 0.
    pub flags: u32,
}

layout!(ReadConsole, size 12, buffer @ 0, count @ 4, flags @ 8);

/// Flag of [`ReadConsole`]: forget the text once it is copied.
pub const READCONSOLE_CLEAR: u32 = 1 << 0;

/// `gettbufs`: where the trace buffer is; privileged domains may map it read-only under
/// [`DomId::XEN`](crate::domain::DomId::XEN). −ENODATA if there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct GetTbufs {
    /// *Out*: first machine frame.
    pub frame: Mfn,
    /// *Out*: bytes.
    pub size: u32,
}

layout!(GetTbufs, size 8, frame @ 0, size @ 4);

/// `physinfo`: what the machine has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PhysInfo {
    /// *Out*: hardware threads per core.
    pub threads_per_core: u32,
    /// *Out*: cores.
    pub cores: u32,
    /// *Out*: processor frequency in kHz.
    pub cpu_khz: u32,
    /// *Out*: one more than the highest frame of RAM.
    pub max_frame: u32,
    /// *Out*: frames of RAM.
    pub total_pages: u32,
    /// *Out*: frames that belong to nobody.
    pub free_pages: u32,
    /// *Out*: frames that the hypervisor keeps for itself.
    pub hypervisor_pages: u32,
    /// Zero.
    pub pad: u32,
}

layout!(
    PhysInfo, size 32,
    threads_per_core @ 0, cores @ 4, cpu_khz @ 8, max_frame @ 12, total_pages @ 16, free_pages @ 20,
    hypervisor_pages @ 24,
);

/// `add_memtype`: a memory-type range (MTRR). Returns the register's number; −EINVAL, −ENOSPC, −ENOSYS
/// (none on this machine).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AddMemType {
    /// First frame.
    pub frame: Mfn,
    /// How many.
    pub nr_frames: u32,
    /// The type, as the processor numbers them.
    pub kind: u32,
}

layout!(AddMemType, size 12, frame @ 0, nr_frames @ 4, kind @ 8);

/// `del_memtype`: undoes `add_memtype`. Returns the register's number; −EINVAL, −ENOSYS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DelMemType {
    /// The register, as `add_memtype` returned it.
    pub reg: u32,
}

layout!(DelMemType, size 4, reg @ 0);

/// `read_memtype`: one register's range. −EINVAL (no such register), −ENOSYS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ReadMemType {
    /// The register.
    pub reg: u32,
    /// *Out*: first frame.
    pub frame: Mfn,
    /// *Out*: how many, 0 if the register is free.
    pub nr_frames: u32,
    /// *Out*: the type.
    pub kind: u32,
}

layout!(ReadMemType, size 16, reg @ 0, frame @ 4, nr_frames @ 8, kind @ 12);

/// `perfccontrol`: the hypervisor's counters. −EINVAL, −EFAULT, −ENOSYS (a hypervisor without counters).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PerfcControl {
    /// What to do.
    pub op: PerfcOp,
    /// *In/out*: how many descriptors fit; how many there are.
    pub nr_counters: u32,
    /// Where the [`PerfcDesc`]s go, 0 to learn their number only.
    pub desc: GuestVirt,
}

layout!(PerfcControl, size 12, op @ 0, nr_counters @ 4, desc @ 8);

open_number! {
    /// What `perfccontrol` does (`DOM0_PERFCCONTROL_OP_*`).
    PerfcOp: u32 {
        /// Set all counters to 0.
        RESET = 1, "reset";
        /// Read them.
        QUERY = 2, "query";
    }
}

/// Bytes of a counter's name, NULs to its end.
pub const PERFC_NAME_BYTES: usize = 80;
/// Most values of a counter.
pub const PERFC_VALUES: usize = 64;

/// One counter, or an array of counters with one name (`dom0_perfc_desc_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PerfcDesc {
    /// Its name.
    pub name: [u8; PERFC_NAME_BYTES],
    /// How many of the values count.
    pub nr_vals: u32,
    /// The values.
    pub vals: [u32; PERFC_VALUES],
}

layout!(PerfcDesc, size 340, name @ 0, nr_vals @ 80, vals @ 84);
default_is_zero!(PerfcDesc);
