//! Error numbers that a hypercall can answer with. They travel negated in EAX.

/// An error number of the guest interface (the values of Linux's `errno`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Errno {
    /// Operation not permitted.
    Perm = 1,
    /// No such domain.
    Srch = 3,
    /// Argument list too long.
    TooBig = 7,
    /// Try again.
    Again = 11,
    /// Out of memory.
    NoMem = 12,
    /// Wrong interface version.
    Access = 13,
    /// Bad guest address.
    Fault = 14,
    /// Device or resource busy.
    Busy = 16,
    /// No such device.
    NoDev = 19,
    /// Invalid argument.
    Inval = 22,
    /// No free slot left.
    NoSpc = 28,
    /// Call not implemented.
    NoSys = 38,
    /// No data available.
    NoData = 61,
}

impl Errno {
    /// The value a hypercall returns in EAX: the negated number.
    #[must_use]
    pub const fn to_eax(self) -> u32 {
        (self as u32).wrapping_neg()
    }
}
