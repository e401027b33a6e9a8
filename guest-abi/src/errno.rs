//! Error numbers that a hypercall can answer with. They travel negated in EAX.

/// An error number of the guest interface (the values of Linux's `errno`).
///
/// Our own answers only, never filled from the wire: what arrives goes through [`Errno::from_number`].
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

    /// Every error number, in ascending order.
    pub const ALL: [Self; 13] = [
        Self::Perm,
        Self::Srch,
        Self::TooBig,
        Self::Again,
        Self::NoMem,
        Self::Access,
        Self::Fault,
        Self::Busy,
        Self::NoDev,
        Self::Inval,
        Self::NoSpc,
        Self::NoSys,
        Self::NoData,
    ];

    /// The error with the (positive) number `number`, or `None` for one that this interface does not use.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|errno| *errno as u32 == number)
    }

    /// The name that C gives the number.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Perm => "EPERM",
            Self::Srch => "ESRCH",
            Self::TooBig => "E2BIG",
            Self::Again => "EAGAIN",
            Self::NoMem => "ENOMEM",
            Self::Access => "EACCES",
            Self::Fault => "EFAULT",
            Self::Busy => "EBUSY",
            Self::NoDev => "ENODEV",
            Self::Inval => "EINVAL",
            Self::NoSpc => "ENOSPC",
            Self::NoSys => "ENOSYS",
            Self::NoData => "ENODATA",
        }
    }
}

impl core::fmt::Display for Errno {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

impl core::error::Error for Errno {}

/// A result register with the top [`MAX_ERRNO`] values taken as negated error numbers, as in C.
pub const MAX_ERRNO: u32 = 4095;

/// What EAX says after a hypercall: `Ok` with the value or count, `Err` with the error.
///
/// Values from −4095 to −1 are errors; everything else, numbers with bit 31 set included, is a value
/// (`get_debugreg` has its own register for the status, so no call is ambiguous). An error number that this
/// interface does not define cannot come from xenlite and is taken as [`Errno::NoSys`].
///
/// # Errors
/// The error that the call answered with.
pub fn from_eax(eax: u32) -> Result<u32, Errno> {
    let number = eax.wrapping_neg();
    if number == 0 || number > MAX_ERRNO {
        return Ok(eax);
    }
    Err(Errno::from_number(number).unwrap_or(Errno::NoSys))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_survives_the_register() {
        for errno in Errno::ALL {
            assert_eq!(from_eax(errno.to_eax()), Err(errno));
        }
        assert_eq!(Errno::Inval.to_eax(), -22i32 as u32);
    }

    #[test]
    fn values_are_not_errors() {
        for value in [0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_F000] {
            assert_eq!(from_eax(value), Ok(value));
        }
    }

    #[test]
    fn an_undefined_error_is_still_an_error() {
        assert_eq!(from_eax(-2i32 as u32), Err(Errno::NoSys));
        assert_eq!(from_eax(0xFFFF_F001), Err(Errno::NoSys));
    }
}
