//! Error numbers of Domain0's kernel and of the hypervisor, which are Linux's, with words for a person.

use core::fmt;

/// An error number, positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

macro_rules! errors {
    ($($name:ident $number:literal $text:literal;)*) => {
        impl Errno {
            $(#[doc = $text] pub const $name: Self = Self($number);)*
        }

        impl fmt::Display for Errno {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    $($number => f.write_str($text),)*
                    number => write!(f, "error {number}"),
                }
            }
        }
    };
}

errors! {
    EPERM 1 "not permitted";
    ENOENT 2 "no such file";
    ESRCH 3 "no such domain";
    EIO 5 "input or output error";
    E2BIG 7 "too large";
    EAGAIN 11 "try again";
    ENOMEM 12 "not enough memory";
    EACCES 13 "not allowed, or tools and hypervisor are of different versions";
    EFAULT 14 "bad address";
    EBUSY 16 "busy";
    ENODEV 19 "no such device";
    EINVAL 22 "invalid argument";
    ENOSPC 28 "no room left";
    ENOSYS 38 "not implemented by this hypervisor";
    ENODATA 61 "no data";
}

impl core::error::Error for Errno {}

/// What a call gives.
pub type Result<T> = core::result::Result<T, Errno>;
